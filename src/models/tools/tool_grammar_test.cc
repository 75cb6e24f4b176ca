#include "models/tools/tool_grammar.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "base/json.h"
#include "models/constrain/matcher.h"
#include "models/tools/tool_parser.h"

namespace stoa::models {
namespace {

using Mode = ToolChoice::Mode;

const std::vector<ToolDefinition> kTools = {
    {"weather", R"({"type":"object","properties":{"city":{"type":"string","maxLength":12},"unit":{"enum":["c","f"]}},"required":["city","unit"],"additionalProperties":false})", true},
    {"note", "", false},
};

std::shared_ptr<const TokenTrie> bytes_as_tokens() {
  static const auto trie = [] {
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    tokens.insert(tokens.end(), {"<tool_call>", "</tool_call>", "{\"name\":", "\"weather\"", "[TOOL_CALLS]", "</think>", "\n</parameter>\n", "</para", "<end>"});
    return TokenTrie::build(tokens, std::vector<TokenId>{static_cast<TokenId>(tokens.size() - 1)});
  }();
  return trie;
}

bool accepts(const Grammar& grammar, std::string_view text) {
  GrammarMatcher matcher(std::make_shared<Constraint>(grammar, bytes_as_tokens()));
  return (text.empty() || matcher.accept_text(text)) && matcher.can_end();
}

TEST(ToolGrammar, AcceptsWholeCallsOnly) {
  constexpr const char* kPlain = "It is 5 < 6 {maybe}.";
  struct Case {
    ToolFormat format;
    ToolChoice choice;
    Reasoning reasoning;
    bool parallel;
    std::vector<std::string> accepted, rejected;
  };
  const std::string weather = R"({"name": "weather", "arguments": {"city": "Oslo", "unit": "c"}})", note = R"({"name":"note","arguments":{"any":[1]}})";
  const std::string wrong = R"({"name": "weather", "arguments": {"city": "Oslo"}})", llama = R"({"name": "weather", "parameters": {"city": "Oslo", "unit": "c"}})";
  const std::string native = R"([TOOL_CALLS]weather[ARGS]{"city": "Oslo", "unit": "c"})";
  const auto parameters = [](const std::string& name, const std::vector<std::pair<std::string, std::string>>& values) {
    std::string all;
    for (const auto& [key, value] : values) all += "<parameter=" + key + ">\n" + value + "\n</parameter>\n";
    return "<tool_call>\n<function=" + name + ">\n" + all + "</function>\n</tool_call>";
  };
  const std::string xml = parameters("weather", {{"city", "Oslo \"N\""}, {"unit", "c"}}), xml_note = parameters("note", {{"any", "text\n<b> and </b>"}, {"other", ""}});
  const auto hermes = [](const std::string& call) { return "<tool_call>\n" + call + "\n</tool_call>"; };
  const Case cases[] = {
      {ToolFormat::kHermes, {}, Reasoning::kNone, true,
       {"", kPlain, hermes(weather), "Wait. " + hermes(weather) + "\n" + hermes(note) + " ok"}, {hermes(wrong), "<tool_call>", hermes("{}"), "x" + hermes(weather) + "<tool_call>"}},
      {ToolFormat::kHermes, {Mode::kRequired, ""}, Reasoning::kNone, false, {hermes(weather), hermes(note)}, {"", kPlain, hermes(weather) + hermes(note), " " + hermes(weather)}},
      {ToolFormat::kHermes, {Mode::kNamed, "note"}, Reasoning::kPossible, true,
       {hermes(note), "<think>\nwell <tool_call>\n</think>\n\n" + hermes(note)}, {hermes(weather), "<think>well" + hermes(note)}},
      {ToolFormat::kHermes, {}, Reasoning::kOpened, true, {"hm</think>yes", "hm</think>\n\n" + hermes(weather)}, {"hm", hermes(weather)}},
      {ToolFormat::kLlama3, {}, Reasoning::kNone, true, {"", kPlain, llama, "<|python_tag|>" + llama, llama + "; " + llama, "<p>"}, {"{\"x\":1}", "{", kPlain + std::string("<|python_tag|>")}},
      {ToolFormat::kLlama3, {Mode::kNamed, "weather"}, Reasoning::kNone, false, {llama}, {kPlain, llama + ";" + llama, weather}},
      {ToolFormat::kMistral, {}, Reasoning::kNone, true, {kPlain, "[TOOL_CALLS] [" + weather + ", " + note + "]"}, {"[TOOL_CALLS]", "[TOOL_CALLS] []", "[TOOL_CALLS][" + wrong + "]"}},
      {ToolFormat::kTagged, {}, Reasoning::kNone, true,
       {kPlain, "<|tool_call|>[" + weather + "]", "So: <|tool_call|>[" + weather + ", " + note + "]<|/tool_call|>"}, {"<|tool_call|>", "<|tool_call|>[]", "<|tool_call|>[" + wrong + "]"}},
      {ToolFormat::kMistral11, {}, Reasoning::kNone, true, {kPlain, native, "So: " + native + "[TOOL_CALLS]note[ARGS]{}"}, {"[TOOL_CALLS]", "[TOOL_CALLS]weather[ARGS]{}", "[TOOL_CALLS]other[ARGS]{}"}},
      {ToolFormat::kMistral11, {Mode::kRequired, ""}, Reasoning::kNone, false, {native}, {kPlain, native + native, "x" + native}},
      {ToolFormat::kMistral11, {Mode::kRequired, ""}, {Reasoning::kPossible, kBracketTags}, true,
       {native, "[THINK]hm [TOOL_CALLS] </think>[/THINK]" + native}, {"[THINK]hm", "[THINK]hm</think>" + native, "<think>hm</think>" + native}},
      {ToolFormat::kParameters, {}, Reasoning::kNone, true, {"", kPlain, xml, "So: " + xml + "\n" + xml_note + " ok", parameters("note", {})},
       {"<tool_call>", parameters("other", {}), parameters("weather", {{"city", "Oslo"}}), parameters("weather", {{"unit", "c"}, {"city", "Oslo"}}),
        parameters("weather", {{"city", "Oslo"}, {"unit", "\"c\""}}), parameters("weather", {{"city", "a city too long"}, {"unit", "c"}}), hermes(weather)}},
      {ToolFormat::kParameters, {Mode::kNamed, "weather"}, Reasoning::kNone, false, {xml}, {kPlain, xml + xml, xml_note}},
      {ToolFormat::kMistral, {Mode::kRequired, ""}, Reasoning::kNone, false, {"[TOOL_CALLS][" + note + "]"}, {kPlain, "[TOOL_CALLS][" + note + "," + note + "]"}},
  };
  for (const auto& [format, choice, reasoning, parallel, accepted, rejected] : cases) {
    const auto grammar = tool_grammar(kTools, choice, {.format = format, .reasoning = reasoning, .parallel = parallel});
    ASSERT_TRUE(grammar) << grammar.error().message;
    for (const auto& text : accepted) EXPECT_TRUE(accepts(*grammar, text)) << text;
    for (const auto& text : rejected) EXPECT_FALSE(accepts(*grammar, text)) << text;
  }
}

// Whatever a model chooses among the allowed tokens, the parser finds whole calls with valid arguments in it.
TEST(ToolGrammar, WhatItAllowsTheParserReads) {
  std::mt19937_64 random(3);
  for (const auto format : {ToolFormat::kHermes, ToolFormat::kLlama3, ToolFormat::kMistral, ToolFormat::kMistral11, ToolFormat::kTagged, ToolFormat::kParameters}) {
    const auto grammar = tool_grammar(kTools, {Mode::kNamed, "weather"}, {.format = format});
    ASSERT_TRUE(grammar) << grammar.error().message;
    const auto constraint = std::make_shared<const Constraint>(*grammar, bytes_as_tokens());
    for (int run = 0; run < 20; ++run) {
      GrammarMatcher matcher(constraint);
      ToolParser parser(format, Reasoning::kNone, std::make_shared<const ParameterForms>(parameter_forms(kTools)));
      std::vector<ToolEvent> events;
      std::vector<std::uint64_t> bits(bytes_as_tokens()->words());
      for (int step = 0; step < 3000 && !matcher.can_end(); ++step) {
        ASSERT_TRUE(matcher.mask(bits));
        std::vector<TokenId> allowed;
        for (TokenId token = 0; token < bytes_as_tokens()->size(); ++token)
          if (bits[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1) allowed.push_back(token);
        const TokenId token = allowed[random() % allowed.size()];
        ASSERT_TRUE(matcher.accept(token));
        parser.push(bytes_as_tokens()->bytes(token), events);
      }
      ASSERT_TRUE(matcher.can_end());
      parser.finish(events);
      std::string arguments;
      for (const ToolEvent& event : events) {
        EXPECT_NE(event.kind, ToolEvent::Kind::kContent) << event.text;
        EXPECT_TRUE(event.kind != ToolEvent::Kind::kCall || event.text == "weather");
        EXPECT_TRUE(event.whole);
        if (event.kind == ToolEvent::Kind::kArguments && event.call == 0) arguments += event.text;
      }
      const auto json = parse_json(arguments);
      ASSERT_TRUE(json) << arguments;
      EXPECT_TRUE(json->get_object().at("city").is_string());
      EXPECT_TRUE(json->get_object().at("unit") == "c" || json->get_object().at("unit") == "f");
    }
  }
}

const std::vector<ToolDefinition> kParameterTools = {{"f", R"({"type":"object","properties":{
    "text":{"type":"string"},"id":{"type":"string","pattern":"^[<a-c]{2,40}$"},"note":{"anyOf":[{"type":"string","minLength":1,"maxLength":9},{"type":"null"}]},
    "day":{"$ref":"#/$defs/day"},"count":{"type":"integer","minimum":3,"maximum":20},"on":{"type":"boolean"},"names":{"type":"array","items":{"type":"string"},"maxItems":2},
    "tree":{"$ref":"#/$defs/tree"},"mixed":{"type":["string","integer"],"minLength":2},"last":{"const":"end"}},
    "required":["text","id","day","count","tree","mixed"],"additionalProperties":false,
    "$defs":{"day":{"enum":["Mon","Tue"]},"tree":{"type":"object","properties":{"left":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]},"tag":{"type":"string"}},"required":["left"]}}})", true}};

