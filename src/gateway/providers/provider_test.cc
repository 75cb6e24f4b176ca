// Families against what their upstreams send, byte for byte.
#include "gateway/providers/provider.h"

#include <gtest/gtest.h>

#include "base/error_table.h"
#include "base/json.h"
#include "gateway/providers/codec.h"
#include "gateway/providers/test_replay.h"

namespace stoa::gateway {
namespace {

void check(std::string_view family, const ReplayedCase& with) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20}) {
    Replay upstream;
    upstream.body = with.body;
    upstream.piece = piece;
    EXPECT_EQ(told(family, upstream), with.expected) << family << ": " << with.name << ", " << piece << " bytes at a time";
  }
}

constexpr ReplayedCase kOpenAi[] = {
    {"text", R"(data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Zür"},"finish_reason":null}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"ich"},"finish_reason":null}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":3}}}

data: [DONE]

)",
     "text=Zürich finish=stop usage=19(4)/10(3)"},
    {"llama.cpp ends with usage and timings in one chunk", "data: {\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n"
     "data: {\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}],\"usage\":{\"completion_tokens\":1,\"prompt_tokens\":7,\"total_tokens\":8},\"timings\":{\"prompt_n\":7}}\n\ndata: [DONE]\n\n",
     "text=Hi finish=length usage=7(0)/1(0)"},
    {"without counts they are estimated", "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"12345678\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
     "text=12345678 finish=stop usage=7(0)/2(0)"},
    {"reasoning", "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm \"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"reasoning\":\"yes\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"42\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
     "text=42 reasoning=hm yes finish=stop usage=7(0)/2(0)"},
    {"tools in pieces, two at a time", R"(data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"weather","arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Bern\"}"}}]}}]}

data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"now","arguments":""}}]}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":30,"completion_tokens":12}}

data: [DONE]

)",
     "calls=#0:weather{\"city\":\"Bern\"} #1:now{} finish=tools usage=30(0)/12(0)"},
    {"whole calls without numbers", "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"a\",\"arguments\":\"{}\"}}]}}]}\n\n"
     "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"b\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
     "calls=#0:a{} #1:b{} finish=tools usage=7(0)/2(0)"},
    {"logprobs", "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"token\":\"a\",\"bytes\":[97],\"logprob\":-0.5,\"top_logprobs\":[{\"token\":\"b\",\"logprob\":-1}]}]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
     "text=a logprobs=1 finish=stop usage=7(0)/1(0)"},
    {"comments and CRLF", ": OPENROUTER PROCESSING\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\r\n\r\n", "text=x finish=stop usage=7(0)/1(0)"},
    {"cut in the middle", "data: {\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}\n\ndata: {\"choices\":[{\"del", "text=Par unavailable: provider up: its stream ended before the answer was complete"},
    {"finish but no end marker", "data: {\"choices\":[{\"delta\":{\"content\":\"Par\"},\"finish_reason\":\"stop\"}]}\n\n", "text=Par unavailable: provider up: its stream ended before the answer was complete"},
    {"end marker but no finish", "data: {\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}\n\ndata: [DONE]\n\n", "text=Par unavailable: provider up: its stream ended without a finish_reason"},
    {"nothing", "", "unavailable: provider up: its stream ended before the answer was complete"},
    {"an error in the stream", "data: {\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}\n\ndata: {\"error\":{\"message\":\"The server had an error\",\"type\":\"server_error\"}}\n\n",
     "text=Par unavailable: provider up: the stream ended with an error server_error: The server had an error"},
    {"a limit in the stream", "data: {\"error\":{\"message\":\"slow down\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}\n\n", "resource_exhausted: provider up: the stream ended with an error rate_limit_exceeded: slow down"},
    {"a filter", "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\ndata: [DONE]\n\n", "finish=filter usage=7(0)/0(0)"},
    {"garbage", "data: <html>\n\n", "unavailable: provider up: its stream holds an event that is no JSON object: '<html>'"},
    {"a call without a name", "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n", "unavailable: provider up: its stream holds a call of a tool without the tool's name"},
    {"odd types", "data: {\"choices\":[5]}\n\n", "unavailable: provider up: its stream holds a choice that is no object"},
    {"counts that cannot be", "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":1e300}}\n\ndata: [DONE]\n\n", "text=x finish=stop usage=7(0)/1(0)"},
};

