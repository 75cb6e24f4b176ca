#include "models/constrain/matcher.h"

#include <bit>
#include <filesystem>
#include <random>
#include <regex>

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/utf8.h"
#include "models/formats/gguf.h"

namespace stoa::models {
namespace {

using Mask = std::vector<std::uint64_t>;

bool has(const Mask& mask, TokenId token) { return mask[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1; }

std::vector<TokenId> tokens_of(const Mask& mask) {
  std::vector<TokenId> out;
  for (std::size_t word = 0; word < mask.size(); ++word)
    for (std::uint64_t rest = mask[word]; rest != 0; rest &= rest - 1) out.push_back(static_cast<TokenId>(word * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
  return out;
}

const std::vector<std::string> kWords = {"<end>", "a", "b", "ab", "abc", "\"", "\"a", "\"}", "{", "{\"", "}", "\":", ":", ",", "1", "12", " ", "\xc3", "\xa9", "é", "", "x\",\"b\":1}"};

GrammarMatcher matcher(const Result<Grammar>& grammar, std::shared_ptr<const TokenTrie> trie) {
  EXPECT_TRUE(grammar) << grammar.error().message;
  return GrammarMatcher(std::make_shared<const Constraint>(*grammar, std::move(trie)));
}

std::shared_ptr<const TokenTrie> words() {
  static const std::vector<TokenId> ends{0};
  static const auto trie = TokenTrie::build(kWords, ends);
  return trie;
}

std::vector<std::string> allowed(GrammarMatcher& at) {
  Mask mask(words()->words());
  at.mask(mask);
  std::vector<std::string> out;
  for (const TokenId token : tokens_of(mask)) out.push_back(kWords[static_cast<std::size_t>(token)]);
  return out;
}

using Names = std::vector<std::string>;

TEST(Matcher, MasksOfASmallVocabulary) {
  auto at = matcher(Grammar::from_json_schema(R"({"type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["a","b"]})"), words());
  EXPECT_EQ(allowed(at), (Names{"{", "{\""}));
  EXPECT_EQ(at.forced(), "{\"a\":");
  ASSERT_TRUE(at.accept(9));
  EXPECT_EQ(allowed(at), (Names{"a"}));
  ASSERT_TRUE(at.accept_text("a\":"));
  EXPECT_EQ(allowed(at), (Names{"\"", "\"a", "\"}", "\":", " "}));
  ASSERT_TRUE(at.accept(5));
  // A token may end the string and go on into the next property.
  EXPECT_EQ(allowed(at), (Names{"a", "b", "ab", "abc", "\"", "{", "{\"", "}", ":", ",", "1", "12", " ", "\xc3", "é", "x\",\"b\":1}"}));
  ASSERT_TRUE(at.accept(17));
  EXPECT_EQ(allowed(at), (Names{"\xa9"}));
  ASSERT_TRUE(at.accept(18));
  ASSERT_TRUE(at.accept(21));
  EXPECT_TRUE(at.can_end());
  EXPECT_TRUE(at.finished());
  EXPECT_EQ(allowed(at), (Names{"<end>"}));
  ASSERT_TRUE(at.accept(0));
  EXPECT_TRUE(allowed(at).empty());
  EXPECT_FALSE(at.accept(0));
}

TEST(Matcher, EndsOnlyWhereTheGrammarMay) {
  auto at = matcher(Grammar::from_regex("a+b?"), words());
  EXPECT_FALSE(at.allows(0));
  EXPECT_FALSE(at.accept(0));
  ASSERT_TRUE(at.accept(1));
  EXPECT_EQ(allowed(at), (Names{"<end>", "a", "b", "ab"}));
  EXPECT_TRUE(at.can_end());
  EXPECT_FALSE(at.finished());
  ASSERT_TRUE(at.accept(2));
  EXPECT_TRUE(at.finished());
}

TEST(Matcher, RollbackAndCopies) {
  auto at = matcher(Grammar::from_regex("(ab|abc|12)*"), words());
  ASSERT_TRUE(at.accept(3));
  GrammarMatcher copy = at;
  ASSERT_TRUE(at.accept(15));
  ASSERT_TRUE(at.accept(0));
  EXPECT_TRUE(at.finished());
  EXPECT_FALSE(copy.finished());
  EXPECT_FALSE(at.rollback(4));
  ASSERT_TRUE(at.rollback(2));
  EXPECT_EQ(allowed(at), allowed(copy));
  ASSERT_TRUE(at.rollback(1));
  EXPECT_EQ(allowed(at), (Names{"<end>", "a", "ab", "abc", "1", "12"}));
  const auto before = allowed(at);
  EXPECT_FALSE(at.accept(7));
  EXPECT_FALSE(at.accept(999));
  EXPECT_FALSE(at.accept(20));  // a token without bytes
  EXPECT_FALSE(at.accept_text("abx"));
  EXPECT_EQ(allowed(at), before);
}

TEST(Matcher, CountsAreExactAtBothEnds) {
  auto at = matcher(Grammar::from_regex("[ab]{100,200}1"), words());
  for (int i = 0; i < 99; ++i) ASSERT_TRUE(at.accept(1));
  EXPECT_EQ(allowed(at), (Names{"a", "b", "ab"}));
  ASSERT_TRUE(at.accept(3));  // 101
  EXPECT_EQ(allowed(at), (Names{"a", "b", "ab", "1"}));
  for (int i = 0; i < 98; ++i) ASSERT_TRUE(at.accept(2));
  EXPECT_EQ(allowed(at), (Names{"a", "b", "1"}));
  ASSERT_TRUE(at.accept(2));
  EXPECT_EQ(allowed(at), (Names{"1"}));
}

TEST(Matcher, DeepAndLongInputsStayBounded) {
  auto at = matcher(Grammar::from_gbnf("root ::= \"a\" root \"b\" | \"1\""), words());
  int depth = 0;
  while (depth < 5000 && at.accept(1)) ++depth;
  EXPECT_GT(depth, 1000);
  EXPECT_LT(depth, 1100);
  // So ambiguous that places are dropped: what is left goes on.
  auto many = matcher(Grammar::from_gbnf("root ::= x x\nx ::= \"a\" x? x? x?"), words());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(many.accept(1));
  EXPECT_TRUE(many.allows(1));
  EXPECT_FALSE(many.allows(2));
}

// --- with a real vocabulary

const Tokenizer* smollm() {
  static const auto tokenizer = []() -> std::unique_ptr<Tokenizer> {
    const char* home = std::getenv("STOA_TEST_MODELS");
    const auto path = std::filesystem::path(home != nullptr ? home : STOA_SOURCE_DIR "/build/models") / "smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!std::filesystem::exists(path)) return nullptr;
    const auto file = GgufFile::open(path);
    if (!file) return nullptr;
    auto loaded = Tokenizer::from_gguf(*file);
    return loaded ? std::make_unique<Tokenizer>(std::move(*loaded)) : nullptr;
  }();
  return tokenizer.get();
}

class RealVocabulary : public testing::Test {
 protected:
  void SetUp() override {
    if (smollm() == nullptr) GTEST_SKIP() << "no SmolLM2 in the folder of test models";
    static const auto built = TokenTrie::build(*smollm());
    trie = built;
  }
  std::shared_ptr<const TokenTrie> trie;
};

TEST_F(RealVocabulary, TextsPassTokenByTokenAsTheyDoByBytes) {
  const std::tuple<const char*, const char*, bool> cases[] = {
      {R"({"type":"object","properties":{"name":{"type":"string"},"n":{"type":"integer"}},"required":["name","n"]})", R"({"name": "Ada Lovelace – \"countess\"", "n": 36})", true},
      {R"({"type":"object","properties":{"name":{"type":"string"},"n":{"type":"integer"}},"required":["name","n"]})", R"({"name": "Ada", "n": 36.5})", false},
      {R"({"type":"array","items":{"enum":["red","green"]}})", R"(["red", "green"])", true},
      {R"({"type":"array","items":{"enum":["red","green"]}})", R"(["red", "blue"])", false},
      {R"({"type":"string","maxLength":60})", R"("          ====================      日本語 😀 a")", true},
      {R"({"type":"string","maxLength":20})", R"("          ====================")", false},
  };
  for (const auto& [schema, text, good] : cases) {
    auto at = matcher(Grammar::from_json_schema(schema), trie);
    bool fits = true;
    for (const TokenId token : smollm()->encode(text, {.add_special = false})) {
      Mask mask(trie->words());
      at.mask(mask);
      EXPECT_EQ(has(mask, token), at.allows(token)) << text;
      fits = fits && at.accept(token).has_value();
    }
    EXPECT_EQ(fits && at.can_end(), good) << schema << " " << text;
  }
}

const char* const kSchemas[] = {
    R"({"type":"object"})",
    R"({"type":"object","properties":{"name":{"type":"string","minLength":2,"maxLength":30},"age":{"type":"integer","minimum":-5,"maximum":150},"ok":{"type":"boolean"}},"required":["name","age"]})",
    R"({"type":"array","items":{"type":"number","exclusiveMinimum":-1.5,"maximum":20.25},"minItems":2,"maxItems":5})",
    R"({"$defs":{"t":{"type":"object","properties":{"v":{"enum":["x","yy",3,null]},"kids":{"type":"array","items":{"$ref":"#/$defs/t"},"maxItems":2}},"required":["v"]}},"$ref":"#/$defs/t"})",
    R"({"anyOf":[{"type":"object","properties":{"k":{"const":"a"},"s":{"type":"string","pattern":"^[a-f]{1,8}(-[0-9]+)?$"}},"required":["k","s"]},{"type":"array","prefixItems":[{"type":"null"},{"type":"integer","multipleOf":3}],"items":false,"minItems":2}]})",
    R"({"type":"object","properties":{"a":{"type":["string","null"]}},"additionalProperties":{"type":"integer"},"required":["a"]})",
};

// Whether a value is what a schema says, for the keywords used above.
bool conforms(const Json& value, const JsonObject& schema, const JsonObject& root) {
  const auto given = [&](const char* key) { return schema.if_contains(key); };
  if (const Json* ref = given("$ref")) return conforms(value, root.at("$defs").get_object().at(std::string(ref->get_string()).substr(8)).get_object(), root);
  if (const Json* any = given("anyOf"))
    return std::ranges::any_of(any->get_array(), [&](const Json& branch) { return conforms(value, branch.get_object(), root); });
  if (const Json* options = given("enum"); options != nullptr && std::ranges::find(options->get_array(), value) == options->get_array().end()) return false;
  if (const Json* only = given("const"); only != nullptr && *only != value) return false;
  if (const Json* type = given("type")) {
    const auto is = [&](const Json& name) {
      const std::string text(name.get_string());
      return text == "object" ? value.is_object() : text == "array" ? value.is_array() : text == "string" ? value.is_string() : text == "integer" ? value.is_int64()
             : text == "number" ? value.is_number() : text == "boolean" ? value.is_bool() : value.is_null();
    };
    if (type->is_array() ? std::ranges::none_of(type->get_array(), is) : !is(*type)) return false;
  }
  if (value.is_number()) {
    const double number = value.to_number<double>();
    if (const Json* bound = given("minimum"); bound != nullptr && number < bound->to_number<double>()) return false;
    if (const Json* bound = given("maximum"); bound != nullptr && number > bound->to_number<double>()) return false;
    if (const Json* bound = given("exclusiveMinimum"); bound != nullptr && number <= bound->to_number<double>()) return false;
    if (const Json* step = given("multipleOf"); step != nullptr && value.get_int64() % step->get_int64() != 0) return false;
  }
  if (value.is_string()) {
    const std::string text(value.get_string());
    const auto length = std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
    if (const Json* bound = given("minLength"); bound != nullptr && length < bound->get_int64()) return false;
    if (const Json* bound = given("maxLength"); bound != nullptr && length > bound->get_int64()) return false;
    if (const Json* pattern = given("pattern"); pattern != nullptr && !std::regex_search(text, std::regex(std::string(pattern->get_string())))) return false;
  }
  if (const auto* array = value.if_array()) {
    if (const Json* bound = given("minItems"); bound != nullptr && static_cast<std::int64_t>(array->size()) < bound->get_int64()) return false;
    if (const Json* bound = given("maxItems"); bound != nullptr && static_cast<std::int64_t>(array->size()) > bound->get_int64()) return false;
    const Json *prefix = given("prefixItems"), *items = given("items");
    for (std::size_t i = 0; i < array->size(); ++i) {
      const Json* item = prefix != nullptr && i < prefix->get_array().size() ? &prefix->get_array()[i] : items;
      if (item != nullptr && (item->is_bool() ? !item->get_bool() : !conforms((*array)[i], item->get_object(), root))) return false;
    }
  }
  if (const auto* object = value.if_object()) {
    if (const Json* names = given("required"))
      for (const Json& name : names->get_array())
        if (!object->contains(name.get_string())) return false;
    const Json *properties = given("properties"), *more = given("additionalProperties");
    for (const auto& [key, member] : *object) {
      const Json* known = properties != nullptr ? properties->get_object().if_contains(key) : nullptr;
      if (known == nullptr) known = more;
      if (known != nullptr && known->is_object() && !conforms(member, known->get_object(), root)) return false;
    }
  }
  return true;
}

// Chooses at random, and after a while whatever brings the end closer.
TokenId choose(const Mask& mask, const TokenTrie& trie, int step, std::mt19937_64& random) {
  const auto options = tokens_of(mask);
  if (step > 40) {
    for (const TokenId end : trie.end_tokens())
      if (has(mask, end)) return end;
    for (const std::string_view wanted : {"\"", "}", "]", "0", "null"})
      for (const TokenId token : options)
        if (trie.bytes(token) == wanted) return token;
  }
  return options[random() % options.size()];
}

TEST_F(RealVocabulary, WhateverIsChosenConforms) {
  std::mt19937_64 random(7);
  for (const char* schema : kSchemas) {
    const auto grammar = Grammar::from_json_schema(schema);
    ASSERT_TRUE(grammar) << schema << grammar.error().message;
    const Json document = *parse_json(schema);
    const auto constraint = std::make_shared<const Constraint>(*grammar, trie);
    for (int run = 0; run < 30; ++run) {
      GrammarMatcher at(constraint);
      std::string text;
      Mask mask(trie->words());
      for (int step = 0; step < 400 && !at.finished(); ++step) {
        ASSERT_TRUE(at.mask(mask)) << schema << "\n" << text;
        if (step % 10 == run % 10) {  // masks and single checks agree
            for (TokenId other = run % 7; other < trie->size(); other += 7) {
            ASSERT_EQ(has(mask, other), at.allows(other)) << schema << "\n" << text << " token " << other;
          }
        }
        const TokenId token = choose(mask, *trie, step, random);
        ASSERT_TRUE(at.accept(token));
        text += trie->bytes(token);
      }
      ASSERT_TRUE(at.finished()) << schema << "\n" << text;
      const auto value = parse_json(text);
      ASSERT_TRUE(value) << schema << "\n" << text << "\n" << value.error().message;
      EXPECT_TRUE(conforms(*value, document.get_object(), document.get_object())) << schema << "\n" << text;
    }
  }
}

TEST_F(RealVocabulary, ForcedTokensAreWhatTheTokenizerWrites) {
  auto at = matcher(Grammar::from_json_schema(R"({"type":"object","properties":{"temperature_in_celsius":{"type":"integer"}},"required":["temperature_in_celsius"]})"), trie);
  const std::string text = at.forced();
  EXPECT_EQ(text, "{\"temperature_in_celsius\":");
  const auto tokens = at.forced_tokens(*smollm());
  ASSERT_GT(tokens.size(), 3u);
  std::string written;
  for (const TokenId token : tokens) {
    written += trie->bytes(token);
    ASSERT_TRUE(at.accept(token));
  }
  EXPECT_TRUE(text.starts_with(written));
  auto whole = matcher(Grammar::from_regex("exactly this"), trie);
  EXPECT_EQ(smollm()->decode(whole.forced_tokens(*smollm())), "exactly this");
}

TEST_F(RealVocabulary, ControlTokensAreVisibleOnlyByName) {
  const TokenId start = smollm()->find("<|im_start|>");
  ASSERT_NE(start, kNoToken);
  EXPECT_TRUE(trie->bytes(start).empty());
  const std::string visible[] = {"<|im_start|>"};
  EXPECT_EQ(TokenTrie::build(*smollm(), visible)->bytes(start), "<|im_start|>");
  ASSERT_FALSE(trie->end_tokens().empty());
  EXPECT_TRUE(trie->bytes(trie->end_tokens()[0]).empty());
}

TEST_F(RealVocabulary, TheCacheIsBoundedAndOnlyACache) {
  const auto grammar = Grammar::from_json_object();
  ASSERT_TRUE(grammar);
  const auto cached = std::make_shared<const Constraint>(*grammar, trie), none = std::make_shared<const Constraint>(*grammar, trie, 0);
  GrammarMatcher a(cached), b(none);
  Mask first(trie->words()), second(trie->words());
  for (const TokenId token : smollm()->encode(R"({"a": [1, "two", {"b": null}]})", {.add_special = false})) {
    a.mask(first);
    b.mask(second);
    ASSERT_EQ(first, second);
    ASSERT_TRUE(a.accept(token));
    ASSERT_TRUE(b.accept(token));
  }
  EXPECT_TRUE(a.finished());
  EXPECT_GT(cached->cached_bytes(), 0u);
  EXPECT_EQ(none->cached_bytes(), 0u);
}

}  // namespace
}  // namespace stoa::models
