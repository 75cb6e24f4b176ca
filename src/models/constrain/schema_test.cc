#include "models/constrain/schema.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "models/constrain/grammar.h"
#include "models/constrain/matcher.h"

namespace stoa::models {
namespace {

using Texts = std::vector<std::string>;

bool accepts(const Grammar& grammar, std::string_view text) {
  static const auto trie = TokenTrie::build(std::vector<std::string>{}, {});
  GrammarMatcher matcher(std::make_shared<Constraint>(grammar, trie));
  return (text.empty() || matcher.accept_text(text)) && matcher.can_end();
}

struct Case {
  std::string schema;
  Texts accepted, rejected;
};

void check(std::span<const Case> cases) {
  for (const auto& [schema, accepted, rejected] : cases) {
    const auto grammar = Grammar::from_json_schema(schema);
    ASSERT_TRUE(grammar) << schema << ": " << grammar.error().message << " (" << grammar.error().hint << ")";
    for (const auto& text : accepted) {
      EXPECT_TRUE(parse_json(text)) << text;
      EXPECT_TRUE(accepts(*grammar, text)) << schema << "\n  should accept " << text;
    }
    for (const auto& text : rejected) EXPECT_FALSE(accepts(*grammar, text)) << schema << "\n  should reject " << text;
  }
}

TEST(Schema, Scalars) {
  const Case cases[] = {
      {R"({"type":"string"})", {R"("")", R"("a\n\u00e9é😀")", R"("\ud83d\ude00")", R"("\/")"}, {"\"", "\"\n\"", R"("\x")", R"("\ud83d")", R"("\ude00")", "\"\xff\"", "a"}},
      {R"({"type":"integer"})", {"0", "-1", "123456789012345678"}, {"-0", "01", "1.0", "1e3", "1234567890123456789", "+1", ""}},
      {R"({"type":"number"})", {"0", "-0.5", "1e10", "1.25E-3"}, {"1.", ".5", "01", "1e", "1e100"}},
      {R"({"type":["boolean","null"]})", {"true", "false", "null"}, {"0", "nul", "True"}},
      {R"({"type":"integer","nullable":true})", {"1", "null"}, {"true"}},
      {R"({"enum":["a","b\"",1,null,{"x":[1,2]}]})", {R"("a")", R"("b\"")", "1", "null", R"({"x":[1,2]})"}, {R"("c")", "2"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
      {R"({"const":"x"})", {R"("x")"}, {R"("y")"}},
      {R"({})", {"1", R"([{"a":[null, true]}])", R"({"a": {"b":{}}})", "[]", "-1.5"}, {"[1,]", "{\"a\":}", "[1 ,2]", "[1,  2]", " 1"}},
      {"true", {"1", "{}"}, {"", "x"}},
  };
  check(cases);
}

