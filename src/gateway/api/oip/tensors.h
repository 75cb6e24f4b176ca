// The JSON of the Open Inference Protocol v2: tensors of requests and answers. Binary tensors are an extension that is not served.
// https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "contracts/chat.h"

namespace stoa::gateway::oip {

// A tensor of texts (BYTES); other types are not input of any model here.
struct TextTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<std::string> values;  // row-major
};

struct InferCall {
  std::string id;  // the caller's, echoed; may be empty
  std::vector<TextTensor> inputs;
  std::vector<std::string> outputs;  // names; empty: all
  JsonObject parameters;             // of the request
};

// kInvalidArgument with the path of what is wrong; shape and data have to agree.
Result<InferCall> parse_infer(const JsonObject& body);
// The input of that name. Its shape is [n] or [n,1].
Result<const TextTensor*> text_input(const InferCall& call, std::string_view name);

struct GenerateCall {
  std::string id;
  ChatRequest request;  // without model
};
// {"text_input", "parameters"}; `parameters` may also be those of an infer request.
Result<GenerateCall> parse_generate(const JsonObject& body);
Status read_sampling(const JsonObject& parameters, ChatRequest& request);

JsonObject text_output(std::string_view name, std::span<const std::string> values);
JsonObject float_output(std::string_view name, std::vector<std::int64_t> shape, std::span<const float> values);
JsonObject infer_json(std::string_view model, const InferCall& call, JsonArray outputs);

}  // namespace stoa::gateway::oip
