// What a search of the text index looks for: a tree of terms, phrases, beginnings and near spellings. Made by hand or by query_syntax.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::data {

enum class Occur : std::uint8_t { kMust, kShould, kMustNot };

struct PhraseWord {
  std::string term;
  std::uint32_t place = 0;  // positions after the first word
};

struct SparseClause;

struct SparseQuery {
  enum class Kind : std::uint8_t {
    kTerm,     // `text`
    kPhrase,   // `words` in their order, at their places or with at most `slop` positions more between first and last
    kPrefix,   // terms that begin with `text`, and the term `stem` if there is one
    kFuzzy,    // terms within `distance` edits of `text`
    kBoolean,  // every must, no must_not, and where there is no must at least one should
  };
  Kind kind = Kind::kBoolean;
  std::string text, stem;
  std::vector<PhraseWord> words;
  std::uint32_t slop = 0;
  int distance = 1;  // 1 or 2
  double boost = 1;  // above 0; what the score of this part is multiplied with
  std::vector<SparseClause> clauses;

  static SparseQuery term(std::string text, double boost = 1);
};

struct SparseClause {
  Occur occur = Occur::kShould;
  SparseQuery query;
};

inline SparseQuery SparseQuery::term(std::string text, double boost) {
  SparseQuery query;
  query.kind = Kind::kTerm;
  query.text = std::move(text);
  query.boost = boost;
  return query;
}

}  // namespace stoa::data