TEST(OpenAiFamily, Answers) {
  for (const ReplayedCase& each : kOpenAi) check("openai", each);
  for (const ReplayedCase& each : kOpenAi) check("azure", each);
}

constexpr ReplayedCase kAnthropic[] = {
    {"text", R"(event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"big","stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo!"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

)",
     "text=Hello! finish=stop usage=40(5)/15(0)"},
    {"thoughts and tools", R"(data: {"type":"message_start","message":{"usage":{"input_tokens":8,"output_tokens":1}}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"look it up"}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}

data: {"type":"content_block_stop","index":0}

data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\": \"B"}}

data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"ern\"}"}}

data: {"type":"content_block_stop","index":1}

data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}}

data: {"type":"content_block_stop","index":2}

data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":89}}

data: {"type":"message_stop"}

)",
     "reasoning=look it up calls=#0:weather{\"city\": \"Bern\"} #1:now{} finish=tools usage=8(0)/89(0)"},
    {"cut at its limit", "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\"},\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n\ndata: {\"type\":\"message_stop\"}\n\n", "finish=length usage=3(0)/4(0)"},
    {"no end", "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hel\"}}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
     "text=Hel unavailable: provider up: its stream ended before the answer was complete"},
    {"an end without reason", "data: {\"type\":\"message_stop\"}\n\n", "unavailable: provider up: its stream ended without a stop_reason"},
    {"an error event", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n", "unavailable: provider up: the stream ended with an error overloaded_error: Overloaded"},
    {"a refusal", "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n", "finish=filter usage=7(0)/0(0)"},
    {"arguments of nothing", "data: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\n", "unavailable: provider up: its stream holds arguments of a call that has not begun"},
    {"a block without place", "data: {\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\"}}\n\n", "unavailable: provider up: its stream begins a block that cannot be read"},
    {"what later versions add", "data: {\"type\":\"news\"}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"novel\"}}\n\n", "unavailable: provider up: its answer ended for the reason 'novel', which is none that is known"},
};

TEST(Providers, WhatBrokeIsCounted) {
  Replay upstream;
  upstream.body = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":11,\"output_tokens\":1}}}\n\n"
                  "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"12345678\"}}\n\n";
  const auto generator = open_provider(target_of("anthropic"), upstream);
  ASSERT_TRUE(generator);
  const auto outcome = (*generator)->generate({}, question(), [](const ChatDelta&) { return true; });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kError);
  ASSERT_TRUE(outcome->failure);
  EXPECT_EQ(outcome->failure->code, ErrorCode::kUnavailable);
  EXPECT_EQ(outcome->usage.prompt_tokens, 11);
  EXPECT_EQ(outcome->usage.completion_tokens, 2) << "two tokens for eight bytes";
  upstream.body.clear();
  EXPECT_FALSE((*generator)->generate({}, question(), [](const ChatDelta&) { return true; })) << "nothing came, so nothing is paid";
}

TEST(AnthropicFamily, Answers) {
  for (const ReplayedCase& each : kAnthropic) check("anthropic", each);
}

TEST(AnthropicFamily, JsonIsTheArgumentsOfATool) {
  Replay upstream;
  upstream.body = R"(data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"answer","input":{}}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"n\":1}"}}

data: {"type":"content_block_stop","index":0}

data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":3,"output_tokens":4}}

