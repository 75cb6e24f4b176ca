#include "gateway/cache/request_key.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "gateway/cache/settings.h"

namespace stoa::gateway {
namespace {

TEST(CacheSettings, AreReadOrRefusedWithTheirPlace) {
  const auto check = [](std::string_view text, std::string_view wrong) {
    const auto parsed = parse_cache_settings(text, "t");
    ASSERT_EQ(parsed.has_value(), wrong.empty()) << text;
    if (!parsed) {
      EXPECT_NE(parsed.error().message.find(wrong), std::string::npos) << parsed.error().message;
    }
  };
  check("answers: all", "");
  check("{answers: deterministic, ttl_seconds: 5, max_entries: 1, max_bytes: 9, share: false, semantic: {threshold: 0.5, ttl_seconds: 1}, embeddings: true}", "");
  check("", "a map such as");
  check("answers: some", "t:1: 'some'");
  check("answer: all", "answer");
  check("ttl_seconds: 0", "t:1");
  check("semantic: {}", "'semantic' needs 'answers'");
  check("{answers: all, semantic: {threshold: 0.2}}", "0.5 to 1");
  check("{answers: all, semantic: yes}", "a map such as {threshold");
}

// Every field, changed by itself, changes the key; what does not is named here.
TEST(RequestKey, EveryFieldThatChangesTheAnswerChangesIt) {
  const auto base = [] {
    ChatRequest request;
    request.model = "m";
    request.messages = {{.role = "user", .content = "hi"}, {.role = "assistant", .content = "", .tool_calls = {{"id", "f", "{}"}}}, {.role = "tool", .content = "1", .tool_call_id = "id"}};
    request.messages[0].images = {{.media_type = "image/png", .data = "AAAA"}};
    request.tools = {{.name = "f", .parameters = "{}"}};
    request.constraint = AnswerConstraint{};
    request.stop = {"a"};
    request.sources = {"doc_1@1"};
    return request;
  };
  using Change = std::pair<const char*, std::function<void(ChatRequest&)>>;
  const std::vector<Change> changes{
      {"model", [](auto& r) { r.model = "n"; }},
      {"a message more", [](auto& r) { r.messages.push_back({.role = "user", .content = ""}); }},
      {"role", [](auto& r) { r.messages[0].role = "system"; }},
      {"content", [](auto& r) { r.messages[0].content = "ho"; }},
      {"content moved between messages", [](auto& r) { r.messages[0].content = "h", r.messages[1].content = "i"; }},
      {"tool call id", [](auto& r) { r.messages[1].tool_calls[0].id = "x"; }},
      {"tool call name", [](auto& r) { r.messages[1].tool_calls[0].name = "x"; }},
      {"tool call arguments", [](auto& r) { r.messages[1].tool_calls[0].arguments = "{\"a\":1}"; }},
      {"tool calls", [](auto& r) { r.messages[1].tool_calls.push_back({}); }},
      {"answered call", [](auto& r) { r.messages[2].tool_call_id = "x"; }},
      {"reasoning", [](auto& r) { r.messages[1].reasoning = "x"; }},
      {"image type", [](auto& r) { r.messages[0].images[0].media_type = "image/gif"; }},
      {"image data", [](auto& r) { r.messages[0].images[0].data = "BBBB"; }},
      {"image url", [](auto& r) { r.messages[0].images[0].url = "http://x"; }},
      {"image detail", [](auto& r) { r.messages[0].images[0].detail = "low"; }},
      {"image place", [](auto& r) { r.messages[0].images[0].at = 1; }},
      {"images", [](auto& r) { r.messages[0].images.clear(); }},
      {"prompt", [](auto& r) { r.prompt = "x"; }},
      {"suffix", [](auto& r) { r.suffix = "x"; }},
      {"max_tokens", [](auto& r) { r.max_tokens = 9; }},
      {"stop", [](auto& r) { r.stop = {"a", ""}; }},
      {"stop text", [](auto& r) { r.stop = {"b"}; }},
      {"ignore_eos", [](auto& r) { r.ignore_eos = true; }},
      {"temperature", [](auto& r) { r.sampling.temperature = 0.5; }},
      {"top_k", [](auto& r) { r.sampling.top_k = 2; }},
      {"top_p", [](auto& r) { r.sampling.top_p = 0.5; }},
      {"min_p", [](auto& r) { r.sampling.min_p = 0.5; }},
      {"repetition_penalty", [](auto& r) { r.sampling.repetition_penalty = 1.5; }},
      {"presence_penalty", [](auto& r) { r.sampling.presence_penalty = 0.5; }},
      {"frequency_penalty", [](auto& r) { r.sampling.frequency_penalty = 0.5; }},
      {"seed", [](auto& r) { r.sampling.seed = 0; }},
      {"logit_bias", [](auto& r) { r.sampling.logit_bias = {{1, 0.F}}; }},
      {"logprobs", [](auto& r) { r.sampling.logprobs = 0; }},
      {"tools", [](auto& r) { r.tools.clear(); }},
      {"tool name", [](auto& r) { r.tools[0].name = "g"; }},
      {"tool parameters", [](auto& r) { r.tools[0].parameters = ""; }},
      {"tool strict", [](auto& r) { r.tools[0].strict = true; }},
      {"tool description", [](auto& r) { r.tools[0].description = "d"; }},
      {"tool_choice mode", [](auto& r) { r.tool_choice.mode = ToolChoice::Mode::kNone; }},
      {"tool_choice name", [](auto& r) { r.tool_choice.name = "f"; }},
      {"parallel_tool_calls", [](auto& r) { r.parallel_tool_calls = false; }},
      {"no constraint", [](auto& r) { r.constraint.reset(); }},
      {"constraint kind", [](auto& r) { r.constraint->kind = AnswerConstraint::Kind::kRegex; }},
      {"constraint text", [](auto& r) { r.constraint->text = "x"; }},
      {"reasoning_effort", [](auto& r) { r.reasoning_effort = "low"; }},
      {"sources", [](auto& r) { r.sources = {"doc_1@2"}; }},
  };
  const Origin origin{.tags = {"team=a"}};
  std::map<std::string, std::string> seen{{request_key(base(), {.project = "p"}), "nothing"}};
  for (const auto& [name, change] : changes) {
    ChatRequest request = base();
    change(request);
    const auto [other, fresh] = seen.emplace(request_key(request, {.project = "p"}), name);
    EXPECT_TRUE(fresh) << name << " gives the key of " << other->second;
  }
  for (const auto& [name, context] : std::vector<std::pair<const char*, KeyContext>>{{"project", {.project = "q"}}, {"served", {.project = "p", .served = "x"}}, {"alternative", {.project = "p", .alternative = 1}}, {"origin", {.project = "p", .origin = &origin}}})
    EXPECT_TRUE(seen.emplace(request_key(base(), context), name).second) << name;
  for (const auto& change : std::vector<std::function<void(ChatRequest&)>>{[](auto& r) { r.priority = 1; }, [](auto& r) { r.whole = true; }, [](auto& r) { r.constraint->field = "f"; }}) {
    ChatRequest request = base();
    change(request);
    EXPECT_EQ(request_key(request, {.project = "p"}), request_key(base(), {.project = "p"}));
  }
}

}  // namespace
}  // namespace stoa::gateway
