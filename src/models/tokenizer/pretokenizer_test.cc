#include "models/tokenizer/pretokenizer.h"

#include <string>

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

using Words = std::vector<std::string>;

Words split(PreTokenizer family, std::string_view text) {
  static const UnicodeTable table;
  std::vector<std::size_t> ends;
  split_words(family, table, text, ends);
  Words words;
  std::size_t begin = 0;
  for (const auto end : ends) {
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  EXPECT_EQ(begin, text.size());
  return words;
}

TEST(PreTokenizer, CutsAsTheFamilyDoes) {
  const struct {
    PreTokenizer family;
    const char* text;
    Words words;
  } kCases[] = {
      {PreTokenizer::kNone, "a b", {"a b"}},
      {PreTokenizer::kGpt2, "it's  a 42nd\n\n test...", {"it", "'s", " ", " a", " 42", "nd", "\n\n", " test", "..."}},
      {PreTokenizer::kGpt2, "end   ", {"end", "   "}},
      {PreTokenizer::kGpt2, "IT'S", {"IT", "'", "S"}},
      {PreTokenizer::kSmolLm, " 42a", {" ", "4", "2", "a"}},
      {PreTokenizer::kSmolLm, "a  1", {"a", "  ", "1"}},
      {PreTokenizer::kLlama3, "IT'LL 12345 (foo)\r\n\n x", {"IT", "'LL", " ", "123", "45", " (", "foo", ")\r\n\n", " x"}},
      {PreTokenizer::kLlama3, "a \n  b", {"a", " \n", " ", " b"}},
      {PreTokenizer::kQwen2, "v12", {"v", "1", "2"}},
      {PreTokenizer::kTekken, "camelCaseABCdef 12/\n", {"camel", "Case", "ABCdef", " ", "1", "2", "/\n"}},
      {PreTokenizer::kGpt4o, "Don't 1234", {"Don't", " ", "123", "4"}},
      {PreTokenizer::kGpt4o, "世ABC", {"世", "ABC"}},
      {PreTokenizer::kDeepSeek3, "x=1234 世界foo", {"x", "=", "123", "4", " ", "世界", "foo"}},
      {PreTokenizer::kDeepSeekLlm, "ab, 12 世界\n ", {"ab", ",", " ", "12", " ", "世界", "\n", " "}},
  };
  for (const auto& [family, text, words] : kCases) EXPECT_EQ(split(family, text), words) << text;
}

TEST(PreTokenizer, LongRunsTakeLinearTime) {
  // With backtracking over the rest of the text these would not end.
  for (const auto family : {PreTokenizer::kGpt2, PreTokenizer::kSmolLm, PreTokenizer::kLlama3, PreTokenizer::kTekken, PreTokenizer::kGpt4o, PreTokenizer::kDeepSeek3, PreTokenizer::kDeepSeekLlm})
    for (const auto unit : {" ", "A", "\n", "1", "!", "世A", "'", " \u0301", "\u2003"}) {
      std::string text;
      while (text.size() < 500'000) text += unit;
      EXPECT_FALSE(split(family, text).empty());
    }
}

TEST(PreTokenizer, NamesOfFamilies) {
  EXPECT_EQ(pre_tokenizer_of_gguf("smollm"), PreTokenizer::kSmolLm);
  EXPECT_EQ(pre_tokenizer_of_gguf("nobody"), std::nullopt);
  EXPECT_EQ(pre_tokenizer_of_regex("nothing"), std::nullopt);
}

}  // namespace
}  // namespace stoa::models