data: {"type":"message_stop"}

)";
  ChatRequest request = question();
  request.constraint = {AnswerConstraint::Kind::kJsonSchema, R"({"type":"object","properties":{"n":{"type":"integer"}}})", "response_format"};
  EXPECT_EQ(told("anthropic", upstream, request), "text={\"n\":1} finish=stop usage=3(0)/4(0)");
  const JsonObject body = parse_json(upstream.asked.body)->as_object();
  EXPECT_EQ(body.at("tool_choice").at("name").as_string(), "answer");
  request.constraint->text = R"({"type":"array"})";
  EXPECT_EQ(told("anthropic", upstream, request), "unsupported: provider up: the protocol of anthropic expresses schemas of objects only");
}

TEST(Refusals, ByStatus) {
  struct Refusal {
    int status;
    std::string_view body, expected;
  };
  const Refusal table[] = {
      {400, R"({"error":{"message":"Unknown parameter","type":"invalid_request_error","param":"x","code":null}})", "invalid_argument: provider up: answered 400 invalid_request_error: Unknown parameter"},
      {400, R"({"error":{"message":"too many","type":"invalid_request_error","code":"context_length_exceeded"}})", "too_large: provider up: answered 400 context_length_exceeded: too many"},
      {400, R"({"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}})",
       "too_large: provider up: answered 400 exceed_context_size_error: the request exceeds the available context size"},
      {400, R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}})",
       "too_large: provider up: answered 400 invalid_request_error: prompt is too long: 9 tokens > 8 maximum"},
      {401, R"({"error":{"message":"Incorrect API key provided: sk-up***789","code":"invalid_api_key"}})", "unavailable: provider up: answered 401 invalid_api_key: it refused the credential"},
      {403, "{}", "unavailable: provider up: answered 403: it refused the credential"},
      {404, R"({"error":{"message":"The model `big` does not exist","type":"invalid_request_error","code":"model_not_found"}})", "not_found: provider up: answered 404 model_not_found: The model `big` does not exist"},
      {404, R"({"detail":"Not Found"})", "not_found: provider up: answered 404: Not Found"},
      {413, "", "too_large: provider up: answered 413"},
      {422, R"({"error":"Input validation error","error_type":"validation"})", "invalid_argument: provider up: answered 422 validation: Input validation error"},
      {429, R"({"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}})", "resource_exhausted: provider up: answered 429 rate_limit_error: Slow down (after 3 s)"},
      {500, "<html>\n<b>Oops</b>", "unavailable: provider up: answered 500: <html> <b>Oops</b> (after 3 s)"},
      {529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", "unavailable: provider up: answered 529 overloaded_error: Overloaded (after 3 s)"},
      {504, "", "deadline_exceeded: provider up: answered 504 (after 3 s)"},
      {302, "", "unavailable: provider up: answered 302 (after 3 s)"},
  };
  for (const auto& [status, body, expected] : table) {
    Replay upstream;
    upstream.status = status;
    upstream.body = body;
    if (status >= 429 || status == 302) upstream.headers.add("Retry-After", "2.5");
    EXPECT_EQ(told("openai", upstream), expected);
    EXPECT_EQ(told("anthropic", upstream), expected);
  }
}

TEST(Refusals, BoundedAndWithoutTheCredential) {
  Replay upstream;
  upstream.status = 400;
  upstream.body = fmt::format(R"({{"error":{{"message":"you sent {} and {} {}"}}}})", kSecret, kSecret, std::string(100'000, 'x'));
  std::string said = told("openai", upstream);
  EXPECT_LT(said.size(), 600u);
  upstream.body = fmt::format(R"({{"error":{{"message":"you sent {} and Bearer {}"}}}})", kSecret, kSecret);
  said = told("openai", upstream);
  EXPECT_FALSE(said.contains(kSecret)) << said;
  EXPECT_TRUE(said.contains("you sent ***")) << said;
  upstream.status = 200;
  upstream.body = "data: {\"choices\":[{\"delta\":{\"content\":\"" + std::string(2u << 20, 'a') + "\"}}]}\n\n";
  EXPECT_EQ(told("openai", upstream), "unavailable: provider up: an event of its stream has more than 1048576 bytes");
  std::string calls;
  for (int i = 0; i < 200; ++i) calls += fmt::format("{}{{\"index\":{},\"function\":{{\"name\":\"f\"}}}}", i == 0 ? "" : ",", i);
  upstream.body = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[" + calls + "]}}]}\n\n";
  EXPECT_EQ(told("openai", upstream), "unavailable: provider up: its answer calls tools more than 128 times");
}

