#include "gateway/api/oip/tensors.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::oip {
namespace {

constexpr std::size_t kMaxInputs = 16, kMaxDimensions = 8, kMaxValues = 1024, kMaxId = 256, kMaxStops = 16;

// Nested lists and flat ones mean the same.
Status flatten(const Fields& tensor, const Json& data, std::vector<std::string>& values, std::size_t depth) {
  if (depth > kMaxDimensions) return tensor.wrong("data", "nested no deeper than its shape");
  if (data.is_array()) {
    for (const Json& item : data.get_array()) STOA_CHECK(flatten(tensor, item, values, depth + 1));
    return {};
  }
  if (!data.is_string()) return tensor.wrong("data", "a list of texts");
  if (values.size() == kMaxValues) return tensor.wrong("data", fmt::format("a list of at most {} texts", kMaxValues));
  values.emplace_back(data.get_string());
  return {};
}

Result<TextTensor> parse_tensor(const Fields& tensor) {
  TextTensor out;
  STOA_TRY(name, tensor.required_text("name"));
  out.name = std::move(name);
  STOA_TRY(datatype, tensor.required_text("datatype"));
  if (datatype != "BYTES") return tensor.unsupported("datatype", "models here take text: BYTES");
  STOA_TRY(parameters, tensor.object("parameters"));
  if (parameters != nullptr && find(*parameters, "binary_data_size") != nullptr) return tensor.unsupported("parameters.binary_data_size", "send the data as JSON");
  STOA_TRY(shape, tensor.array("shape", kMaxDimensions));
  if (shape == nullptr || shape->empty()) return tensor.wrong("shape", "a list of sizes; it is required");
  std::int64_t size = 1;
  for (const Json& dimension : *shape) {
    if (!dimension.is_int64() || dimension.get_int64() < 1 || __builtin_mul_overflow(size, dimension.get_int64(), &size)) return tensor.wrong("shape", "a list of positive sizes");
    out.shape.push_back(dimension.get_int64());
  }
  STOA_TRY(data, tensor.array("data", kMaxValues));
  if (data == nullptr) return tensor.wrong("data", "a list of texts; it is required");
  for (const Json& item : *data) STOA_CHECK(flatten(tensor, item, out.values, 1));
  if (static_cast<std::int64_t>(out.values.size()) != size) return tensor.wrong("data", fmt::format("{} texts, as its shape says", size));
  return out;
}

Result<std::string> parse_id(const Fields& body) {
  STOA_TRY(id, body.text_or("id", ""));
  if (id.size() > kMaxId) return body.wrong("id", "at most 256 bytes");
  return id;
}

}  // namespace

Result<InferCall> parse_infer(const JsonObject& object) {
  const Fields body(object);
  InferCall call;
  STOA_TRY(id, parse_id(body));
  call.id = std::move(id);
  STOA_TRY(inputs, body.array("inputs", kMaxInputs));
  if (inputs == nullptr || inputs->empty()) return body.wrong("inputs", "a non-empty list of tensors; it is required");
  for (std::size_t i = 0; i < inputs->size(); ++i) {
    const std::string path = fmt::format("inputs[{}]", i);
    const JsonObject* tensor = (*inputs)[i].if_object();
    if (tensor == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    STOA_TRY(parsed, parse_tensor(Fields(*tensor, path)));
    call.inputs.push_back(std::move(parsed));
  }
  STOA_TRY(outputs, body.array("outputs", kMaxInputs));
  for (std::size_t i = 0; outputs != nullptr && i < outputs->size(); ++i) {
    const std::string path = fmt::format("outputs[{}]", i);
    const JsonObject* output = (*outputs)[i].if_object();
    if (output == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    const Fields fields(*output, path);
    STOA_TRY(name, fields.required_text("name"));
    STOA_TRY(parameters, fields.object("parameters"));
    if (parameters != nullptr && find(*parameters, "binary_data") != nullptr) return fields.unsupported("parameters.binary_data", "answers are JSON");
    call.outputs.push_back(std::move(name));
  }
  STOA_TRY(parameters, body.object("parameters"));
  if (parameters != nullptr) call.parameters = *parameters;
  return call;
}

Result<const TextTensor*> text_input(const InferCall& call, std::string_view name) {
  const auto found = std::ranges::find(call.inputs, name, &TextTensor::name);
  if (found == call.inputs.end()) return fail(error(ErrorCode::kInvalidArgument, "the input '{}' is missing", name).with_param("inputs").with_hint("the model's metadata names its inputs"));
  if (found->shape.size() > 2 || (found->shape.size() == 2 && found->shape[1] != 1))
    return fail(error(ErrorCode::kInvalidArgument, "the input '{}' has to have the shape [n] or [n,1]", name).with_param("inputs"));
  return &*found;
}

Status read_sampling(const JsonObject& object, ChatRequest& request) {
  const Fields parameters(object, "parameters");
  STOA_TRY(max_tokens, parameters.integer_or("max_tokens", 1, 1 << 20, 0));
  request.max_tokens = static_cast<int>(max_tokens);
  STOA_TRY(temperature, parameters.number_or("temperature", 0, 2, 1));
  request.sampling.temperature = temperature;
  STOA_TRY(top_p, parameters.number_or("top_p", 0, 1, 1));
  request.sampling.top_p = top_p;
  STOA_TRY(top_k, parameters.integer_or("top_k", 0, 1 << 20, 0));
  request.sampling.top_k = static_cast<int>(top_k);
  STOA_TRY(seed, parameters.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  if (seed) request.sampling.seed = static_cast<std::uint64_t>(*seed);
  STOA_TRY(stops, parameters.texts("stop", kMaxStops));
  for (const std::string& stop : stops)
    if (stop.empty()) return parameters.wrong("stop", "non-empty texts");
  request.stop = std::move(stops);
  return {};
}

Result<GenerateCall> parse_generate(const JsonObject& object) {
  const Fields body(object);
  GenerateCall call;
  STOA_TRY(id, parse_id(body));
  call.id = std::move(id);
  STOA_TRY(text, body.required_text("text_input"));
  call.request.prompt = std::move(text);
  STOA_TRY(parameters, body.object("parameters"));
  if (parameters != nullptr) STOA_CHECK(read_sampling(*parameters, call.request));
  return call;
}

JsonObject text_output(std::string_view name, std::span<const std::string> values) {
  return {{"name", name}, {"shape", JsonArray{static_cast<std::int64_t>(values.size())}}, {"datatype", "BYTES"}, {"data", JsonArray(values.begin(), values.end())}};
}

JsonObject float_output(std::string_view name, std::vector<std::int64_t> shape, std::span<const float> values) {
  return {{"name", name}, {"shape", JsonArray(shape.begin(), shape.end())}, {"datatype", "FP32"}, {"data", JsonArray(values.begin(), values.end())}};
}

JsonObject infer_json(std::string_view model, const InferCall& call, JsonArray outputs) {
  JsonObject out{{"model_name", model}, {"model_version", "1"}};
  if (!call.id.empty()) out["id"] = call.id;
  out["outputs"] = std::move(outputs);
  return out;
}

}  // namespace stoa::gateway::oip
