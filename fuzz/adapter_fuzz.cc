// Any bytes as a LoRA adapter (a line of adapter_config.json and the safetensors file after it when they begin with "{", a GGUF file
// otherwise): an error, or matrices that fit the model.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/adapter.h"
#include "require.h"

namespace {

using namespace stoa::models;

DecoderConfig small_model() {
  DecoderConfig config;
  config.architecture = "llama";
  config.layers = 2;
  config.width = 32;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.feed_forward = 48;
  config.ropes = {{.style = RopeStyle::kInterleaved, .dim = 16}};
  config.plan.resize(2);
  return config;
}

void check(const Adapter& adapter, const DecoderConfig& config) {
  require(adapter.rank() > 0 && adapter.rank() % 16 == 0);
  std::size_t bytes = 0;
  for (int layer = 0; layer < config.layers; ++layer) {
    for (int m = 0; m < kMatrices; ++m) {
      const auto* low = adapter.find(layer, static_cast<Matrix>(m));
      if (low == nullptr) continue;
      require(low->a.rows == low->b.cols && low->a.rows <= adapter.rank() && low->a.cols > 0 && low->b.rows > 0);
      bytes += sizeof(float) * static_cast<std::size_t>(low->b.rows) * static_cast<std::size_t>(low->b.cols);
    }
  }
  require(bytes > 0 && bytes < adapter.bytes());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const DecoderConfig kConfig = small_model();
  static ThreadPool threads(1);
  static CpuBackend backend(threads);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!text.starts_with('{')) {
    const auto file = GgufFile::parse(std::as_bytes(std::span(text)), "fuzz");
    if (!file) return 0;
    if (const auto adapter = Adapter::from_gguf(*file, kConfig, backend)) check(**adapter, kConfig);
    return 0;
  }
  const auto line = text.substr(0, text.find('\n'));
  const auto file = SafetensorsFile::parse(std::as_bytes(std::span(text.substr(std::min(line.size() + 1, size)))), "fuzz");
  if (!file) return 0;
  if (const auto adapter = Adapter::from_peft(line, "adapter_config.json", *file, kConfig, backend)) check(**adapter, kConfig);
  return 0;
}
