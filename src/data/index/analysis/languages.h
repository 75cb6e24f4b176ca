// What the text index knows of each language. The tables are compiled in: they are part of what a stored index means, and an analyzer is made in
// places (threads of a search) that read no files.
#pragma once

#include <span>
#include <string_view>

namespace stoa::data {

// How runs of ideographs, kana and Hangul become words.
enum class CjkWords : unsigned char {
  kSingle,   // each ideograph and each kana is a word, a run of Hangul is one word: for texts that are mostly in other scripts
  kBigrams,  // each pair of neighbours; of passages each single one besides, so that a query of one character finds its passages
  kDictionary,  // ideographs and kana as ICU's dictionaries have them, a run of Hangul is one word: no language of an index (unspaced.h)
};

// Whether words are found without their diacritics too.
enum class Diacritics : unsigned char {
  kKept,    // they make another letter (German, Nordic, Turkish), or today's behaviour (English)
  kFolded,  // readers leave them out when they search; `distinct` letters stay what they are
};

struct Language {
  std::string_view name;     // "english", as libstemmer and Lucene call it
  std::string_view code;     // ISO 639-1, empty for "generic"
  std::string_view stemmer;  // of libstemmer; empty: none
  CjkWords cjk = CjkWords::kSingle;
  Diacritics diacritics = Diacritics::kKept;
  std::string_view distinct = {};              // UTF-8, lower case
  std::span<const std::string_view> stop_words = {};  // sorted by bytes, folded in case
  bool dotless_i = false;                      // I folds to a dotless i (Turkish)
};

std::span<const Language> languages();
// By name or code, null when there is none of that name.
const Language* find_language(std::string_view name);

}  // namespace stoa::data
