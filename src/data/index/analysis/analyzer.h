// Words of a text as the text index counts them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/index/analysis/languages.h"

namespace stoa::data {

// One word. Several may share a position: the forms under which one word is found.
struct Token {
  std::uint32_t at = 0, size = 0;    // of the term, in AnalysedText::bytes
  std::uint32_t position = 0;        // number of the word in the text
  std::uint32_t begin = 0, end = 0;  // bytes of the source that it was made from
  bool is_stop_word = false;         // only said of queries
};

struct AnalysedText {
  std::string bytes;          // the terms, one after another
  std::vector<Token> tokens;  // by position

  std::string_view term(const Token& token) const { return std::string_view(bytes).substr(token.at, token.size); }
  void add(std::string_view term, std::uint32_t position, std::uint32_t begin = 0, std::uint32_t end = 0);
  void clear();
};

// NFKC and case folding (ICU), which also removes what cannot be seen (zero-width and bidirectional controls, soft hyphens); runs of letters, digits and
// marks; the language's Snowball stemmer. Terms have at most 64 bytes and a character; the rest of a longer word is dropped.
//
// Thai, Lao, Khmer and Burmese are cut by ICU's dictionaries in every language. Ideographs, kana and Hangul: languages.h. Where readers leave diacritics
// out, a word that has some is found in two forms, with the same position: its stem without them, and the stem of the word without them. Of a query only
// the first is looked for, so that both ways of writing find both ways of writing.
//
// Not thread-safe, and about a megabyte with what it remembers of stems: one for each thread and language.
class Analyzer {
 public:
  enum class Purpose { kPassage, kQuery };

  Analyzer();  // of English
  // By name or ISO 639-1 code. kInvalidArgument: languages() has no such.
  static Result<Analyzer> of(std::string_view language);
  ~Analyzer();
  Analyzer(Analyzer&&) noexcept;
  Analyzer& operator=(Analyzer&&) noexcept;

  // Replaces what `out` held, and keeps its memory. Texts of any bytes, up to 2 GB; what is not UTF-8 separates words.
  void analyse(std::string_view text, Purpose purpose, AnalysedText& out);
  // The terms of a passage.
  std::vector<std::string> terms(std::string_view text);
  // Terms to search for: without the function and question words of the language, unless nothing else is left. Passages keep
  // theirs, so that "to be or not to be" still finds its line.
  std::vector<std::string> query_terms(std::string_view text);
  // The first word of a text, folded like its terms but not stemmed: what terms that begin like it begin with. Empty when there is none.
  std::string prefix(std::string_view text);

 private:
  struct State;
  explicit Analyzer(const Language& language);
  std::unique_ptr<State> state_;
};

// What decides how texts of a language become words, besides the language: words of another version may not be found.
std::string words_version(std::string_view language);

}  // namespace stoa::data