TEST(Sending, WhatGoesWrongOnTheWay) {
  const std::pair<Error, std::string_view> table[] = {
      {error(ErrorCode::kUnavailable, "up.example: refused"), "unavailable: provider up: up.example: refused"},
      {error(ErrorCode::kDeadlineExceeded, "up.example: no first byte"), "deadline_exceeded: provider up: up.example: no first byte"},
      {error(ErrorCode::kPermissionDenied, "https://up.example may not be reached: the rule egress.providers allows nothing"),
       "permission_denied: provider up: https://up.example may not be reached: the rule egress.providers allows nothing"},
      {error(ErrorCode::kCancelled, "cancelled"), "cancelled: provider up: cancelled"},
  };
  for (const auto& [refuse, expected] : table) {
    Replay upstream;
    upstream.refuse = refuse;
    EXPECT_EQ(told("openai", upstream), expected);
  }
  Replay upstream;
  upstream.body = "data: {\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}\n\n";
  upstream.fails_after = error(ErrorCode::kUnavailable, "up.example: connection lost");
  EXPECT_EQ(told("openai", upstream), "text=Par unavailable: provider up: up.example: connection lost");
  upstream.fails_after = error(ErrorCode::kTooLarge, "up.example: the body is too large");
  EXPECT_EQ(told("openai", upstream), "text=Par unavailable: provider up: up.example: the body is too large");
  upstream.body += "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";  // all there: what comes after does not matter
  EXPECT_EQ(told("openai", upstream), "text=Par finish=stop usage=7(0)/1(0)");
}

TEST(Sending, StopsWhenToldTo) {
  Replay upstream;
  upstream.body = kOpenAi[0].body;
  EXPECT_EQ(told("openai", upstream, question(), {}, 1), "text=Zür finish=cancelled usage=7(0)/1(0)");
  Call call;
  call.cancel.cancel();
  EXPECT_EQ(told("openai", upstream, question(), call), "cancelled: cancelled before the provider was asked");
  Call late;
  late.deadline.at = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(told("openai", upstream, question(), late), "deadline_exceeded: provider up: the time for the call has passed");
  Call timed;
  timed.deadline = Deadline::after(std::chrono::seconds(5));
  told("openai", upstream, question(), timed);
  EXPECT_LE(upstream.asked.timeouts.total, std::chrono::seconds(5));
}

// ---- Requests

TEST(Requests, UrlsAndHeaders) {
  struct Expected {
    std::string_view family, url, header, value;
  };
  const Expected table[] = {
      {"openai", "https://up.example/v1/chat/completions", "Authorization", "Bearer sk-upstream-0123456789"},
      {"azure", "https://up.example/v1/openai/deployments/big/chat/completions?api-version=2024-10-21", "api-key", kSecret},
      {"anthropic", "https://up.example/v1/v1/messages", "x-api-key", kSecret},
  };
  for (const auto& [family, url, header, value] : table) {
    const auto codec = make_codec(family);
    const auto encoded = codec->encode(target_of(family), std::string(kSecret), question());
    ASSERT_TRUE(encoded);
    EXPECT_EQ(encoded->url, url);
    EXPECT_EQ(encoded->headers.get(header), value);
    EXPECT_FALSE(codec->encode(target_of(family), "", question())->headers.has(header));
    EXPECT_EQ(codec->model_list(target_of(family), std::string(kSecret))->headers.get(header), value);
  }
  EXPECT_EQ(make_codec("anthropic")->encode(target_of("anthropic"), "", question())->headers.get("anthropic-version"), "2023-06-01");
}

