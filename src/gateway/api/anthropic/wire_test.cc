// Answers as bytes, whole and as streams.
#include <gtest/gtest.h>

#include "gateway/api/anthropic/answer_json.h"
#include "infra/http/sse.h"

namespace stoa::gateway::anthropic {
namespace {

const UsageReport kReport{.usage = {.prompt_tokens = 7, .cached_tokens = 5, .completion_tokens = 3, .reasoning_tokens = 1}, .request_id = "req_1", .trace_id = "t", .cost_micro_usd = 4};
constexpr std::string_view kUsage =
    R"("usage":{"input_tokens":2,"cache_creation_input_tokens":0,"cache_read_input_tokens":5,"output_tokens":3,"output_tokens_details":{"thinking_tokens":1},"service_tier":"standard",)"
    R"("stoa":{"request_id":"req_1","trace_id":"t","cost_micro_usd":4,"time_to_first_token_ms":0E0,"tokens_per_second":0E0,"queue_ms":0E0}})";
constexpr std::string_view kStartUsage =
    R"("usage":{"input_tokens":7,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,"output_tokens_details":{"thinking_tokens":0},"service_tier":"standard"})";

MessageHead head(bool thinking = true) { return {.id = "msg_1", .model = "m", .thinking = thinking}; }

TEST(Message, BlocksInOrder) {
  Choice answer{.text = "I look.", .reasoning = "hm", .tool_calls = {{"t1", "f", R"({"a":1})"}, {"t2", "g", ""}}, .logprobs = {}, .finish = FinishReason::kToolCalls};
  const auto message = message_json(head(), answer, kReport);
  ASSERT_TRUE(message);
  EXPECT_EQ(dump_json(*message),
            fmt::format(R"({{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"thinking","thinking":"hm","signature":""}},)"
                        R"({{"type":"text","text":"I look."}},{{"type":"tool_use","id":"t1","name":"f","input":{{"a":1}}}},)"
                        R"({{"type":"tool_use","id":"t2","name":"g","input":{{}}}}],"stop_reason":"tool_use","stop_sequence":null,{}}})", kUsage));
  const auto hidden = message_json(head(false), answer, kReport);
  ASSERT_TRUE(hidden);
  EXPECT_EQ(hidden->at("content").as_array().size(), 3u);
}

TEST(Message, SaysWhyItStopped) {
  for (const auto& [finish, reason] : {std::pair{FinishReason::kStop, "end_turn"}, {FinishReason::kLength, "max_tokens"}, {FinishReason::kToolCalls, "tool_use"}}) {
    const auto message = message_json(head(), {.text = "", .reasoning = "", .tool_calls = {}, .logprobs = {}, .finish = finish}, kReport);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->at("stop_reason").as_string(), reason);
    EXPECT_TRUE(message->at("content").as_array().empty());
  }
}

TEST(Message, CallsHaveWholeInputs) {
  Choice answer{.text = "", .reasoning = "", .tool_calls = {{"t1", "f", R"({"a":)"}}, .logprobs = {}, .finish = FinishReason::kLength};
  const auto cut = message_json(head(), answer, kReport);
  ASSERT_TRUE(cut);
  EXPECT_TRUE(cut->at("content").as_array().empty());
  for (const char* arguments : {R"({"a":)", "[]", "7"}) {
    answer.tool_calls[0].arguments = arguments;
    answer.finish = FinishReason::kToolCalls;
    const auto broken = message_json(head(), answer, kReport);
    ASSERT_FALSE(broken) << arguments;
    EXPECT_EQ(broken.error().code, ErrorCode::kUnavailable);
  }
}

std::string stream(const MessageHead& head, const std::vector<ChatDelta>& deltas, FinishReason finish) {
  std::string out;
  MessageEvents events(head, 7, [&](std::string_view type, const JsonObject& event) {
    out += infra::format_sse(dump_json(event), type);
    return true;
  });
  for (const ChatDelta& delta : deltas) EXPECT_TRUE(events.add(delta));
  EXPECT_TRUE(events.end(finish, {}, kReport));
  return out;
}

std::string event(std::string_view type, std::string_view rest) { return fmt::format("event: {0}\ndata: {{\"type\":\"{0}\"{1}{2}}}\n\n", type, rest.empty() ? "" : ",", rest); }

std::string opening() {
  return event("message_start", fmt::format(R"("message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,{}}})", kStartUsage)) +
         event("ping", "");
}
std::string start(int index, std::string_view block) { return event("content_block_start", fmt::format(R"("index":{},"content_block":{})", index, block)); }
std::string piece(int index, std::string_view delta) { return event("content_block_delta", fmt::format(R"("index":{},"delta":{})", index, delta)); }
std::string stop(int index) { return event("content_block_stop", fmt::format(R"("index":{})", index)); }
std::string ending(std::string_view reason) {
  return event("message_delta", fmt::format(R"("delta":{{"stop_reason":"{}","stop_sequence":null}},{})", reason, kUsage));
}

