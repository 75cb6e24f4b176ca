#include "models/compute/dequantize.h"

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include <gtest/gtest.h>


namespace stoa::models {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return out;
}

// Every format against values that an independent implementation computed (dequantize_golden.txt says which).
TEST(Dequantize, EqualsGoldenValues) {
  std::ifstream file(STOA_SOURCE_DIR "/src/models/compute/dequantize_golden.txt");
  ASSERT_TRUE(file.is_open());
  int lines = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string name, block_hex, value_hex;
    fields >> name >> block_hex >> value_hex;
    const DTypeInfo* info = nullptr;
    for (const DTypeInfo& entry : dtype_table()) {
      if (entry.name == name) info = &entry;
    }
    ASSERT_NE(info, nullptr) << name;
    const std::vector<std::byte> block = from_hex(block_hex);
    const std::vector<std::byte> expected = from_hex(value_hex);
    const std::size_t n = expected.size() / 4;
    ASSERT_EQ(block.size(), bytes_of(*info, n)) << name;
    std::vector<float> actual(n);
    dequantize_row(info->dtype, block.data(), static_cast<int>(n), actual.data());
    for (std::size_t i = 0; i < n; ++i) {
      float value;
      std::memcpy(&value, expected.data() + 4 * i, sizeof value);
      EXPECT_EQ(actual[i], value) << name << " value " << i;
    }
    ++lines;
  }
  EXPECT_EQ(lines, 15);
}

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f16_to_f32(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      EXPECT_EQ(f32_to_f16(value), bits);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  struct Case {
    float value;
    std::uint16_t bits;
  };
  const Case cases[] = {
      {1.0f, 0x3c00},      {1.0f + 0x1p-11f, 0x3c00}, {1.0f + 0x1p-11f + 0x1p-20f, 0x3c01}, {1.0f + 3 * 0x1p-11f, 0x3c02},
      {65504.0f, 0x7bff},  {65519.9f, 0x7bff},        {65520.0f, 0x7c00},                   {-1e9f, 0xfc00},
      {0x1p-24f, 0x0001},  {0x1p-25f, 0x0000},        {1.5f * 0x1p-25f, 0x0001},            {0x1.ffcp-15f, 0x0400},
      {-0.0f, 0x8000},     {std::numeric_limits<float>::infinity(), 0x7c00},
  };
  for (const Case& c : cases) EXPECT_EQ(f32_to_f16(c.value), c.bits) << c.value;
}

}  // namespace
}  // namespace stoa::models