TEST(Requests, Bodies) {
  ChatRequest request = question();
  EXPECT_EQ(body_of("openai", request, {{"server", "openai"}}),
            R"({"model":"big","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Where?"}],"stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(body_of("anthropic", request),
            R"({"model":"big","messages":[{"role":"user","content":[{"type":"text","text":"Where?"}]}],"stream":true,"system":"Be brief.","max_tokens":4096})");
  EXPECT_EQ(body_of("anthropic", request, {{"thinking_budget", "1024"}, {"max_tokens", "100"}}),
            R"({"model":"big","messages":[{"role":"user","content":[{"type":"text","text":"Where?"}]}],"stream":true,"system":"Be brief.","thinking":{"type":"enabled","budget_tokens":1024},"max_tokens":1124})");
  request.messages = {{.role = "user", .content = "Weather?"},
                      {.role = "assistant", .content = "", .tool_calls = {{"c1", "weather", R"({"city":"Bern"})"}}, .tool_call_id = {}, .reasoning = "look"},
                      {.role = "tool", .content = "sun", .tool_calls = {}, .tool_call_id = "c1"}};
  request.tools = {{.name = "weather", .parameters = R"({"type":"object"})", .strict = true, .description = "d"}};
  request.tool_choice = {ToolChoice::Mode::kNamed, "weather"};
  request.parallel_tool_calls = false;
  request.max_tokens = 9;
  request.stop = {"END"};
  EXPECT_EQ(body_of("azure", request),
            R"({"model":"big","messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}}]},{"role":"tool","content":"sun","tool_call_id":"c1"}],)"
            R"("tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"},"strict":true}}],"tool_choice":{"type":"function","function":{"name":"weather"}},"parallel_tool_calls":false,"max_completion_tokens":9,"stop":["END"],"stream":true,"stream_options":{"include_usage":true}})");
  EXPECT_EQ(body_of("anthropic", request),
            R"({"model":"big","messages":[{"role":"user","content":[{"type":"text","text":"Weather?"}]},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"weather","input":{"city":"Bern"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"sun"}]}],)"
            R"("stream":true,"stop_sequences":["END"],"max_tokens":9,"tools":[{"name":"weather","description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"weather","disable_parallel_tool_use":true}})");
  request.tool_choice.mode = ToolChoice::Mode::kNone;
  for (const char* family : {"openai", "anthropic"}) EXPECT_FALSE(body_of(family, request).contains("\"tools\"")) << family;
}

TEST(Requests, WhatServersTakeBesides) {
  ChatRequest request = question();
  request.messages = {{.role = "user", .content = "x"}};
  request.sampling.top_k = 5;
  request.sampling.repetition_penalty = 1.5;
  request.constraint = {AnswerConstraint::Kind::kRegex, "a+", "guided_regex"};
  const auto has = [&](const char* server, std::initializer_list<std::string_view> parts) {
    const std::string body = body_of("openai", request, {{"server", server}});
    for (const auto part : parts) EXPECT_TRUE(body.contains(part)) << server << ": " << part << " in " << body;
  };
  has("vllm", {R"("top_k":5)", R"("repetition_penalty":1.5E0)", R"("structured_outputs":{"regex":"a+"})", R"("temperature":1E0)", R"("min_p":0E0)"});
  has("stoa", {R"("top_k":5)", R"("guided_regex":"a+")"});
  request.constraint->kind = AnswerConstraint::Kind::kGbnf;
  has("llama.cpp", {R"("repeat_penalty":1.5E0)", R"("grammar":"a+")"});
  request.sampling = {};
  has("vllm", {R"("top_k":-1)"});
  request.constraint = {AnswerConstraint::Kind::kJsonSchema, R"({"type":"object"})", "response_format"};
  has("compatible", {R"("response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}})", R"("temperature":1E0)"});
  request.messages.clear();
  request.prompt = "Once";
  has("compatible", {R"("prompt":"Once")"});
  request.suffix = "the end";
  request.constraint.reset();
  for (const char* server : {"compatible", "openai", "stoa"}) has(server, {R"("prompt":"Once","suffix":"the end")"});
  for (const char* server : {"vllm", "llama.cpp"}) EXPECT_EQ(body_of("openai", request, {{"server", server}}), "unsupported suffix") << server;
}

