#include "data/index/analysis/unspaced.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"
#include "data/index/analysis/words.h"

namespace stoa::data {
namespace {

using Range = std::pair<char32_t, char32_t>;
constexpr auto kUnspaced = std::to_array<Range>({{0x0E00, 0x0EFF},      // Thai, Lao
                                                 {0x1000, 0x109F},      // Burmese
                                                 {0x1780, 0x17FF},      // Khmer
                                                 {0x2E80, 0x312F},      // radicals, punctuation, kana
                                                 {0x3190, 0x9FFF},      // ideographs
                                                 {0xF900, 0xFAFF},
                                                 {0xFE30, 0xFE4F},      // vertical punctuation
                                                 {0xFF00, 0xFF9F},      // full and half width
                                                 {0x20000, 0x3FFFF}});  // rare ideographs
constexpr Range kPunctuation{0x2010, 0x205F};  // dashes, quotation marks, dots: of every script
constexpr int kMostMarks = 4;                  // of those before the first word

constexpr bool is_in(Range range, char32_t rune) { return range.first <= rune && rune <= range.second; }

constexpr Language kByDictionary{.name = "", .code = "", .stemmer = "", .cjk = CjkWords::kDictionary};

}  // namespace

std::size_t unspaced_prefix(std::string_view text) {
  std::size_t at = 0;
  bool found = false;
  for (int marks = 0; at < text.size() && (found || marks <= kMostMarks); ++marks) {
    const DecodedRune next = decode_rune(text.substr(at));
    const bool unspaced = next.valid && std::ranges::any_of(kUnspaced, [&](Range range) { return is_in(range, next.rune); });
    if (!unspaced && !(next.valid && is_in(kPunctuation, next.rune))) break;
    found = found || unspaced;
    at += next.size;
  }
  return found ? at : 0;
}

std::vector<std::string> unspaced_words(std::string_view text) {
  thread_local WordCutter cutter(kByDictionary);  // ICU's iterator takes longer to make than a sentence to cut
  std::vector<std::string> words;
  cutter.cut(text, false, [&](const CutWord& word) { words.emplace_back(word.text); });
  return words;
}

}  // namespace stoa::data