// The object that was meant, whether its values stood there as text or as JSON.
void check_parameters(const JsonObject& call) {
  EXPECT_TRUE(call.at("text").is_string());
  const std::string id(call.at("id").get_string());
  EXPECT_TRUE(id.size() >= 2 && id.size() <= 40 && id.find_first_not_of("<abc") == std::string::npos) << id;
  EXPECT_TRUE(call.at("day") == "Mon" || call.at("day") == "Tue");
  EXPECT_TRUE(call.at("count").is_int64() && call.at("count").get_int64() >= 3 && call.at("count").get_int64() <= 20);
  EXPECT_TRUE(call.at("tree").get_object().contains("left"));
  EXPECT_TRUE(call.at("mixed").is_int64() || call.at("mixed").is_string());
  const auto left_out_or = [&](std::string_view key, bool (*fits)(const Json&)) {
    const Json* value = call.if_contains(key);
    EXPECT_TRUE(value == nullptr || fits(*value)) << key;
  };
  left_out_or("note", [](const Json& note) { return note.is_null() || note.is_string(); });
  left_out_or("on", [](const Json& on) { return on.is_bool(); });
  left_out_or("last", [](const Json& last) { return last == "end"; });
  left_out_or("names", [](const Json& names) { return std::ranges::all_of(names.get_array(), [](const Json& name) { return name.is_string(); }); });
}

