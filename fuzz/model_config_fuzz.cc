// What a model file says about its architecture (an encoder's config.json when the bytes begin with "{", GGUF otherwise):
// an error, or sizes that computing with is safe.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/engine/model_config.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::models;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.starts_with('{')) {
    if (const auto config = read_encoder_config(text, "config.json"))
      require(config->layers > 0 && config->heads > 0 && config->width % config->heads == 0 && config->feed_forward > 0 && config->vocabulary > 0 && config->positions > 0);
    return 0;
  }
  const auto file = GgufFile::parse(std::as_bytes(std::span(text)), "fuzz");
  if (!file) return 0;
  if (const auto config = read_encoder_config(*file))
    require(config->layers > 0 && config->heads > 0 && config->width % config->heads == 0 && config->feed_forward > 0 && config->vocabulary > 0 && config->positions > 0 &&
            config->token_types > 0);
  const auto config = read_decoder_config(*file);
  if (!config) return 0;
  require(config->layers > 0 && config->kv_heads > 0 && config->heads % config->kv_heads == 0 && config->head_dim > 0 && config->context_length > 0 && config->vocabulary > 0);
  require(config->experts.used <= config->experts.count && config->plan.size() == static_cast<std::size_t>(config->layers));
  for (const auto& rope : config->ropes) require(rope.dim >= 0 && rope.dim % 2 == 0 && rope.dim <= config->head_dim);
  for (const auto& layer : config->plan) require(layer.window >= 0 && static_cast<std::size_t>(layer.rope) < config->ropes.size());
  return 0;
}
