// Embeddings: the wire's JSON <-> texts and vectors. Vectors travel as lists of numbers or as base64 of little-endian float32.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gateway/api/fields.h"

namespace stoa::gateway::openai {

inline constexpr std::size_t kMaxEmbeddingInputs = 2048;

struct EmbeddingCall {
  std::string model;
  std::vector<std::string> inputs;
  bool base64 = false;
  std::optional<std::int64_t> dimensions;  // must equal the model's
};

Result<EmbeddingCall> parse_embeddings(const JsonObject& body);

// `values` holds rows of `dimensions` numbers, one row an input.
JsonObject embeddings_json(std::string_view model, std::span<const float> values, int dimensions, bool base64, std::int64_t tokens);

std::string base64_floats(std::span<const float> values);

}  // namespace stoa::gateway::openai
