// What people type into a search box, as a query.
//
//   word            passages with it score higher; one of the words has to be there
//   +word -word     must be there; must not
//   "some words"    next to each other and in this order; "some words"~3 with up to three other words between them
//   word*           every word that begins so, of two letters at least
//   word~ word~1    near spellings: up to so many letters more, less, others or swapped, 1 or 2; without a number 1, and 2 from six letters on
//   a AND b, NOT a  the same as +a +b and -a; AND binds closer than OR, and OR is what stands between words anyway
//   ( ... )         a part by itself
//   ...^2           counts twice as much; up to 100
//   \+              the sign itself
//
// A sign in the middle of a word is part of it (state-of-the-art, C++, 3^2 is 3 with weight 2), and words are cut as the analyzer cuts them; a word of several
// terms (x86_64) is a bag of them, and behind + and - a phrase. Words that say little (stop words of the language) are left out where others remain, unless
// they stand in a phrase or behind a + or -. Text without any sign is a bag of words, as plain_query() makes it.
#pragma once

#include <string_view>

#include "base/result.h"
#include "data/index/analysis/analyzer.h"
#include "data/index/sparse/sparse_query.h"

namespace stoa::data {

constexpr std::size_t kMaxQueryBytes = 32 * 1024;
constexpr std::size_t kMaxQueryTerms = 1024;
constexpr std::size_t kMaxQueryPatterns = 64;  // of them, beginnings and near spellings: each is a walk through the dictionary
constexpr std::size_t kMaxQueryDepth = 16;

// Every word of a text, signs or not: never fails. Of very long texts the first 1,024 words that count. A text without any finds nothing.
SparseQuery plain_query(std::string_view text, Analyzer& analyzer);

// kInvalidArgument, with the byte at which it goes wrong: an open quotation mark or parenthesis, an operator without a word, a number out of its range, a
// query or a part that only says what must not be there. kTooLarge: beyond the bounds above.
Result<SparseQuery> parse_query(std::string_view text, Analyzer& analyzer);

}  // namespace stoa::data