TEST(Requests, WhatCannotBeSaidIsRefused) {
  struct Refused {
    std::string_view field;
    std::function<void(ChatRequest&)> ask;
    std::string_view families;
  };
  const Refused table[] = {
      {"top_k", [](ChatRequest& r) { r.sampling.top_k = 5; }, "openai"},
      {"min_p", [](ChatRequest& r) { r.sampling.min_p = 0.1; }, "openai anthropic"},
      {"repetition_penalty", [](ChatRequest& r) { r.sampling.repetition_penalty = 1.1; }, "openai anthropic"},
      {"ignore_eos", [](ChatRequest& r) { r.ignore_eos = true; }, "openai anthropic"},
      {"guided_regex", [](ChatRequest& r) { r.constraint = {AnswerConstraint::Kind::kRegex, "a", "guided_regex"}; }, "openai anthropic"},
      {"grammar", [](ChatRequest& r) { r.constraint = {AnswerConstraint::Kind::kGbnf, "root ::= \"a\"", "grammar"}; }, "openai anthropic"},
      {"seed", [](ChatRequest& r) { r.sampling.seed = 1; }, "anthropic"},
      {"temperature", [](ChatRequest& r) { r.sampling.temperature = 1.5; }, "anthropic"},
      {"presence_penalty", [](ChatRequest& r) { r.sampling.presence_penalty = 1; }, "anthropic"},
      {"frequency_penalty", [](ChatRequest& r) { r.sampling.frequency_penalty = 1; }, "anthropic"},
      {"logit_bias", [](ChatRequest& r) { r.sampling.logit_bias[1] = 2; }, "anthropic"},
      {"logprobs", [](ChatRequest& r) { r.sampling.logprobs = 0; }, "anthropic"},
      {"prompt", [](ChatRequest& r) { r.messages.clear(); }, "anthropic"},
  };
  for (const auto& [field, ask, families] : table)
    for (const std::string_view family : {"openai", "anthropic"}) {
      ChatRequest request = question();
      ask(request);
      const std::string body = body_of(family, request, family == "openai" ? std::map<std::string, std::string>{{"server", "openai"}} : std::map<std::string, std::string>{});
      EXPECT_EQ(body == fmt::format("unsupported {}", field), families.contains(family)) << family << " " << field << ": " << body;
    }
  ChatRequest request = question();
  request.tools = {{.name = "f", .parameters = "{"}};
  for (const char* family : {"openai", "anthropic"}) EXPECT_EQ(body_of(family, request), "invalid_argument tools");
}

