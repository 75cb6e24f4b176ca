// Writes a GGUF model with the shape of a known one and random BF16 weights: random_model SHAPE OUT.gguf. Speed depends on shapes, not on values,
// so that engines can be measured without fetching gigabytes. Its vocabulary is synthetic byte-level BPE of the real size: all bytes, then
// strings of up to four letters, with and without a space before, each merged from the string without its last letter and that letter.
// Bytes and control tokens have embeddings of zeros, so that the most likely token is a word: answers are plain text and do not end early.
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "models/formats/gguf_writer.h"

namespace {

using namespace stoa;
using namespace stoa::models;

struct Shape {
  const char* name;
  const char* family;
  const char* cutter;  // tokenizer.ggml.pre
  int width, layers, heads, kv_heads, feed_forward, vocabulary, context;
  float rope_base;
  bool bias;  // of queries, keys and values
};

constexpr Shape kShapes[] = {
    {"tiny", "llama", "llama-bpe", 256, 4, 4, 2, 512, 4096, 8192, 10000, false},
    {"qwen2.5-0.5b", "qwen2", "qwen2", 896, 24, 14, 2, 4864, 151936, 32768, 1000000, true},
    {"llama-3.2-1b", "llama", "llama-bpe", 2048, 16, 32, 8, 8192, 128256, 131072, 500000, false},
};

constexpr std::size_t kBytes = 256;
constexpr std::array kSpecial = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
constexpr const char* kTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Bytes as the characters that GPT-2's vocabulary writes them with: printable ones stand for themselves, the others follow from U+0100.
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < kBytes; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    append_rune(tokens.emplace_back(), static_cast<char32_t>(itself ? byte : next++));
  }
  return tokens;
}

struct Vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<std::int32_t> types;
};

Vocabulary make_vocabulary(int size) {
  Vocabulary vocabulary;
  vocabulary.tokens = byte_tokens();
  const std::size_t plain = static_cast<std::size_t>(size) - kSpecial.size();
  std::vector<std::string> stems{vocabulary.tokens[' ']};
  for (char letter = 'a'; letter <= 'z'; ++letter) stems.push_back(std::string(1, letter));
  while (vocabulary.tokens.size() < plain) {
    std::vector<std::string> longer;
    for (const auto& stem : stems) {
      for (char letter = 'a'; letter <= 'z' && vocabulary.tokens.size() < plain; ++letter) {
        longer.push_back(stem + letter);
        vocabulary.tokens.push_back(longer.back());
        vocabulary.merges.push_back(stem + ' ' + letter);
      }
    }
    stems = std::move(longer);
  }
  vocabulary.types.assign(plain, 1);  // normal
  for (const char* special : kSpecial) {
    vocabulary.tokens.emplace_back(special);
    vocabulary.types.push_back(3);  // control
  }
  return vocabulary;
}

struct Tensor {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;
  double deviation;      // 0: all ones
  bool tokens = false;   // rows are tokens

  std::size_t elements() const {
    std::size_t product = 1;
    for (const auto size : shape) product *= static_cast<std::size_t>(size);
    return product;
  }
};

std::vector<Tensor> tensors_of(const Shape& shape) {
  const std::int64_t width = shape.width, head = width / shape.heads, kv = head * shape.kv_heads, inner = shape.feed_forward;
  std::vector<Tensor> tensors;
  const auto matrix = [&](std::string name, std::int64_t rows, std::int64_t columns) {
    tensors.push_back({name + ".weight", DType::kBF16, {rows, columns}, 1 / std::sqrt(static_cast<double>(columns))});
  };
  const auto vector = [&](std::string name, std::int64_t size, double deviation) { tensors.push_back({std::move(name), DType::kF32, {size}, deviation}); };
  matrix("token_embd", shape.vocabulary, width);
  tensors.back().tokens = true;
  vector("output_norm.weight", width, 0);
  for (int layer = 0; layer < shape.layers; ++layer) {
    const std::string at = "blk." + std::to_string(layer) + ".";
    vector(at + "attn_norm.weight", width, 0);
    matrix(at + "attn_q", width, width);
    matrix(at + "attn_k", kv, width);
    matrix(at + "attn_v", kv, width);
    if (shape.bias) {
      vector(at + "attn_q.bias", width, 0.1);
      vector(at + "attn_k.bias", kv, 0.1);
      vector(at + "attn_v.bias", kv, 0.1);
    }
    matrix(at + "attn_output", width, width);
    vector(at + "ffn_norm.weight", width, 0);
    matrix(at + "ffn_gate", inner, width);
    matrix(at + "ffn_up", inner, width);
    matrix(at + "ffn_down", width, inner);
  }
  return tensors;
}

