#include "data/index/analyzer.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include <libstemmer.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>

namespace stoa::data {
namespace {

constexpr std::size_t kMaxWord = 64;         // bytes; the rest of a longer word is dropped: it is data, not language
constexpr std::size_t kCachedStems = 200'000;

// Sorted. Function words, and the words questions are made with.
constexpr auto kStopWords = std::to_array<std::string_view>({
    "a",    "about", "also",  "an",   "and",  "are",  "as",    "at",    "be",    "been", "but",   "by",    "can",   "could", "did",
    "do",   "does",  "for",   "from", "had",  "has",  "have",  "he",    "her",   "him",  "his",   "how",   "i",     "if",    "in",
    "into", "is",    "it",    "its",  "many", "much", "no",    "not",   "of",    "on",   "or",    "she",   "should", "such", "than",
    "that", "the",   "their", "then", "there", "these", "they", "this", "to",    "was",  "we",    "were",  "what",  "when",  "where",
    "which", "who",  "whom",  "whose", "why", "will", "with",  "would", "you"});
static_assert(std::ranges::is_sorted(kStopWords));

bool is_ascii(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

bool is_word_byte(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Scripts written without spaces: every letter is a word of its own.
bool stands_alone(UChar32 rune) {
  UErrorCode status = U_ZERO_ERROR;
  switch (uscript_getScript(rune, &status)) {
    case USCRIPT_HAN: case USCRIPT_HIRAGANA: case USCRIPT_KATAKANA: case USCRIPT_THAI: case USCRIPT_LAO: case USCRIPT_KHMER:
    case USCRIPT_MYANMAR: return true;
    default: return false;
  }
}

bool is_word_rune(UChar32 rune) { return u_isalnum(rune) || (U_GET_GC_MASK(rune) & U_GC_M_MASK) != 0; }

void push(std::vector<std::string>& words, std::string& word) {
  if (!word.empty()) words.push_back(std::move(word));
  word.clear();
}

std::vector<std::string> ascii_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!is_word_byte(c)) {
      push(words, word);
    } else if (word.size() < kMaxWord) {
      word += c;
    }
  }
  push(words, word);
  return words;
}

}  // namespace

struct Analyzer::State {
  std::unique_ptr<sb_stemmer, decltype(&sb_stemmer_delete)> stemmer{sb_stemmer_new("english", "UTF_8"), sb_stemmer_delete};
  std::unordered_map<std::string, std::string> stems;
};

Analyzer::Analyzer() : state_(std::make_unique<State>()) {}
Analyzer::~Analyzer() = default;
Analyzer::Analyzer(Analyzer&&) noexcept = default;
Analyzer& Analyzer::operator=(Analyzer&&) noexcept = default;

std::vector<std::string> Analyzer::words(std::string_view text) const {
  if (is_ascii(text)) return ascii_words(text);
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = icu::Normalizer2::getNFKCCasefoldInstance(status);
  icu::UnicodeString wide = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  if (U_SUCCESS(status)) {
    icu::UnicodeString folded = normalizer->normalize(wide, status);
    if (U_SUCCESS(status)) wide = std::move(folded);
  }
  std::vector<std::string> words;
  std::string word;
  for (std::int32_t at = 0; at < wide.length(); at = wide.moveIndex32(at, 1)) {
    const UChar32 rune = wide.char32At(at);
    if (!is_word_rune(rune)) {
      push(words, word);
      continue;
    }
    if (stands_alone(rune)) push(words, word);
    if (word.size() < kMaxWord) icu::UnicodeString(rune).toUTF8String(word);
    if (stands_alone(rune)) push(words, word);
  }
  push(words, word);
  return words;
}

const std::string& Analyzer::stem(const std::string& word) {
  const auto found = state_->stems.find(word);
  if (found != state_->stems.end()) return found->second;
  if (state_->stems.size() >= kCachedStems) state_->stems.clear();
  std::string result = word;
  if (state_->stemmer != nullptr && std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) {
    const auto* bytes = sb_stemmer_stem(state_->stemmer.get(), reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
    if (bytes != nullptr) result.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(sb_stemmer_length(state_->stemmer.get())));
  }
  return state_->stems.emplace(word, std::move(result)).first->second;
}

std::vector<std::string> Analyzer::terms(std::string_view text) {
  std::vector<std::string> result = words(text);
  for (auto& word : result) word = stem(word);
  return result;
}

std::vector<std::string> Analyzer::query_terms(std::string_view text) {
  const std::vector<std::string> all = words(text);
  std::vector<std::string> result;
  for (const auto& word : all) {
    if (!std::ranges::binary_search(kStopWords, std::string_view(word))) result.push_back(stem(word));
  }
  if (!result.empty()) return result;
  for (const auto& word : all) result.push_back(stem(word));
  return result;
}

}  // namespace stoa::data