TEST(Moderations, GoToModelsThatAreMadeForThem) {
  const auto named = [](std::string_view family, std::string model) {
    ProviderTarget target = target_of(family);
    target.model = std::move(model);
    return target;
  };
  EXPECT_TRUE(moderates(named("openai", "omni-moderation-latest")));
  for (const char* family : {"azure", "anthropic", "bedrock", "vertex", "sagemaker"}) EXPECT_FALSE(moderates(named(family, "omni-moderation-latest"))) << family;
  EXPECT_FALSE(moderates(named("openai", "gpt-4o")));

  const ProviderTarget target = named("openai", "omni-moderation-latest");
  const auto judged = [&](int status, std::string body) {
    Replay upstream;
    upstream.status = status;
    upstream.body = std::move(body);
    const auto results = moderate(target, upstream, {}, JsonArray{"a", "b"});
    EXPECT_EQ(upstream.asked.url, "https://up.example/v1/moderations");
    EXPECT_EQ(upstream.asked.body, R"({"model":"omni-moderation-latest","input":["a","b"]})");
    EXPECT_EQ(upstream.asked.headers.get("Authorization"), fmt::format("Bearer {}", kSecret));
    return results ? dump_json(*results) : fmt::format("{}: {}", error_info(results.error().code).name, results.error().message);
  };
  EXPECT_EQ(judged(200, R"({"id":"m","results":[{"flagged":true}]})"), R"([{"flagged":true}])");
  EXPECT_EQ(judged(200, "<html>"), "unavailable: provider up: its answer has no results");
  EXPECT_EQ(judged(200, R"({"results":{}})"), "unavailable: provider up: its answer has no results");
  EXPECT_TRUE(judged(429, R"({"error":{"message":"slow down"}})").starts_with("resource_exhausted: provider up"));
  EXPECT_FALSE(judged(500, fmt::format(R"({{"error":{{"message":"{}"}}}})", kSecret)).contains(kSecret));
  Replay none;
  EXPECT_EQ(moderate(named("anthropic", "x"), none, {}, Json("a")).error().code, ErrorCode::kUnsupported);
}

TEST(Providers, ConfigurationIsChecked) {
  struct Wrong {
    std::string_view family, url;
    std::map<std::string, std::string> options;
    std::string_view param;
  };
  const Wrong table[] = {
      {"openai", "https://api.openai.com/v1", {}, ""},     {"openai", "http://127.0.0.1:8000/v1", {{"server", "vllm"}}, ""},
      {"opanai", "https://a.example", {}, "family"},       {"", "https://a.example", {}, "family"},
      {"openai", "ftp://a.example", {}, "url"},            {"openai", "a.example", {}, "url"},
      {"openai", "https://u:p@a.example", {}, "url"},      {"openai", "https://a.example/?key=1", {}, "url"},
      {"openai", "https://a.example", {{"serve", "vllm"}}, "options"}, {"openai", "https://a.example", {{"server", "x"}}, "options"},
      {"azure", "https://a.example", {{"api_version", "a b"}}, "options"},
      {"vertex", "https://a.example", {{"tokenizer", "gemma-3-1b-it"}}, ""}, {"vertex", "https://a.example", {{"tokenizer", ""}}, "options"},
  };
  for (const auto& [family, url, options, param] : table) {
    const Status checked = check_provider(family, url, options);
    EXPECT_EQ(checked ? "" : checked.error().param, param) << family << " " << url;
  }
  EXPECT_TRUE(check_provider("opanai", "https://a.example", {}).error().hint.contains("openai"));
}

TEST(Providers, CheckSaysWhatHappened) {
  Replay upstream;
  upstream.body = R"({"object":"list","data":[{"id":"b"},{"id":"a"},{"x":1},5]})";
  ProviderCheck check = check_target(target_of("openai"), upstream);
  EXPECT_TRUE(check.usable);
  EXPECT_EQ(check.said, "reached: 2 models");
  EXPECT_EQ(check.models, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(upstream.asked.url, "https://up.example/v1/models");
  upstream.status = 401;
  check = check_target(target_of("openai"), upstream);
  EXPECT_FALSE(check.usable);
  EXPECT_EQ(check.said, "answered 401: it refused the credential; an administrator sets the provider's credential with 'stoa providers set-key'");
  upstream.refuse = error(ErrorCode::kUnavailable, "up.example: no such name").with_hint("look at its URL");
  EXPECT_EQ(check_target(target_of("openai"), upstream).said, "up.example: no such name; look at its URL");
}

}  // namespace
}  // namespace stoa::gateway
