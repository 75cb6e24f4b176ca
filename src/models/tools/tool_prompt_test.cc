#include "models/tools/tool_prompt.h"

#include <gtest/gtest.h>

#include "models/tools/answer_grammar.h"

namespace stoa::models {
namespace {

const std::vector<ToolDefinition> kTools = {{"look", R"({"type":"object","properties":{"a":{"type":"integer"}}})", true, "Looks."}};
constexpr const char* kDefinition = R"({"type":"function","function":{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}})";

std::string show(const Result<std::vector<ChatMessage>>& messages) {
  if (!messages) return messages.error().message;
  std::string out;
  for (const ChatMessage& message : *messages) out += message.role + "|" + message.content + "||";
  return out;
}

TEST(ToolPrompt, DefinitionsAsTemplatesReadThem) {
  EXPECT_EQ(*tools_json(kTools), "[" + std::string(kDefinition) + "]");
  EXPECT_EQ(*tools_json(std::vector<ToolDefinition>{{"f", "", false}}), R"([{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}])");
  const auto bad = tools_json(std::vector<ToolDefinition>{{"f", "[", false}});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().param, "tools");
}

TEST(ToolPrompt, WritesToolsIntoMessages) {
  const std::vector<ChatMessage> talk = {{"user", "q"}, {"assistant", "I look.", {{"c1", "look", R"({"a":1})"}, {"c2", "look", ""}}}, {"tool", "one", {}, "c1"}, {"tool", "two", {}, "c2"}};
  const std::string history = "user|q||assistant|I look.\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"a\":1}}\n</tool_call>\n<tool_call>\n{\"name\": \"look\", \"arguments\": {}}\n</tool_call>||"
                              "user|<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>||";
  EXPECT_EQ(show(write_out_tools(talk, {}, {ToolFormat::kHermes, "T: {tools}"})), history);
  EXPECT_EQ(show(write_out_tools(talk, kTools, {ToolFormat::kHermes, "T: {tools}"})), "system|T: " + std::string(kDefinition) + "\n||" + history);
  const std::vector<ChatMessage> with_system = {{"system", "Be brief."}, {"user", "q"}};
  EXPECT_EQ(show(write_out_tools(with_system, kTools, {ToolFormat::kHermes, "{tools}"})), "system|Be brief.\n\n" + std::string(kDefinition) + "\n||user|q||");
}

TEST(ToolPrompt, WritesThemAsPhi4Reads) {
  const std::vector<ChatMessage> talk = {{"system", "Be brief."}, {"user", "q"}, {"assistant", "", {{"c1", "look", R"({"a":1})"}, {"c2", "look", ""}}}, {"tool", "one", {}, "c1"}};
  EXPECT_EQ(show(write_out_tools(talk, kTools, {ToolFormat::kTagged, "<|tool|>{tools}<|/tool|>"})),
            R"(system|Be brief.<|tool|>[{"name":"look","description":"Looks.","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}]<|/tool|>||)"
            R"(user|q||assistant|<|tool_call|>[{"name": "look", "arguments": {"a":1}}, {"name": "look", "arguments": {}}]<|/tool_call|>||tool|one||)");
}

TEST(AnswerGrammar, KeysTellGrammarsApart) {
  ChatRequest a;
  a.tools = kTools;
  const auto key = [](const ChatRequest& request) { return grammar_key(request, ToolFormat::kHermes, Reasoning::kNone); };
  ChatRequest b = a;
  EXPECT_EQ(key(a), key(b));
  b.tools[0].description = "another";  // is no part of the grammar
  EXPECT_EQ(key(a), key(b));
  b.parallel_tool_calls = false;
  EXPECT_NE(key(a), key(b));
  b = a;
  b.tool_choice = {ToolChoice::Mode::kNamed, "look"};
  EXPECT_NE(key(a), key(b));
  b = a;
  b.constraint = {AnswerConstraint::Kind::kRegex, "a", ""};
  EXPECT_NE(key(a), key(b));
  EXPECT_NE(key(a), grammar_key(a, ToolFormat::kHermes, Reasoning::kPossible));
}

}  // namespace
}  // namespace stoa::models