// Sums of four uniform 16-bit numbers: near enough to normal, and fast (splitmix64).
class Random {
 public:
  float next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    const auto sum = static_cast<int>((z & 0xffff) + (z >> 16 & 0xffff) + (z >> 32 & 0xffff) + (z >> 48));
    return static_cast<float>(sum - 2 * 0xffff) * kToUnit;
  }

 private:
  static constexpr float kToUnit = 1.0f / 37837.0f;  // the deviation of the sum: 65536 / sqrt(3)
  std::uint64_t state_ = 1;
};

void write_metadata(GgufWriter& writer, const Shape& shape) {
  const std::string at = std::string(shape.family) + ".";
  const auto number = [&](const char* key, int value) { writer.add_u32(at + key, static_cast<std::uint32_t>(value)); };
  writer.add_string("general.architecture", shape.family);
  writer.add_string("general.name", std::string(shape.name) + " with random weights");
  writer.add_u32("general.file_type", 32);
  number("block_count", shape.layers);
  number("context_length", shape.context);
  number("embedding_length", shape.width);
  number("feed_forward_length", shape.feed_forward);
  number("attention.head_count", shape.heads);
  number("attention.head_count_kv", shape.kv_heads);
  number("rope.dimension_count", shape.width / shape.heads);
  number("vocab_size", shape.vocabulary);
  writer.add_f32(at + "attention.layer_norm_rms_epsilon", 1e-6f);
  writer.add_f32(at + "rope.freq_base", shape.rope_base);
  const Vocabulary vocabulary = make_vocabulary(shape.vocabulary);
  writer.add_string("tokenizer.ggml.model", "gpt2");
  writer.add_string("tokenizer.ggml.pre", shape.cutter);
  writer.add_strings("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.add_i32s("tokenizer.ggml.token_type", vocabulary.types);
  writer.add_strings("tokenizer.ggml.merges", vocabulary.merges);
  writer.add_u32("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(shape.vocabulary - 1));
  writer.add_u32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(shape.vocabulary) - static_cast<std::uint32_t>(kSpecial.size()));
  writer.add_bool("tokenizer.ggml.add_bos_token", false);
  writer.add_string("tokenizer.chat_template", kTemplate);
}

bool write_model(const Shape& shape, const char* path) {
  GgufWriter writer;
  write_metadata(writer, shape);
  const auto tensors = tensors_of(shape);
  for (const auto& tensor : tensors) writer.declare_tensor(tensor.name, tensor.dtype, tensor.shape, dtype_bytes(tensor.dtype, tensor.elements()));
  std::ofstream out(path, std::ios::binary);
  const std::string head = writer.head();
  out.write(head.data(), static_cast<std::streamsize>(head.size()));
  Random random;
  std::string bytes;
  for (const auto& tensor : tensors) {
    const std::size_t item = dtype_bytes(tensor.dtype, 1), count = tensor.elements();
    bytes.assign((count * item + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment, '\0');
    const std::size_t columns = static_cast<std::size_t>(tensor.shape.back()), rows = count / columns;
    for (std::size_t i = 0; i < count; ++i) {
      if (tensor.tokens && (i / columns < kBytes || i / columns >= rows - kSpecial.size())) continue;
      const float value = tensor.deviation == 0 ? 1 : static_cast<float>(tensor.deviation) * random.next();
      // The upper half of a float is the same number in BF16, rounded towards zero.
      std::memcpy(bytes.data() + i * item, reinterpret_cast<const char*>(&value) + (sizeof value - item), item);
    }
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  out.close();
  return out.good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) {
    for (const auto& shape : kShapes) {
      if (shape.name != std::string_view(argv[1])) continue;
      if (write_model(shape, argv[2])) return 0;
      std::cerr << "random_model: cannot write " << argv[2] << '\n';
      return 1;
    }
  }
  std::cerr << "usage: random_model SHAPE OUT.gguf, with one of these shapes:";
  for (const auto& shape : kShapes) std::cerr << ' ' << shape.name;
  std::cerr << '\n';
  return 2;
}
