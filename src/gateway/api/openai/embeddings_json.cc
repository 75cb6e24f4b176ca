#include "gateway/api/openai/embeddings_json.h"

#include <bit>

namespace stoa::gateway::openai {

Result<EmbeddingCall> parse_embeddings(const JsonObject& object) {
  const Fields body(object);
  EmbeddingCall call;
  STOA_TRY(model, body.required_text("model"));
  call.model = std::move(model);
  const Json* input = body.get("input");
  if (input != nullptr && input->is_array() && !input->get_array().empty() && !input->get_array()[0].is_string())
    return body.unsupported("input", "token ids are not accepted, send text");
  STOA_TRY(inputs, body.texts("input", kMaxEmbeddingInputs));
  if (inputs.empty()) return body.wrong("input", "a string or a non-empty list of strings; it is required");
  for (const std::string& text : inputs)
    if (text.empty()) return body.wrong("input", "non-empty: an empty text has no embedding");
  call.inputs = std::move(inputs);
  STOA_TRY(format, body.text_or("encoding_format", "float"));
  if (format != "float" && format != "base64") return body.wrong("encoding_format", "'float' or 'base64'");
  call.base64 = format == "base64";
  STOA_TRY(dimensions, body.integer("dimensions", 1, 1 << 16));
  call.dimensions = dimensions;
  return call;
}

std::string base64_floats(std::span<const float> values) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t size = values.size() * 4;
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < size ? (std::bit_cast<std::uint32_t>(values[i / 4]) >> (8 * (i % 4))) & 0xff : 0;
  };
  std::string out;
  out.reserve((size + 2) / 3 * 4);
  for (std::size_t i = 0; i < size; i += 3) {
    const std::uint32_t bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += kAlphabet[bits >> 18];
    out += kAlphabet[bits >> 12 & 63];
    out += i + 1 < size ? kAlphabet[bits >> 6 & 63] : '=';
    out += i + 2 < size ? kAlphabet[bits & 63] : '=';
  }
  return out;
}

JsonObject embeddings_json(std::string_view model, std::span<const float> values, int dimensions, bool base64, std::int64_t tokens) {
  JsonArray data;
  const auto width = static_cast<std::size_t>(dimensions);
  for (std::size_t row = 0; width > 0 && (row + 1) * width <= values.size(); ++row) {
    const auto vector = values.subspan(row * width, width);
    JsonObject item;
    item["object"] = "embedding";
    item["index"] = row;
    if (base64) {
      item["embedding"] = base64_floats(vector);
    } else {
      JsonArray numbers;
      numbers.reserve(width);
      for (const float value : vector) numbers.emplace_back(static_cast<double>(value));
      item["embedding"] = std::move(numbers);
    }
    data.emplace_back(std::move(item));
  }
  JsonObject usage, out;
  usage["prompt_tokens"] = tokens;
  usage["total_tokens"] = tokens;
  out["object"] = "list";
  out["data"] = std::move(data);
  out["model"] = model;
  out["usage"] = std::move(usage);
  return out;
}

}  // namespace stoa::gateway::openai