TEST(Schema, Strings) {
  const Case cases[] = {
      {R"({"type":"string","minLength":2,"maxLength":3})", {R"("ab")", R"("é😀x")", R"("\n\"a")", R"("\ud83d\ude00a")"}, {R"("a")", R"("abcd")", R"("\ud83d\ude00")"}},
      {R"({"type":"string","maxLength":300})", {"\"" + std::string(300, 'x') + "\"", R"("")"}, {"\"" + std::string(301, 'x') + "\""}},
      {R"({"type":"string","minLength":200})", {"\"" + std::string(200, 'x') + "\"", "\"" + std::string(900, 'x') + "\""}, {"\"" + std::string(199, 'x') + "\""}},
      {R"({"type":"string","pattern":"^[A-Z]{2}-\\d+$"})", {R"("AB-1")", R"("XY-123")"}, {R"("ab-1")", R"("AB-")", R"("xAB-1")"}},
      {R"({"type":"string","pattern":"b+"})", {R"("b")", R"("abbc")", R"("\nb")"}, {R"("a")", R"("")"}},
      {R"({"type":"string","pattern":"^\"\\\\\n$"})", {R"("\"\\\n")"}, {R"("x")"}},
      {R"({"type":"string","pattern":"^[a-z]+$","maxLength":4,"minLength":2})", {R"("ab")", R"("abcd")"}, {R"("a")", R"("abcde")", R"("AB")"}},
      {R"({"allOf":[{"type":"string","pattern":"a"},{"pattern":"b"}]})", {R"("ab")", R"("xbya")"}, {R"("a")", R"("b")"}},
      {R"({"type":"string","format":"date"})", {R"("2024-02-29")", R"("2023-12-31")"}, {R"("2023-02-29")", R"("2023-13-01")", R"("2023-04-31")", R"("23-01-01")"}},
      {R"({"type":"string","format":"date-time"})", {R"("2024-01-02T03:04:05Z")", R"("2024-01-02T03:04:05.123+01:00")"}, {R"("2024-01-02 03:04:05Z")", R"("2024-01-02T24:00:00Z")"}},
      {R"({"type":"string","format":"time"})", {R"("23:59:59Z")"}, {R"("23:60:00Z")", R"("23:59:59")"}},
      {R"({"type":"string","format":"email"})", {R"("a.b+c@example.org")"}, {R"("a@b")", R"("@example.org")", R"("a b@example.org")"}},
      {R"({"type":"string","format":"uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("123e4567")"}},
      {R"({"type":"string","format":"ipv4"})", {R"("127.0.0.1")", R"("255.255.255.255")"}, {R"("256.0.0.1")", R"("1.2.3")"}},
      {R"({"type":"string","format":"ipv6"})", {R"("::1")", R"("2001:db8::1")", R"("1:2:3:4:5:6:7:8")"}, {R"("1:2:3")", R"("g::1")"}},
      {R"({"type":"string","format":"uri"})", {R"("https://example.org/a?b=c#d")", R"("mailto:a@example.org")"}, {R"("example")", R"("https://a b")"}},
      {R"({"type":"string","format":"hostname"})", {R"("a.example.org")"}, {R"("-a")", R"("a..b")"}},
      {R"({"type":"string","format":"duration"})", {R"("P1DT2H")", R"("PT5M")", R"("P3W")"}, {R"("P")", R"("1D")", R"("PT")"}},
      {R"({"type":"string","format":"byte"})", {R"("aGk=")", R"("")"}, {R"("a")"}},
  };
  check(cases);
}

TEST(Schema, Numbers) {
  const Case cases[] = {
      {R"({"type":"integer","minimum":0,"maximum":150})", {"0", "9", "99", "150"}, {"151", "200", "-1", "1000", "007"}},
      {R"({"type":"integer","minimum":-12,"exclusiveMaximum":13})", {"-12", "-1", "0", "12"}, {"-13", "13", "-0", "-20"}},
      {R"({"type":"integer","minimum":100})", {"100", "999", "1000000"}, {"99", "-100"}},
      {R"({"type":"integer","maximum":-5})", {"-5", "-60"}, {"-4", "0", "5"}},
      {R"({"type":"integer","minimum":2.5,"maximum":4.5})", {"3", "4"}, {"2", "5"}},
      {R"({"type":"integer","exclusiveMinimum":0,"multipleOf":7})", {"7", "14", "700"}, {"0", "8", "-7"}},
      {R"({"type":"number","minimum":0,"maximum":1})", {"0", "1", "0.5", "1.0", "0.999"}, {"1.1", "-0.1", "2", "1e0"}},
      {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})", {"0.5", "0.001", "0.999"}, {"0", "1", "0.0", "1.0"}},
      {R"({"type":"number","minimum":-1.25,"maximum":2.75})", {"-1.25", "-1.2", "0", "2.75", "2.7", "2", "-0.5"}, {"-1.26", "2.76", "3", "-2"}},
      {R"({"type":"number","exclusiveMinimum":1.5,"maximum":10})", {"1.51", "2", "10", "9.99"}, {"1.5", "1.50", "1.4", "10.1"}},
      {R"({"type":"number","multipleOf":0.25,"minimum":0})", {"0", "0.25", "1.5", "3"}, {"0.3", "1.125"}},
      {R"({"type":"number","multipleOf":0.01})", {"1.23", "-4.5", "7"}, {"1.234"}},
      {R"({"type":"integer","format":"int32"})", {"2147483647", "-2147483648"}, {"2147483648", "-2147483649"}},
      {R"({"minimum":3,"type":["integer","string"]})", {"3", R"("x")"}, {"2"}},
      {R"({"type":"number","exclusiveMaximum":0.1})", {"0", "0.09", "-5", "0.0999"}, {"0.1", "0.2", "1"}},
  };
  check(cases);
}

TEST(Schema, Objects) {
  const Case cases[] = {
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"}},"required":["a","b"],"additionalProperties":false})",
       {R"({"a":1,"b":true})", R"({"a": 1, "b": false})"}, {R"({"b":true,"a":1})", R"({"a":1})", R"({"a":1,"b":true,"c":1})", R"({"a":1,"b":true,})", R"({"a" :1,"b":true})", "{\"a\":1,\n\"b\":true}"}},
      {R"({"properties":{"a":{"type":"integer"},"b":{"type":"boolean"},"c":{"type":"null"}},"required":["b"]})",
       {R"({"b":true})", R"({"a":1,"b":true})", R"({"b":true,"c":null})"}, {"{}", R"({"a":1})", R"({"a":1,"c":null})", R"({,"b":true})", R"({"b":true,"d":1})"}},
      {R"({"properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}})",
       {"{}", R"({"a":1})", R"({"x":"y"})", R"({"a":1,"ab":"y","b":"z"})"}, {R"({"a":"y"})", R"({"x":1})", R"({"x":"y","a":1})"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2})", {R"({"x":1})", R"({"x":1,"y":2})"}, {"{}", R"({"x":1,"y":2,"z":3})"}},
      {R"({"type":"object","propertyNames":{"pattern":"^[a-z]+$"},"additionalProperties":{"type":"integer"}})", {"{}", R"({"abc":1})"}, {R"({"A":1})", R"({"":1})"}},
      {R"({"type":"object","patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":false})", {R"({"n_x":1})"}, {R"({"x":1})", R"({"n_x":""})"}},
      {R"({"type":"object"})", {"{}", R"({"a":[1,{"b":null}]})"}, {"[]", "1"}},
      {R"({"type":"object","required":["z"]})", {R"({"z":1})"}, {"{}", R"({"a":1})"}},
      {R"({"type":"object","properties":{"a b\"":{"type":"null"}},"required":["a b\""]})", {R"({"a b\"":null})"}, {}},
      {R"({"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"null"}},"required":["b"]}]})", {R"({"a":1,"b":null})"}, {R"({"a":1})"}},
      {R"({"allOf":[{"properties":{"a":{"type":"integer"}}},{"properties":{"a":{"minimum":5}},"required":["a"]}]})", {R"({"a":5})"}, {R"({"a":4})", "{}"}},
      {R"({"type":"object","properties":{"k":{"type":"string"}},"required":["k"],"additionalProperties":false,"unevaluatedProperties":false})", {R"({"k":"v"})"}, {}},
      {R"({"properties":{"":{"type":"integer"}},"additionalProperties":{"type":"null"}})", {R"({"":1,"x":null})"}, {R"({"x":1})", R"({"":null})"}},
      {R"({"type":"object","properties":{"a":false,"b":true}})", {"{}", R"({"b":1})"}, {R"({"a":1})"}},
  };
  check(cases);
}

