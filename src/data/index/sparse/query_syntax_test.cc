#include "data/index/sparse/query_syntax.h"

#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace stoa::data {
namespace {

// A query as text that shows its tree.
std::string shown(const SparseQuery& query) {
  std::string text;
  switch (query.kind) {
    case SparseQuery::Kind::kTerm: text = query.text; break;
    case SparseQuery::Kind::kPrefix: text = query.text + "*"; break;
    case SparseQuery::Kind::kFuzzy: text = fmt::format("{}~{}", query.text, query.distance); break;
    case SparseQuery::Kind::kPhrase:
      for (const auto& word : query.words) text += fmt::format("{}{}@{}", text.empty() ? "" : " ", word.term, word.place);
      text = fmt::format("\"{}\"~{}", text, query.slop);
      break;
    case SparseQuery::Kind::kBoolean:
      for (const auto& clause : query.clauses) {
        text += text.empty() ? "" : " ";
        text += (clause.occur == Occur::kMust ? "+" : clause.occur == Occur::kMustNot ? "-" : "") + shown(clause.query);
      }
      text = "(" + text + ")";
  }
  return query.boost == 1 ? text : fmt::format("{}^{}", text, query.boost);
}

TEST(QuerySyntax, Table) {
  const struct {
    std::string_view text, tree;
  } cases[] = {{"", "()"},
               {"  what is the  Running man? ", "(run man)"},
               {"to be or not to be", "(to be or not to be)"},
               {"+the cat", "(+the cat)"},
               {"the -cat dogs", "(-cat dog)"},
               {"\"the cats\"", "(\"the@0 cat@1\"~0)"},
               {"\"cats\"", "(cat)"},
               {"\"a b\"~3^2.5", "(\"a@0 b@1\"~3^2.5)"},
               {"\"a \\\" b\"", "(\"a@0 b@1\"~0)"},
               {"runn* foo*bar a-*x", "(runn* foo bar x)"},
               {"cat~ elephants~ dog~1 dog~2 dog~0", "(cat~1 eleph~1 dog~1 dog~2 dog)"},
               {"generalization~", "(general~2)"},
               {"x AND y", "((+x +y))"},
               {"cat AND dog OR bird", "((+cat +dog) bird)"},
               {"cat OR dog", "(cat dog)"},
               {"cat AND NOT dog", "((+cat -dog))"},
               {"(cat dog)^2 +(bird fish)", "((cat dog)^2 +(bird fish))"},
               {"(cat (dog))", "(cat dog)"},
               {"+(cat -dog) bird", "(+(cat -dog) bird)"},
               {"x86_64 +x86_64", "(x86 64 +\"x86@0 64@1\"~0)"},
               {"state-of-the-art", "(state art)"},
               {"fox^2 c^", "error"},
               {"C++ and C#", "(c c)"},
               {"\\+cat \\-dog \\\"bird", "(cat dog bird)"},
               {"- + x - y", "(x y)"},
               {"ORACLE ANDROID NOTE", "(oracl android note)"},
               {"()", "()"},
               {"cat ()", "(cat)"},
               {"\"\"", "()"}};
  Analyzer analyzer;
  for (const auto& c : cases) {
    const auto query = parse_query(c.text, analyzer);
    EXPECT_EQ(query ? shown(*query) : "error", c.tree) << c.text << (query ? "" : query.error().message);
  }
}

TEST(QuerySyntax, ErrorsNameThePlace) {
  const struct {
    std::string text;
    ErrorCode code;
    std::string_view message;
  } cases[] = {{"cat \"dog", ErrorCode::kInvalidArgument, "the query at byte 4: the quotation mark is never closed"},
               {"cat (dog", ErrorCode::kInvalidArgument, "the query at byte 4: the parenthesis is never closed"},
               {"cat) dog", ErrorCode::kInvalidArgument, "the query at byte 3: nothing is open that ')' could close"},
               {"OR cat", ErrorCode::kInvalidArgument, "the query at byte 0: OR stands between two parts"},
               {"cat OR", ErrorCode::kInvalidArgument, "the query at byte 4: OR stands between two parts"},
               {"cat AND", ErrorCode::kInvalidArgument, "the query at byte 4: AND stands between two parts"},
               {"AND cat", ErrorCode::kInvalidArgument, "the query at byte 0: an operator stands between two parts"},
               {"cat NOT", ErrorCode::kInvalidArgument, "the query at byte 4: NOT stands before a part"},
               {"-cat", ErrorCode::kInvalidArgument, "the query at byte 0: it only says what must not be there"},
               {"cat (-dog)", ErrorCode::kInvalidArgument, "the query at byte 5: it only says what must not be there"},
               {"c*", ErrorCode::kInvalidArgument, "the query at byte 0: at least two letters stand before a *"},
               {"cat~3", ErrorCode::kInvalidArgument, "the query at byte 4: the number of letters that may differ is 0 to 2"},
               {"\"a b\"~101", ErrorCode::kInvalidArgument, "the query at byte 6: the number of words between those of a phrase is 0 to 100"},
               {"cat^0", ErrorCode::kInvalidArgument, "the query at byte 4: a weight is above 0 and at most 100"},
               {"cat^101", ErrorCode::kInvalidArgument, "the query at byte 4: a weight is above 0 and at most 100"},
               {std::string(17, '(') + "a" + std::string(17, ')'), ErrorCode::kTooLarge, "the query at byte 16: more than 16 levels"},
               {std::string(kMaxQueryBytes + 1, 'a'), ErrorCode::kTooLarge, "a query has at most 32768 bytes, this one has 32769"}};
  Analyzer analyzer;
  for (const auto& c : cases) {
    const auto query = parse_query(c.text, analyzer);
    ASSERT_FALSE(query) << c.text;
    EXPECT_EQ(query.error().code, c.code);
    EXPECT_EQ(query.error().message, c.message);
  }
  std::string many;
  for (int i = 0; i < 1025; ++i) many += "w" + std::to_string(i) + " ";
  EXPECT_EQ(parse_query(many, analyzer).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(plain_query(many, analyzer).clauses.size(), kMaxQueryTerms);
  std::string patterns;
  for (std::size_t i = 0; i < kMaxQueryPatterns / 2; ++i) patterns += "begin* near~ ";
  EXPECT_TRUE(parse_query(patterns, analyzer));
  for (const std::string_view more : {"begin*", "near~"}) {
    const auto refused = parse_query(patterns + std::string(more), analyzer);
    ASSERT_FALSE(refused) << more;
    EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
    EXPECT_EQ(refused.error().message, "the query at byte " + std::to_string(patterns.size() + more.size()) + ": more than 64 words with * or ~");
  }
}

// Text without signs is what it is without a syntax; any text is a query or an error.
TEST(QuerySyntax, PlainTextIsABagOfWords) {
  const std::vector<std::string_view> words{"the", "What", "is", "running", "x86_64", "state-of-the-art", "caf\u00e9", "it's", "C++", "\u6f22\u5b57", "3.14", "who?", "\u201cfox\u201d"};
  const std::vector<std::string_view> signs{"+", "-", "\"", "(", ")", "*", "~", "^", "AND ", "OR ", "NOT ", "\\", "2", " ", "\xff", "\u202e"};
  std::mt19937 random(8);
  Analyzer analyzer;
  for (int round = 0; round < 3000; ++round) {
    std::string plain, other;
    for (int i = static_cast<int>(random() % 8); i >= 0; --i) {
      const auto word = words[random() % words.size()];
      plain += std::string(word) + " ";
      other += std::string(random() % 2 ? word : "") + std::string(signs[random() % signs.size()]);
    }
    const auto query = parse_query(plain, analyzer);
    ASSERT_TRUE(query) << plain;
    EXPECT_EQ(shown(*query), shown(plain_query(plain, analyzer))) << plain;
    std::vector<std::string> terms;
    for (const auto& clause : query->clauses) terms.push_back(clause.query.text);
    EXPECT_EQ(terms, analyzer.query_terms(plain));
    const auto parsed = parse_query(other, analyzer);
    EXPECT_TRUE(parsed || !parsed.error().message.empty());
  }
}

}  // namespace
}  // namespace stoa::data
