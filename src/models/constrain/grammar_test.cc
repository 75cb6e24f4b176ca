#include "models/constrain/grammar.h"

#include <gtest/gtest.h>

#include "models/constrain/matcher.h"

namespace stoa::models {
namespace {

using Texts = std::vector<std::string>;

std::shared_ptr<const TokenTrie> no_tokens() {
  static const auto trie = TokenTrie::build(std::vector<std::string>{}, {});
  return trie;
}

bool accepts(const Grammar& grammar, std::string_view text) {
  GrammarMatcher matcher(std::make_shared<Constraint>(grammar, no_tokens()));
  return (text.empty() || matcher.accept_text(text)) && matcher.can_end();
}

void check(const Result<Grammar>& grammar, std::string_view name, const Texts& accepted, const Texts& rejected) {
  ASSERT_TRUE(grammar) << name << ": " << grammar.error().message << " (" << grammar.error().hint << ")";
  for (const auto& text : accepted) EXPECT_TRUE(accepts(*grammar, text)) << name << " should accept " << text;
  for (const auto& text : rejected) EXPECT_FALSE(accepts(*grammar, text)) << name << " should reject " << text;
}

struct Case {
  std::string grammar;
  Texts accepted, rejected;
};

TEST(Grammar, Regex) {
  const Case cases[] = {
      {"", {""}, {"a"}},
      {"abc", {"abc"}, {"ab", "abcd", ""}},
      {"^a|b$", {"a", "b"}, {"ab", ""}},
      {"a*b+c?", {"b", "aabbc", "bc"}, {"a", "ac", "bcc"}},
      {"(ab|c){2,3}", {"abab", "cc", "abcab"}, {"ab", "cccc"}},
      {"[a-c]{2}", {"ab", "cc"}, {"a", "ad", "abc"}},
      {"[^a-c]", {"d", "é", "\n"}, {"a", "dd"}},
      {"[]a]", {}, {"a"}},
      {"[\\]a-]", {"]", "a", "-"}, {"b"}},
      {".", {"x", "é", "日", "😀"}, {"\n", "xy", "\xc3"}},
      {"\\d{3}-\\w+\\s?", {"123-a_9", "000-x "}, {"12-a", "123-"}},
      {"\\u00e9|\\u{1F600}|\\uD83D\\uDE01|\\x41", {"é", "😀", "😁", "A"}, {"e", "B"}},
      {"(?:a)(?<name>b)(?P<other>c)", {"abc"}, {"ab"}},
      {"a{0}b", {"b"}, {"ab"}},
      {"[à-ü]+", {"éàü"}, {"a", "÷x"}},
      {"(a|b)*a(a|b){28}", {"a" + std::string(28, 'b'), "bab" + std::string(27, 'a')}, {std::string(40, 'b'), "a"}},  // counted, not written out
      {"((a{1,90}){1,90}){1,90}b", {std::string(90, 'a') + "b"}, {"b"}},
      {"x{200,400}", {std::string(200, 'x'), std::string(399, 'x'), std::string(400, 'x')}, {std::string(199, 'x'), std::string(401, 'x')}},
      {"(a|bc){150,}d", {std::string(150, 'a') + "d", std::string(3000, 'a') + "bcd"}, {std::string(149, 'a') + "d", std::string(150, 'a')}},
  };
  for (const auto& [regex, accepted, rejected] : cases) {
    if (regex == "[]a]") {  // an empty class, as ECMAScript reads it
      EXPECT_FALSE(Grammar::from_regex(regex));
      continue;
    }
    check(Grammar::from_regex(regex), regex, accepted, rejected);
  }
}

TEST(Grammar, Gbnf) {
  const Case cases[] = {
      {"root ::= \"a\" | \"b\" # comment\n", {"a", "b"}, {"ab", ""}},
      {"# first\nroot ::= item (\", \" item)*\nitem ::= [a-z]+ | [0-9]{2,3}\n", {"abc", "abc, 12, x"}, {"1", "abc,12", ""}},
      {"root ::= expr\nexpr ::= term ((\"+\" | \"-\") term)*\nterm ::= [0-9]+ | \"(\" expr \")\"", {"1", "(1+2)-3", "((4))"}, {"(1", "1+", "()"}},
      {"root ::= \"[\" (root (\",\" root)*)? \"]\"", {"[]", "[[],[[]]]"}, {"[", "[[]", "[,]"}},
      {"root ::= \"\\x41\\u00e9\\n\" [^\\n\"\\\\]? .", {"Aé\nxy", "Aé\nx"}, {"Aé\n", "Aé\n\nx"}},
      {"root ::= a?\n  | b\na ::= \"a\"\nb ::= \"b\" root", {"", "a", "b", "bbba"}, {"ab"}},
      {"root ::= (\n  \"x\"\n  | \"y\"\n)+", {"xyx"}, {"", "z"}},
      {"root ::= [a-zA-Z_] [a-zA-Z0-9_]{0,3}", {"_", "ab12"}, {"1a", "ab123"}},
  };
  for (const auto& [text, accepted, rejected] : cases) check(Grammar::from_gbnf(text), text, accepted, rejected);
}

// Whatever follows, the beginning of a text that can still be finished is kept and any other is not.
TEST(Grammar, PrefixesAreAliveExactlyWhenTheyCanBeFinished) {
  const auto grammar = Grammar::from_gbnf("root ::= \"ab\" dead | \"ac\"\ndead ::= \"x\" dead");
  ASSERT_TRUE(grammar);
  GrammarMatcher matcher(std::make_shared<Constraint>(*grammar, no_tokens()));
  EXPECT_FALSE(GrammarMatcher(matcher).accept_text("ab"));
  EXPECT_TRUE(matcher.accept_text("ac"));
  EXPECT_TRUE(matcher.finished());
}

TEST(Grammar, Parts) {
  using Kind = GrammarPart::Kind;
  const GrammarPart free{.kind = Kind::kTextWithout, .words = {"<call>", "<end>"}};
  const GrammarPart call{.kind = Kind::kSequence,
                         .parts = {{.kind = Kind::kText, .text = "<call>"}, {.kind = Kind::kSchema, .text = R"({"type":"integer"})"}, {.kind = Kind::kText, .text = "</call>"}}};
  const GrammarPart many{.kind = Kind::kRepeat, .parts = {{.kind = Kind::kSequence, .parts = {call, free}}}, .min = 0, .max = -1};
  check(Grammar::from_parts({.kind = Kind::kSequence, .parts = {free, many}}), "free text and calls",
        {"", "hello <cal l>", "hi <call>12</call>", "<<call>1</call> and <call>-2</call>\n", "<call", "日本 <call>0</call>"},
        {"<call>", "<call>x</call>", "a<call>1</call", "<end>", "\xff", "<call>1</call><call>"});
}

TEST(Grammar, Errors) {
  const std::tuple<const char*, Result<Grammar>, const char*> cases[] = {
      {"lookahead", Grammar::from_regex("a(?=b)"), "byte 2: lookahead"},
      {"reference", Grammar::from_regex("(a)\\1"), "references to groups"},
      {"boundary", Grammar::from_regex("\\ba"), "word boundaries"},
      {"property", Grammar::from_regex("\\p{L}"), "Unicode properties"},
      {"open group", Grammar::from_regex("(a"), "does not end"},
      {"open class", Grammar::from_regex("[a"), "does not end"},
      {"lone star", Grammar::from_regex("*a"), "without anything before it"},
      {"anchor inside", Grammar::from_regex("a(^b)"), "'^' is supported only"},
      {"inner end", Grammar::from_regex("a$b"), "'$' is supported only"},
      {"order", Grammar::from_regex("a{3,2}"), "out of order"},
      {"count", Grammar::from_regex("a{99999999999}"), "may be 100000 at most"},
      {"range", Grammar::from_regex("[z-a]"), "out of order"},
      {"utf8", Grammar::from_regex("\xff"), "UTF-8"},
      {"surrogate", Grammar::from_regex("\\ud800"), "no character"},
      {"deep", Grammar::from_regex(std::string(200, '(') + std::string(200, ')')), "deeper than"},
      {"exponential", Grammar::from_regex("(a|b)*a(a|b){18}"), "states"},
      {"long", Grammar::from_regex(std::string(300'000, 'a')), "bytes"},
      {"no root", Grammar::from_gbnf("rule ::= \"a\""), "no rule 'root'"},
      {"undefined", Grammar::from_gbnf("root ::= other"), "'other' is used but not defined"},
      {"left recursion", Grammar::from_gbnf("root ::= root \"a\" | \"b\""), "left recursion"},
      {"hidden left recursion", Grammar::from_gbnf("root ::= a \"x\"\na ::= b? c\nb ::= \"b\"\nc ::= b? root | \"c\""), "left recursion"},
      {"endless", Grammar::from_gbnf("root ::= \"a\" root"), "never ends"},
      {"twice", Grammar::from_gbnf("root ::= \"a\"\nroot ::= \"b\""), "line 2: rule 'root' is defined twice"},
      {"open literal", Grammar::from_gbnf("root ::= \"a"), "does not end"},
      {"trailing", Grammar::from_gbnf("root ::= \"a\" )"), "unexpected ')'"},
      {"no arrow", Grammar::from_gbnf("root = \"a\""), "expected ::="},
      {"token", Grammar::from_gbnf("root ::= <[12]>"), "tokens are not supported"},
      {"large empty repetition", Grammar::from_gbnf("root ::= (x){90000}\nx ::= [a-z]{0,90} y\ny ::= x?"), ""},
  };
  for (const auto& [name, grammar, message] : cases) {
    ASSERT_FALSE(grammar) << name;
    EXPECT_TRUE(grammar.error().code == ErrorCode::kInvalidArgument || grammar.error().code == ErrorCode::kTooLarge) << name;
    EXPECT_NE(grammar.error().message.find(message), std::string::npos) << name << ": " << grammar.error().message;
  }
}

}  // namespace
}  // namespace stoa::models