TEST(Schema, Arrays) {
  const Case cases[] = {
      {R"({"type":"array","items":{"type":"integer"}})", {"[]", "[1]", "[1,2, 3]"}, {"[1,]", "[,1]", "[true]", "1"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":1})", {"[1]", "[1,2]"}, {"[]"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})", {"[1,2]", "[1,2,3]"}, {"[1]", "[1,2,3,4]", "[]"}},
      {R"({"type":"array","items":{"type":"boolean"},"maxItems":2})", {"[]", "[true]", "[true,false]"}, {"[true,true,true]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})", {"[]", "[1]", R"([1,"a"])"}, {R"(["a"])", R"([1,"a",2])"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"minItems":2})", {R"([1,"a"])", R"([1,"a",null,null])"}, {"[1]", R"([1,"a",1])"}},
      {R"({"type":"array","items":[{"type":"integer"}],"additionalItems":false})", {"[]", "[1]"}, {"[1,1]"}},
      {R"({"type":"array","items":{"type":"string","maxLength":100},"minItems":30,"maxItems":60})", {"[\"a\"" + [] { std::string s; for (int i = 0; i < 29; ++i) s += ",\"b\""; return s; }() + "]"}, {"[\"a\"]"}},
      {R"({"type":"array","items":{"type":"array","items":{"type":"array"}}})", {"[[[1,[]]]]"}, {"[1]"}},
      {R"({"type":"array","items":{},"uniqueItems":false})", {"[1,1]"}, {}},
  };
  check(cases);
}

TEST(Schema, AlternativesAndReferences) {
  const Case cases[] = {
      {R"({"anyOf":[{"type":"integer"},{"type":"null"}]})", {"1", "null"}, {"true"}},
      {R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind","x"]},
                    {"type":"object","properties":{"kind":{"const":"b"},"y":{"type":"string"}},"required":["kind","y"]}]})",
       {R"({"kind":"a","x":1})", R"({"kind": "b", "y": ""})"}, {R"({"kind":"a","y":""})", R"({"kind":"c","x":1})"}},
      {R"({"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"anyOf":[{"properties":{"a":{"type":"null"}},"required":["a"]},{"properties":{"b":{"type":"null"}},"required":["b"]}]})",
       {R"({"id":1,"a":null})", R"({"id":1,"b":null})"}, {R"({"id":1})", R"({"a":null})"}},
      {R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}},"$ref":"#/$defs/node"})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":2,"next":{"v":3,"next":null}}})"}, {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}}},"required":["children"]})", {R"({"children":[{"children":[]},{"children":[{"children":[]}]}]})"}, {R"({"children":[1]})"}},
      {R"({"definitions":{"a/b":{"type":"null"}},"properties":{"x":{"$ref":"#/definitions/a~1b","description":"d"}},"required":["x"]})", {R"({"x":null})"}, {R"({"x":1})"}},
      {R"({"$defs":{"n":{"type":"integer"}},"properties":{"x":{"$ref":"#/$defs/n","minimum":5}},"required":["x"]})", {R"({"x":5})"}, {R"({"x":4})"}},
      {R"({"anyOf":[{"type":"string","maxLength":1},{"type":"string","enum":["long"]}]})", {R"("x")", R"("long")"}, {R"("lo")"}},
      {R"({"anyOf":[{"const":1},{"const":2}],"oneOf":[{"const":2},{"const":3}]})", {"2"}, {"1", "3"}},
  };
  check(cases);
}