// Of every kind of value, a model that writes whatever it may ends with arguments that conform.
TEST(ToolGrammar, ParametersOfEveryKindConform) {
  const auto grammar = tool_grammar(kParameterTools, {Mode::kNamed, "f"}, {.format = ToolFormat::kParameters});
  ASSERT_TRUE(grammar) << grammar.error().message;
  const auto constraint = std::make_shared<const Constraint>(*grammar, bytes_as_tokens());
  const auto forms = std::make_shared<const ParameterForms>(parameter_forms(kParameterTools));
  std::mt19937_64 random(5);
  const std::string likely = "\n</parameter>\"}]nul,";  // what ends values, or nearly does
  int whole = 0;
  for (int run = 0; run < 60; ++run) {
    GrammarMatcher matcher(constraint);
    ToolParser parser(ToolFormat::kParameters, Reasoning::kNone, forms);
    std::vector<ToolEvent> events;
    std::vector<std::uint64_t> bits(bytes_as_tokens()->words());
    for (int step = 0; step < 6000 && !matcher.can_end(); ++step) {
      ASSERT_TRUE(matcher.mask(bits));
      std::vector<TokenId> allowed;
      for (TokenId token = 0; token < bytes_as_tokens()->size(); ++token) {
        const bool may = bits[static_cast<std::size_t>(token) / 64] >> (token % 64) & 1;
        if (may) allowed.insert(allowed.end(), token >= 256 ? 400 : likely.contains(static_cast<char>(token)) ? 20 : 1, token);
      }
      const TokenId token = allowed[random() % allowed.size()];
      ASSERT_TRUE(matcher.accept(token));
      parser.push(bytes_as_tokens()->bytes(token), events);
    }
    if (!matcher.can_end()) continue;
    parser.finish(events);
    std::string arguments;
    for (const ToolEvent& event : events)
      if (event.kind == ToolEvent::Kind::kArguments && event.call == 0) arguments += event.text;
    const auto json = parse_json(arguments);
    ASSERT_TRUE(json) << arguments;
    check_parameters(json->get_object());
    ++whole;
  }
  EXPECT_GT(whole, 20);
}