TEST(MessageStream, Text) {
  EXPECT_EQ(stream(head(), {{.text = "Par", .logprobs = {}}, {.text = "is", .logprobs = {}}}, FinishReason::kStop),
            opening() + start(0, R"({"type":"text","text":""})") + piece(0, R"({"type":"text_delta","text":"Par"})") + piece(0, R"({"type":"text_delta","text":"is"})") + stop(0) +
                ending("end_turn"));
}

TEST(MessageStream, Nothing) { EXPECT_EQ(stream(head(), {}, FinishReason::kStop), opening() + ending("end_turn")); }

TEST(MessageStream, ThoughtsTextAndCalls) {
  const std::vector<ChatDelta> deltas{
      {.text = "", .logprobs = {}, .reasoning = "h"},
      {.text = "I", .logprobs = {}, .reasoning = "m"},
      {.text = "", .logprobs = {}, .tool_calls = {{.index = 0, .id = "t1", .name = "f", .arguments = R"({"a")"}}},
      {.text = "", .logprobs = {}, .tool_calls = {{.index = 0, .id = "", .name = "", .arguments = ":1}"}, {.index = 1, .id = "t2", .name = "g", .arguments = ""}}},
  };
  EXPECT_EQ(stream(head(), deltas, FinishReason::kToolCalls),
            opening() + start(0, R"({"type":"thinking","thinking":"","signature":""})") + piece(0, R"({"type":"thinking_delta","thinking":"h"})") +
                piece(0, R"({"type":"thinking_delta","thinking":"m"})") + stop(0) + start(1, R"({"type":"text","text":""})") + piece(1, R"({"type":"text_delta","text":"I"})") +
                stop(1) + start(2, R"({"type":"tool_use","id":"t1","name":"f","input":{}})") + piece(2, R"({"type":"input_json_delta","partial_json":"{\"a\""})") +
                piece(2, R"({"type":"input_json_delta","partial_json":":1}"})") + stop(2) + start(3, R"({"type":"tool_use","id":"t2","name":"g","input":{}})") + stop(3) + ending("tool_use"));
}

TEST(MessageStream, HiddenThoughtsKeepItAlive) {
  const std::vector<ChatDelta> thoughts(64, {.text = "", .logprobs = {}, .reasoning = "h"});
  EXPECT_EQ(stream(head(false), thoughts, FinishReason::kStop), opening() + event("ping", "") + ending("end_turn"));
}

TEST(MessageStream, EndsWhenTheClientHasGone) {
  for (int sent = 0; sent < 4; ++sent) {
    int left = sent;
    MessageEvents events(head(), 7, [&](std::string_view, const JsonObject&) { return left-- > 0; });
    EXPECT_FALSE(events.add({.text = "a", .logprobs = {}})) << sent;
  }
}

}  // namespace
}  // namespace stoa::gateway::anthropic