TEST(Schema, ManyOptionalPropertiesStaySmall) {
  std::string schema = R"({"type":"object","properties":{)", text = "{";
  for (int i = 0; i < 150; ++i) {
    schema += fmt::format(R"({}"property_{}":{{"type":"string"}})", i == 0 ? "" : ",", i);
    if (i % 2 == 1) text += fmt::format(R"({}"property_{}":"v")", text.size() == 1 ? "" : ",", i);
  }
  const auto grammar = Grammar::from_json_schema(schema + "}}");
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_LT(grammar->states(), 4000u);
  EXPECT_TRUE(accepts(*grammar, text + "}"));
  EXPECT_TRUE(accepts(*grammar, "{}"));
  EXPECT_FALSE(accepts(*grammar, R"({"property_2":"v","property_1":"v"})"));
}

TEST(Schema, Errors) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += R"({"items":)";
  deep += "{}" + std::string(100, '}');
  std::string branches = R"({"allOf":[)";  // 8 * 8 * 8 * 8 * 8 combinations
  for (int i = 0; i < 5; ++i) {
    branches += std::string(i == 0 ? "" : ",") + R"({"anyOf":[)";
    for (int j = 0; j < 8; ++j) branches += fmt::format(R"({}{{"properties":{{"p{}_{}":{{"type":"null"}}}}}})", j == 0 ? "" : ",", i, j);
    branches += "]}";
  }
  branches += "]}";
  const std::tuple<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"[]", "a schema is an object"},
      {R"({"type":"strin"})", "#: 'type'"},
      {R"({"properties":{"a":{"type":"string","maxLenght":3}}})", "#/properties/a: 'maxLenght'"},
      {R"({"not":{}})", "#: 'not' is not supported"},
      {R"({"if":{},"then":{}})", "'if' is not supported"},
      {R"({"type":"array","uniqueItems":true})", "'uniqueItems' cannot be enforced"},
      {R"({"type":"array","contains":{}})", "'contains'"},
      {R"({"type":"string","format":"color"})", "'color' is not supported"},
      {R"x({"type":"string","pattern":"(?=a)"})x", "#/pattern"},
      {R"({"type":"string","minLength":-1})", "'minLength' must be"},
      {R"({"type":"string","minLength":1000001})", "at most"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "nothing can satisfy it"},
      {R"({"type":"string","pattern":"^a{5}$","maxLength":3})", "nothing can satisfy it"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "nothing can satisfy it"},
      {R"({"type":"integer","multipleOf":7919})", "cannot be enforced"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "nothing can satisfy it"},
      {R"({"type":"object","properties":{"a":false},"required":["a"]})", "nothing can satisfy it"},
      {R"({"type":"object","additionalProperties":false,"required":["a"]})", "nothing can satisfy it"},
      {"false", "nothing can satisfy it"},
      {R"({"$ref":"#"})", "refers to itself without end"},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})", "refers to itself without end"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "refers to itself without end"},
      {R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", "never ends"},
      {R"({"$ref":"other.json"})", "points outside"},
      {R"({"$ref":"#/$defs/none"})", "names nothing"},
      {R"({"enum":[]})", "'enum'"},
      {R"({"enum":["a"],"minLength":2})", "'minLength' stands beside enum"},
      {R"({"type":"object","properties":{"a":{}},"patternProperties":{"b":{}}})", "'patternProperties'"},
      {R"({"dependentRequired":{}})", "'dependentRequired'"},
      {R"({"nullable":true})", "'nullable'"},
      {deep, "deeper than"},
      {branches, "rules"},
      {std::string(300'000, ' '), "bytes"},
  };
  for (const auto& [schema, message] : cases) {
    const auto grammar = Grammar::from_json_schema(schema);
    ASSERT_FALSE(grammar) << schema.substr(0, 200);
    EXPECT_TRUE(grammar.error().code == ErrorCode::kInvalidArgument || grammar.error().code == ErrorCode::kTooLarge) << schema.substr(0, 200);
    EXPECT_NE(grammar.error().message.find(message), std::string::npos) << schema.substr(0, 200) << ": " << grammar.error().message;
  }
}

}  // namespace
}  // namespace stoa::models
