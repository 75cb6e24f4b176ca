#include "data/index/analysis/stems.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <libstemmer.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>

#include "base/utf8.h"

namespace stoa::data {
namespace {

constexpr std::size_t kKnown = 1u << 14;  // a power of two

bool is_ascii(std::string_view word) {
  return std::ranges::none_of(word, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

// Letters that Unicode does not take apart.
constexpr std::pair<UChar32, char> kBarred[] = {{0xF8, 'o'}, {0x111, 'd'}, {0x142, 'l'}};

// Latin and Greek letters without their marks: elsewhere a mark makes another letter or is written by everybody.
std::string without_diacritics(std::string_view whole, std::string_view distinct) {
  std::string_view word = whole;
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* decomposed = icu::Normalizer2::getNFDInstance(status);
  std::string result;
  while (!word.empty()) {
    const DecodedRune rune = decode_rune(word);
    const std::string_view bytes = word.substr(0, rune.size);
    word.remove_prefix(rune.size);
    const auto letter = static_cast<UChar32>(rune.rune);
    UErrorCode script_status = U_ZERO_ERROR;
    const UScriptCode script = uscript_getScript(letter, &script_status);
    if (U_GET_GC_MASK(letter) & U_GC_MN_MASK && script == USCRIPT_INHERITED) continue;
    const auto barred = std::ranges::find(kBarred, letter, &std::pair<UChar32, char>::first);
    icu::UnicodeString parts;
    if (barred != std::end(kBarred)) {
      result += barred->second;
    } else if (letter < 0x80 || (script != USCRIPT_LATIN && script != USCRIPT_GREEK) || distinct.find(bytes) != std::string_view::npos || U_FAILURE(status) ||
        !decomposed->getDecomposition(letter, parts)) {
      result += bytes;
    } else {
      icu::UnicodeString(parts.char32At(0)).toUTF8String(result);
    }
  }
  return result.empty() ? std::string(whole) : result;  // marks alone stay
}

}  // namespace

void Stems::Delete::operator()(sb_stemmer* stemmer) const { sb_stemmer_delete(stemmer); }

Stems::Stems(const Language& language) : language_(language) {
  if (language.stemmer.empty()) return;
  stemmer_.reset(sb_stemmer_new(std::string(language.stemmer).c_str(), "UTF_8"));
  known_.resize(kKnown);
}
Stems::~Stems() = default;
Stems::Stems(Stems&&) noexcept = default;

// English stems words of ASCII letters, other languages every word without a digit: names of things (x86, 2.0) stay what they are.
bool Stems::is_stemmed(std::string_view word) const {
  if (stemmer_ == nullptr) return false;
  if (language_.name == "english") return std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
  return std::ranges::none_of(word, [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view Stems::stem(std::string_view word) {
  if (!is_stemmed(word)) return word;
  const bool is_short = word.size() <= Known{}.word.size();
  Known& known = known_[std::hash<std::string_view>{}(word) % kKnown];
  if (is_short && known.word_size == word.size() && std::equal(word.begin(), word.end(), known.word.begin())) return {known.stem.data(), known.stem_size};
  const auto* bytes = sb_stemmer_stem(stemmer_.get(), reinterpret_cast<const sb_symbol*>(word.data()), static_cast<int>(word.size()));
  const auto size = bytes == nullptr ? 0 : static_cast<std::size_t>(sb_stemmer_length(stemmer_.get()));
  if (size == 0) return word;
  result_.assign(reinterpret_cast<const char*>(bytes), size);
  if (is_short && size <= known.stem.size()) {
    known.word_size = static_cast<unsigned char>(word.size());
    known.stem_size = static_cast<unsigned char>(size);
    std::ranges::copy(word, known.word.begin());
    std::ranges::copy(result_, known.stem.begin());
  }
  return result_;
}

std::string_view Stems::of(std::string_view word) {
  if (is_ascii(word)) return stem(word);
  if (language_.name == "romanian") {  // the stemmer knows s and t with a cedilla, which were written before Unicode had those with a comma
    prepared_ = word;
    for (const auto& [comma, cedilla] : {std::pair<std::string_view, std::string_view>{"\u0219", "\u015f"}, {"\u021b", "\u0163"}}) {
      for (std::size_t at = 0; (at = prepared_.find(comma, at)) != std::string::npos; at += cedilla.size()) prepared_.replace(at, comma.size(), cedilla);
    }
    word = prepared_;
  }
  if (language_.diacritics == Diacritics::kKept) return stem(word);
  result_ = without_diacritics(stem(word), language_.distinct);
  return result_;
}

std::string_view Stems::unaccented(std::string_view word) {
  if (language_.diacritics == Diacritics::kKept || is_ascii(word)) return {};
  const std::string plain = without_diacritics(word, language_.distinct);
  if (plain == word) return {};
  unaccented_ = stem(plain);
  return unaccented_;
}

std::string Stems::folded(std::string_view word) const {
  return language_.diacritics == Diacritics::kFolded ? without_diacritics(word, language_.distinct) : std::string(word);
}

}  // namespace stoa::data