TEST(ToolGrammar, ParametersThatCannotBeListed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"type":"object","properties":{"a":{}},"minProperties":1,"required":["a"]})", "tool 'f': schema at #: 'minProperties'"},
      {R"({"anyOf":[{"type":"object","properties":{"a":{}}}]})", "tool 'f': schema at #: 'anyOf'"},
      {R"({"type":"object","properties":{"a":{}},"required":["a","z"],"additionalProperties":true})", "tool 'f': schema at #/required: 'z' is not"},
      {R"({"type":"object","properties":{"a>b":{"type":"string"}}})", "the name 'a>b'"},
      {R"({"type":"object","properties":{"a":{"enum":["x","</parameter>"]}}})", "tool 'f': schema at #/properties/a: 'enum' has"},
  };
  for (const auto& [schema, message] : cases) {
    const auto grammar = tool_grammar(std::vector<ToolDefinition>{{"f", schema, true}}, {}, {.format = ToolFormat::kParameters});
    ASSERT_FALSE(grammar) << schema;
    EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(grammar.error().param, "tools");
    EXPECT_NE(grammar.error().message.find(message), std::string::npos) << grammar.error().message;
  }
}

TEST(ToolGrammar, Errors) {
  const std::tuple<std::vector<ToolDefinition>, ToolChoice, const char*> cases[] = {
      {{}, {}, "no tools"},
      {{{"a b", "", false}}, {}, "'a b' is not"},
      {{{"", "", false}}, {}, "is not 1 to 64"},
      {kTools, {Mode::kNamed, "other"}, "'other', which is not among"},
      {{{"f", R"({"not":{}})", true}}, {}, "tool 'f': schema at #: 'not'"},
  };
  for (const auto& [tools, choice, message] : cases) {
    const auto grammar = tool_grammar(tools, choice, {});
    ASSERT_FALSE(grammar) << message;
    EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(grammar.error().message.find(message), std::string::npos) << grammar.error().message;
    EXPECT_FALSE(grammar.error().param.empty());
  }
}

}  // namespace
}  // namespace stoa::models
