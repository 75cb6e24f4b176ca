#include "data/index/analysis/unspaced.h"

#include <random>

#include <gtest/gtest.h>

namespace stoa::data {
namespace {

TEST(Unspaced, Words) {
  const struct {
    std::string_view text;
    std::string_view prefix;
    std::vector<std::string> words;
  } table[] = {
      {"密钥，每天轮换。 and more", "密钥，每天轮换。", {"密", "钥", "每天", "轮换"}},
      {"“备份”abc", "“备份”", {"备份"}},
      {"バックアップ", "バックアップ", {"バックアップ"}},
      {"ﾊﾞｯｸｱｯﾌﾟ９０", "ﾊﾞｯｸｱｯﾌﾟ９０", {"バックアップ", "90"}},
      {"กุญแจถูกเปลี่ยน", "กุญแจถูกเปลี่ยน", {"กุญแจ", "ถูก", "เปลี่ยน"}},
      {"key", "", {}},
      {"“key”", "", {}},
      {"Ключ", "", {}},
      {"학교에서", "", {}},
      {"", "", {}},
      {"\x80", "", {}},
  };
  for (const auto& row : table) {
    EXPECT_EQ(row.text.substr(0, unspaced_prefix(row.text)), row.prefix);
    EXPECT_EQ(unspaced_words(row.prefix), row.words) << row.text;
  }
}

TEST(Unspaced, AnyBytes) {
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    std::string text = round % 2 == 0 ? "密" : "";
    for (int i = static_cast<int>(random() % 60); i > 0; --i) text += static_cast<char>(random() % 3 == 0 ? random() : 0xE0 + random() % 16);
    EXPECT_LE(unspaced_prefix(text), text.size());
    for (const std::string& word : unspaced_words(text)) EXPECT_FALSE(word.empty());
  }
}

}  // namespace
}  // namespace stoa::data
