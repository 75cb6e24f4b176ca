#include "models/tools/tool_grammar.h"

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
    tokens.insert(tokens.end(), {"<tool_call>", "</tool_call>", "{\"name\":", "\"weather\"", "[TOOL_CALLS]", "</think>", "<end>"});
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
  for (const auto format : {ToolFormat::kHermes, ToolFormat::kLlama3, ToolFormat::kMistral, ToolFormat::kMistral11, ToolFormat::kTagged}) {
    const auto grammar = tool_grammar(kTools, {Mode::kNamed, "weather"}, {.format = format});
    ASSERT_TRUE(grammar) << grammar.error().message;
    const auto constraint = std::make_shared<const Constraint>(*grammar, bytes_as_tokens());
    for (int run = 0; run < 20; ++run) {
      GrammarMatcher matcher(constraint);
      ToolParser parser(format, Reasoning::kNone);
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
