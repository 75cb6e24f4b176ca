// For tests: small models with random weights, as GGUF bytes that the readers accept, of every family and weight type.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "models/formats/dtype.h"
#include "models/formats/gguf_writer.h"

namespace stoa::models {

struct TinyModel {
  std::string architecture = "llama";
  DType dtype = DType::kF32;  // of the matrices; norms and biases are F32
  int layers = 2, width = 256, heads = 4, kv_heads = 2, head_dim = 64, feed_forward = 512, context_length = 256;
  int window = 0;             // of every layer; 0: none
  bool own_head = false;      // output.weight beside token_embd.weight
  bool rope_factors = false;  // Llama 3's
  std::string markers;        // of a family's tool calls or reasoning: a comment in the chat template, by which they are known
  std::uint32_t seed = 1;
  std::string leave_out;      // a tensor that the file shall lack

  static constexpr int kBytes = 256;
  static constexpr std::int32_t kImStart = 256, kImEnd = 257, kVocabulary = 258;

  std::vector<std::byte> build() const;

 private:
  std::vector<std::byte> matrix(std::mt19937& random, int rows, int cols) const;
};

// Random blocks of a type: any bytes are valid quants; only the scales, which are halves, have to be sane numbers.
inline std::vector<std::byte> random_tensor(std::mt19937& random, DType dtype, std::size_t values, float scale) {
  std::vector<std::byte> bytes(dtype_bytes(dtype, values));
  std::normal_distribution<float> normal(0.0f, scale);
  if (dtype == DType::kF32) {
    for (std::size_t i = 0; i < values; ++i) {
      const float value = normal(random);
      std::memcpy(bytes.data() + i * 4, &value, 4);
    }
    return bytes;
  }
  if (dtype == DType::kF16 || dtype == DType::kBF16) {
    for (std::size_t i = 0; i < values; ++i) {
      const float value = normal(random);
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, 4);
      // BF16 is the upper half of a float. For F16 the exponent is rebased (values here are far from its limits).
      auto half = static_cast<std::uint16_t>(bits >> 16);
      if (dtype == DType::kF16) {
        const int exponent = static_cast<int>((bits >> 23) & 255u) - 112;
        half = exponent <= 0 ? 0 : static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | static_cast<std::uint32_t>(exponent) << 10 | (bits >> 13 & 1023u));
      }
      std::memcpy(bytes.data() + i * 2, &half, 2);
    }
    return bytes;
  }
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() & 255u);
  // Halves that give weights of about 0.05 around zero: the step and, where the type has one, the minimum.
  constexpr struct { DType dtype; std::size_t step_at; std::uint16_t step, minimum; } kScales[] = {
      {DType::kQ8_0, 0, 0x1000, 0},      {DType::kQ4_0, 0, 0x2000, 0},      {DType::kQ4_1, 0, 0x2000, 0xac00}, {DType::kQ5_0, 0, 0x1c00, 0},
      {DType::kQ5_1, 0, 0x1c00, 0xac00}, {DType::kQ4_K, 0, 0x0c00, 0x1800}, {DType::kQ5_K, 0, 0x0800, 0x1800}, {DType::kQ6_K, 208, 0x0400, 0}};
  const auto* scales = std::ranges::find(kScales, dtype, [](const auto& s) { return s.dtype; });
  const auto& info = dtype_info(dtype);
  for (std::size_t at = 0; at < bytes.size(); at += info.block_bytes) {
    std::memcpy(bytes.data() + at + scales->step_at, &scales->step, 2);
    if (scales->minimum != 0) std::memcpy(bytes.data() + at + 2, &scales->minimum, 2);
  }
  return bytes;
}

inline std::vector<std::byte> TinyModel::matrix(std::mt19937& random, int rows, int cols) const {
  return random_tensor(random, dtype, static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols), 0.06f);
}

// The characters that stand for the 256 bytes in a byte-level vocabulary (GPT-2's table).
inline std::string byte_character(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255); };
  char32_t rune = static_cast<char32_t>(byte);
  if (!printable(byte)) {
    rune = 256;
    for (int b = 0; b < byte; ++b) rune += printable(b) ? 0 : 1;
  }
  std::string out;
  append_rune(out, rune);
  return out;
}

