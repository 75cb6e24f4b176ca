#include "models/tokenizer/chat_template.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

const std::vector<ChatMessage> kMessages = {{"system", "Be brief."}, {"user", " Hi \n"}, {"assistant", "Yes"}};

Result<std::string> render(std::string source, const TemplateLimits& limits = {}, std::string extra = {}) {
  STOA_TRY(parsed, ChatTemplate::parse(std::move(source), limits));
  return parsed.render({.messages = kMessages, .bos_token = "<s>", .eos_token = "</s>", .tools_json = R"([{"name":"f"}])", .extra_json = std::move(extra)});
}

TEST(ChatTemplate, Renders) {
  const std::pair<const char*, const char*> kCases[] = {
      {"", ""},
      {"{% for m in messages %}{{ '<' ~ m.role ~ '>' + m['content'] | trim }}{% endfor %}{% if add_generation_prompt %}>{% endif %}", "<system>Be brief.<user>Hi<assistant>Yes>"},
      {"{{ bos_token }}{% set ns = namespace(n=0) %}{% for m in messages if m.role != 'system' %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ eos_token }}", "<s>2</s>"},
      {"  {% if tools %}\n  {{ tools[0] | tojson }}\n  {% endif %}\nend", "  {\"name\": \"f\"}\nend"},
      {"{{ strftime_now('%Y') }}", "1970"},
      {"{{ mode | default('x') }}{{ messages[1:] | map(attribute='role') | join(',') }}", "fastuser,assistant"},
  };
  for (const auto& [source, expected] : kCases) {
    const auto text = render(source, {}, R"({"mode": "fast"})");
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, expected) << source;
  }
}

TEST(ChatTemplate, SeesCallsAnswersAndReasoning) {
  const std::vector<ChatMessage> messages = {{"user", "q"}, {"assistant", "", {{"c1", "f", R"({"a":[1,"x"]})"}}, {}, "hm"}, {"tool", "r", {}, "c1"}};
  const auto parsed = ChatTemplate::parse(
      "{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.reasoning_content is defined %}({{ m.reasoning_content }}){% endif %}"
      "{% if m.tool_call_id is defined %}@{{ m.tool_call_id }}{% endif %}"
      "{% for t in m.tool_calls %}#{{ t.id }} {{ t.function.name }} {{ t.function.arguments | tojson }} {{ t.function.arguments.a[1] }}{% endfor %};{% endfor %}");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const auto text = parsed->render({.messages = messages, .bos_token = {}, .eos_token = {}, .tools_json = {}, .extra_json = {}});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, "user:q;assistant:(hm)#c1 f {\"a\": [1, \"x\"]} x;tool:r@c1;");
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  const std::tuple<const char*, ErrorCode, const char*> kCases[] = {
      {"\n\n{{ 1 + }}", ErrorCode::kInvalidArgument, "template line 3: expected a value"},
      {"\n{% if true %}", ErrorCode::kInvalidArgument, "template line 2: 'endif' is missing"},
      {"{% include 'x' %}", ErrorCode::kUnsupported, "template line 1: the tag 'include'"},
      {"{{ 'open }}", ErrorCode::kInvalidArgument, "a string has no end"},
      {"{# open", ErrorCode::kInvalidArgument, "a comment has no end"},
      {"{% raw %}", ErrorCode::kInvalidArgument, "'raw' has no 'endraw'"},
      {"{% break %}", ErrorCode::kInvalidArgument, "outside of a loop"},
      {"x\n{{ raise_exception('roles') }}", ErrorCode::kInvalidArgument, "template line 2: the chat template refuses the messages: roles"},
      {"{{ absent.x }}", ErrorCode::kInvalidArgument, "'absent' is undefined"},
      {"{{ 1 | nope }}", ErrorCode::kUnsupported, "the filter 'nope'"},
      {"{{ 9223372036854775807 + 1 }}", ErrorCode::kUnsupported, "64 bits"},
      {"{{ 92233720368547758080 }}", ErrorCode::kInvalidArgument, "too large"},
      {"{{ (0 - 9223372036854775807 - 1) // -1 }}", ErrorCode::kUnsupported, "64 bits"},
      {"{% set ns = namespace() %}{% set ns.me = ns %}", ErrorCode::kUnsupported, "namespace"},
      {"{% set ns = namespace() %}{% set ns.me = [ns] %}", ErrorCode::kUnsupported, "namespace"},
  };
  for (const auto& [source, code, expected] : kCases) {
    const auto text = render(source);
    ASSERT_FALSE(text) << source;
    EXPECT_EQ(text.error().code, code) << source;
    EXPECT_NE(text.error().message.find(expected), std::string::npos) << text.error().message;
  }
}

std::string repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ChatTemplate, LimitsHold) {
  const TemplateLimits small{.max_source_bytes = 200'000, .max_output_bytes = 10'000, .max_steps = 50'000, .max_depth = 50};
  const std::string kSources[] = {
      repeat(" ", 200'001),
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for a in range(999) %}{{ 'xxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
      "{{ 'x' * 1000000000000 }}",
      "{% set ns = namespace(s='xx') %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[]) %}{% for a in range(600) %}{% set ns.s = [ns.s] %}{% endfor %}",
      "{% set ns = namespace(a=[], b=[]) %}{% for i in range(45) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
      "{% set ns = namespace(a='x') %}{% for i in range(45) %}{% set ns.a = ns.a.replace('x', 'xx') %}{% endfor %}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}",
      "{{ " + repeat("-", 5000) + "1 }}",
      "{{ " + repeat("not ", 5000) + "1 }}",
      "{{ 1" + repeat(" + 1", 5000) + " }}",
      "{{ a" + repeat(".b", 5000) + " }}",
      "{{ a" + repeat("|upper", 5000) + " }}",
      "{{ " + repeat("[", 5000) + repeat("]", 5000) + " }}",
      repeat("{% if 1 %}", 5000) + repeat("{% endif %}", 5000),
      "{{ " + repeat("1 if 1 else ", 5000) + "1 }}",
  };
  for (const auto& source : kSources) {
    const auto text = render(source, small);
    ASSERT_FALSE(text) << source.substr(0, 100);
    EXPECT_EQ(text.error().code, ErrorCode::kTooLarge) << source.substr(0, 100) << ": " << text.error().message;
  }
}

TEST(ChatTemplate, BadVariablesAreErrors) {
  EXPECT_FALSE(render("x", {}, "[1]"));
  EXPECT_FALSE(render("x", {}, "{"));
}

}  // namespace
}  // namespace stoa::models
