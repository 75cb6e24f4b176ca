#include "models/formats/gguf.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "models/formats/gguf_writer.h"

namespace stoa::models {
namespace {

std::vector<std::byte> zeros(std::size_t count) { return std::vector<std::byte>(count); }

std::vector<std::byte> sample() {
  GgufWriter writer;
  writer.add_string("general.architecture", "llama");
  writer.add_u32("llama.block_count", 2);
  writer.add_i64("minus", -5);
  writer.add_f32("eps", 0.5f);
  writer.add_bool("flag", true);
  writer.add_strings("tokens", std::vector<std::string>{"a", "", "ccc"});
  writer.add_i32s("types", std::vector<std::int32_t>{1, -2, 3});
  writer.add_f32s("scores", std::vector<float>{0.25f});
  writer.add_tensor("weight", DType::kF32, std::vector<std::int64_t>{2, 3}, zeros(24));
  writer.add_tensor("blocks", DType::kQ4_1, std::vector<std::int64_t>{2, 64}, zeros(80));
  return writer.finish();
}

TEST(Gguf, ReadsWhatTheWriterWrote) {
  const auto bytes = sample();
  const auto file = GgufFile::parse(bytes, "sample");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->get_string("general.architecture").value(), "llama");
  EXPECT_EQ(file->get_int("llama.block_count").value(), 2);
  EXPECT_EQ(file->get_int("minus").value(), -5);
  EXPECT_EQ(file->get_float("eps").value(), 0.5);
  EXPECT_EQ(file->get_float("minus").value(), -5.0);
  EXPECT_TRUE(file->get_bool("flag").value());
  EXPECT_EQ(file->get_array("tokens").value().strings[2], "ccc");
  EXPECT_EQ(file->get_array("types").value().int_at(1), -2);
  EXPECT_EQ(file->get_array("scores", GgufType::kF32).value().float_at(0), 0.25);
  EXPECT_EQ(file->get_int_or("absent", 7).value(), 7);
  ASSERT_NE(file->tensor("blocks"), nullptr);
  EXPECT_EQ(file->tensor("weight")->shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(file->tensor("blocks")->data.size(), 80u);
  EXPECT_EQ((file->tensor("blocks")->data.data() - file->tensor("weight")->data.data()) % 32, 0);
  EXPECT_EQ(file->tensor("absent"), nullptr);
}

TEST(Gguf, ViewsSurviveAMove) {
  const auto bytes = sample();
  auto file = std::move(GgufFile::parse(bytes, "sample").value());
  const GgufFile moved = std::move(file);
  EXPECT_EQ(moved.get_array("tokens").value().strings[0], "a");
  EXPECT_EQ(moved.tensor("weight")->name, "weight");
}

TEST(Gguf, WrongKeysAndTypesAreNamed) {
  const auto bytes = sample();
  const auto file = GgufFile::parse(bytes, "sample");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->get_int("absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(file->get_string("eps").error().message, "sample: metadata key 'eps' has type f32, expected string");
  EXPECT_FALSE(file->get_int("eps"));
  EXPECT_FALSE(file->get_bool("llama.block_count"));
  EXPECT_FALSE(file->get_array("eps"));
  EXPECT_FALSE(file->get_array("types", GgufType::kString));
  EXPECT_FALSE(file->get_string_or("eps", ""));
}

TEST(Gguf, OpensAFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "stoa_gguf_test.gguf";
  const auto bytes = sample();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_NE(file->tensor("weight"), nullptr);
  std::filesystem::remove(path);
  EXPECT_EQ(GgufFile::open(path).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(GgufFile::open(testing::TempDir()).error().code, ErrorCode::kInvalidArgument);
}

TEST(Gguf, EveryTruncationIsAnError) {
  const auto bytes = sample();
  const std::size_t data_end = bytes.size() - 16;  // the writer pads the end, which no tensor needs
  for (std::size_t size = 0; size < data_end; ++size) {
    const auto file = GgufFile::parse(std::span(bytes).first(size), "cut");
    ASSERT_FALSE(file) << size;
    EXPECT_TRUE(file.error().message.starts_with("cut: ")) << file.error().message;
  }
}

// Lies are told by patching a field of a small file: each row names where, what, and what the error must speak of.
struct Lie {
  const char* name;
  std::function<void(std::string&)> tell;
  const char* expected;
};

template <class T>
void patch(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}
// Offset just behind `text` in the file.
std::size_t behind(const std::string& bytes, std::string_view text) { return bytes.find(text) + text.size(); }

TEST(Gguf, LiesAreFound) {
  const auto valid = sample();
  const Lie kLies[] = {
      {"magic", [](std::string& b) { b[0] = 'X'; }, "magic"},
      {"version", [](std::string& b) { patch<std::uint32_t>(b, 4, 1); }, "version 1"},
      {"byte order", [](std::string& b) { patch<std::uint32_t>(b, 4, 0x03000000); }, "big-endian"},
      {"tensor count", [](std::string& b) { patch<std::uint64_t>(b, 8, ~0ull); }, "tensor count"},
      {"entry count", [](std::string& b) { patch<std::uint64_t>(b, 16, 1ull << 60); }, "metadata count"},
      {"key length", [](std::string& b) { patch<std::uint64_t>(b, 24, ~0ull); }, "metadata key 0"},
      {"value type", [](std::string& b) { patch<std::uint32_t>(b, behind(b, "eps"), 99); }, "eps: unknown value type 99"},
      {"string length", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "general.architecture") + 4, 1ull << 63); }, "general.architecture"},
      {"array type", [](std::string& b) { patch<std::uint32_t>(b, behind(b, "types") + 4, 77); }, "types: unknown value type 77"},
      {"array count", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "types") + 8, ~0ull / 4 + 2); }, "types"},
      {"array of strings", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "tokens") + 8, 1ull << 40); }, "tokens"},
      {"nested arrays", [](std::string& b) { patch<std::uint32_t>(b, behind(b, "types") + 4, 9); }, "types"},
      {"same key twice", [](std::string& b) { std::memcpy(b.data() + b.find("minus"), "flag\0", 5), b[b.find("eps")] = 'e'; b.replace(b.find("scores"), 6, "tokens"); }, "appears twice"},
      {"dimensions", [](std::string& b) { patch<std::uint32_t>(b, behind(b, "weight"), 5); }, "5 dimensions"},
      {"zero size", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "weight") + 4, 0); }, "impossible size 0"},
      {"overflow", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "weight") + 4, 1ull << 62), patch<std::uint64_t>(b, behind(b, "weight") + 12, 1ull << 62); }, "impossible size"},
      {"too many bytes", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "weight") + 12, 1ull << 60); }, "'weight'"},
      {"tensor type", [](std::string& b) { patch<std::uint32_t>(b, behind(b, "weight") + 20, 4); }, "element type 4 is not supported"},
      {"ragged blocks", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "blocks") + 4, 33); }, "whole blocks of 32"},
      {"unaligned offset", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "blocks") + 24, 33); }, "multiple of the alignment"},
      {"offset beyond the end", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "blocks") + 24, 1ull << 40); }, "beyond"},
      {"offset near 2^64", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "blocks") + 24, ~31ull); }, "beyond"},
      {"overlap", [](std::string& b) { patch<std::uint64_t>(b, behind(b, "blocks") + 24, 0); }, "overlaps"},
      {"same tensor twice", [](std::string& b) { b.replace(b.find("blocks"), 6, "weight"); }, "appears twice"},
  };
  for (const auto& lie : kLies) {
    std::string bytes(reinterpret_cast<const char*>(valid.data()), valid.size());
    lie.tell(bytes);
    const auto file = GgufFile::parse(std::as_bytes(std::span(bytes)), "lie");
    ASSERT_FALSE(file) << lie.name;
    EXPECT_NE(file.error().message.find(lie.expected), std::string::npos) << lie.name << ": " << file.error().message;
    EXPECT_TRUE(file.error().message.starts_with("lie: ")) << file.error().message;
  }
}

TEST(Gguf, AlignmentMustBeAPowerOfTwo) {
  for (const auto& [value, good] : {std::pair(64u, true), std::pair(0u, false), std::pair(48u, false), std::pair(1u << 20, false)}) {
    GgufWriter writer;
    writer.add_u32("general.alignment", value);
    const auto bytes = writer.finish();
    EXPECT_EQ(GgufFile::parse(bytes, "file").has_value(), good) << value;
  }
}

}  // namespace
}  // namespace stoa::models