inline std::vector<std::byte> TinyModel::build() const {
  std::mt19937 random(seed);
  GgufWriter writer;
  const auto key = [&](const char* suffix) { return architecture + "." + suffix; };
  writer.add_string("general.architecture", architecture);
  writer.add_string("general.name", "tiny " + architecture);
  writer.add_u32(key("block_count"), static_cast<std::uint32_t>(layers));
  writer.add_u32(key("embedding_length"), static_cast<std::uint32_t>(width));
  writer.add_u32(key("attention.head_count"), static_cast<std::uint32_t>(heads));
  writer.add_u32(key("attention.head_count_kv"), static_cast<std::uint32_t>(kv_heads));
  writer.add_u32(key("attention.key_length"), static_cast<std::uint32_t>(head_dim));
  writer.add_u32(key("feed_forward_length"), static_cast<std::uint32_t>(feed_forward));
  writer.add_u32(key("context_length"), static_cast<std::uint32_t>(context_length));
  if (window > 0) writer.add_u32(key("attention.sliding_window"), static_cast<std::uint32_t>(window));
  writer.add_f32(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  writer.add_f32(key("rope.freq_base"), 10000.0f);

  std::vector<std::string> tokens;
  std::vector<std::int32_t> types(kVocabulary, 1);
  for (int byte = 0; byte < kBytes; ++byte) tokens.push_back(byte_character(byte));
  tokens.insert(tokens.end(), {"<|im_start|>", "<|im_end|>"});
  types[kImStart] = types[kImEnd] = 3;
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", "smollm");
  writer.add_strings("tokenizer.ggml.tokens", tokens);
  writer.add_i32s("tokenizer.ggml.token_type", types);
  writer.add_strings("tokenizer.ggml.merges", {});
  writer.add_u32("tokenizer.ggml.bos_token_id", kImStart);
  writer.add_u32("tokenizer.ggml.eos_token_id", kImEnd);
  writer.add_bool("tokenizer.ggml.add_bos_token", false);
  writer.add_string("tokenizer.chat_template",
                    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n" +
                        (markers.empty() ? "" : "{# " + markers + " #}"));

  const auto add = [&](const std::string& name, DType type, std::vector<std::int64_t> shape, const std::vector<std::byte>& data) {
    if (name != leave_out) writer.add_tensor(name, type, shape, data);
  };
  const auto add_matrix = [&](const std::string& name, int rows, int cols) { add(name, dtype, {rows, cols}, matrix(random, rows, cols)); };
  const auto add_vector = [&](const std::string& name, int n, float mean, float spread) {
    std::normal_distribution<float> normal(mean, spread);
    std::vector<std::byte> data(static_cast<std::size_t>(n) * 4);
    for (int i = 0; i < n; ++i) {
      const float value = normal(random);
      std::memcpy(data.data() + i * 4, &value, 4);
    }
    add(name, DType::kF32, {n}, data);
  };
  const int q_size = heads * head_dim, kv_size = kv_heads * head_dim;
  add_matrix("token_embd.weight", kVocabulary, width);
  if (own_head) add_matrix("output.weight", kVocabulary, width);
  if (rope_factors) add_vector("rope_freqs.weight", head_dim / 2, 4.0f, 0.5f);
  add_vector("output_norm.weight", width, 1.0f, 0.1f);
  for (int i = 0; i < layers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    add_vector(prefix + "attn_norm.weight", width, 1.0f, 0.1f);
    add_vector(prefix + "ffn_norm.weight", width, 1.0f, 0.1f);
    add_matrix(prefix + "attn_q.weight", q_size, width);
    add_matrix(prefix + "attn_k.weight", kv_size, width);
    add_matrix(prefix + "attn_v.weight", kv_size, width);
    add_matrix(prefix + "attn_output.weight", width, q_size);
    add_matrix(prefix + "ffn_gate.weight", feed_forward, width);
    add_matrix(prefix + "ffn_up.weight", feed_forward, width);
    add_matrix(prefix + "ffn_down.weight", width, feed_forward);
    if (architecture == "qwen2") {
      add_vector(prefix + "attn_q.bias", q_size, 0.0f, 0.5f);
      add_vector(prefix + "attn_k.bias", kv_size, 0.0f, 0.5f);
      add_vector(prefix + "attn_v.bias", kv_size, 0.0f, 0.5f);
    }
    if (architecture == "qwen3") {
      add_vector(prefix + "attn_q_norm.weight", head_dim, 1.0f, 0.1f);
      add_vector(prefix + "attn_k_norm.weight", head_dim, 1.0f, 0.1f);
    }
  }
  return writer.finish();
}

}  // namespace stoa::models
