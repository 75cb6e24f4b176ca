#include "models/formats/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

std::string file_of(std::string_view header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  out += header;
  out.append(data_bytes, '\1');
  return out;
}

Result<SafetensorsFile> parse(const std::string& bytes) { return SafetensorsFile::parse(std::as_bytes(std::span(bytes)), "file"); }

TEST(Safetensors, ReadsTensorsInDataOrder) {
  const auto bytes = file_of(R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[4,20]},)"
                             R"("a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"empty":{"dtype":"I64","shape":[0,3],"data_offsets":[20,20]},)"
                             R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[20,21]}})",
                             21);
  const auto file = parse(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->metadata().at("format"), "pt");
  ASSERT_EQ(file->tensors().size(), 4u);
  EXPECT_EQ(file->tensors()[0].name, "a");
  EXPECT_EQ(file->tensor("b")->shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(file->tensor("b")->data.size(), 16u);
  EXPECT_EQ(file->tensor("a")->dtype, DType::kBF16);
  EXPECT_TRUE(file->tensor("empty")->data.empty());
  EXPECT_EQ(file->tensor("scalar")->elements(), 1);
  EXPECT_EQ(file->tensor("absent"), nullptr);
}

TEST(Safetensors, LiesAreFound) {
  const auto tensor = [](std::string_view fields) { return file_of("{\"t\":{" + std::string(fields) + "}}", 16); };
  const std::pair<std::string, const char*> kLies[] = {
      {"", "too few"},
      {"abc", "too few"},
      {std::string(8, '\xff'), "exceeds the limit"},
      {file_of("{}", 0).substr(0, 9), "exceeds the"},
      {file_of("{", 0), "header"},
      {file_of("[]", 0), "not an object"},
      {file_of(R"({"__metadata__":[]})", 0), "__metadata__"},
      {file_of(R"({"__metadata__":{"a":1}})", 0), "'a'"},
      {file_of(R"({"t":3})", 0), "'t'"},
      {tensor(R"("shape":[4],"data_offsets":[0,16])"), "dtype is missing"},
      {tensor(R"("dtype":"F7","shape":[4],"data_offsets":[0,16])"), "'F7' is not supported"},
      {tensor(R"("dtype":"F32","data_offsets":[0,16])"), "shape"},
      {tensor(R"("dtype":"F32","shape":[-4],"data_offsets":[0,16])"), "shape is -4"},
      {tensor(R"("dtype":"F32","shape":[4.5],"data_offsets":[0,16])"), "shape"},
      {tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), "at most 8"},
      {tensor(R"("dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,16])"), "impossible"},
      {tensor(R"("dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0])"), "impossible"},
      {tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0])"), "not a pair"},
      {tensor(R"("dtype":"F32","shape":[4],"data_offsets":[0,12])"), "do not hold the 16 bytes"},
      {tensor(R"("dtype":"F32","shape":[4],"data_offsets":[16,0])"), "do not hold"},
      {tensor(R"("dtype":"F32","shape":[4],"data_offsets":[8,24])"), "has 16 bytes"},
      {file_of(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[4,12]}})", 16), "overlaps"},
      {file_of(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{},"a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})", 16), "tensor 'a' appears twice"},
      {file_of(R"({"a\"":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"\u0061\"":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}})", 16), "appears twice"},
  };
  for (const auto& [bytes, expected] : kLies) {
    const auto file = parse(bytes);
    ASSERT_FALSE(file) << expected;
    EXPECT_NE(file.error().message.find(expected), std::string::npos) << file.error().message;
    EXPECT_TRUE(file.error().message.starts_with("file: "));
  }
}

}  // namespace
}  // namespace stoa::models
