// Bedrock, SageMaker and Vertex against what they send, byte for byte.
#include "gateway/providers/provider.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "gateway/providers/access_tokens.h"
#include "gateway/providers/authorization.h"
#include "gateway/providers/test_replay.h"
#include "infra/aws/event_stream.h"
#include "infra/aws/sigv4.h"

namespace stoa::gateway {
namespace {

std::string event(std::string_view name, std::string_view payload) {
  return infra::format_event_message({{{":event-type", std::string(name)}, {":content-type", "application/json"}, {":message-type", "event"}}, std::string(payload)});
}
std::string exception(std::string_view name, std::string_view payload) {
  return infra::format_event_message({{{":exception-type", std::string(name)}, {":content-type", "application/json"}, {":message-type", "exception"}}, std::string(payload)});
}
std::string part(std::string_view bytes) {
  return infra::format_event_message({{{":event-type", "PayloadPart"}, {":content-type", "application/octet-stream"}, {":message-type", "event"}}, std::string(bytes)});
}

struct CloudCase {
  std::string_view name;
  std::string body;
  std::string_view expected;
};

void check(std::string_view family, const CloudCase& with) {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1} << 20}) {
    Replay upstream;
    upstream.body = with.body;
    upstream.piece = piece;
    EXPECT_EQ(told(family, upstream), with.expected) << family << ": " << with.name << ", " << piece << " bytes at a time";
  }
}

// Wherever a stream is cut, it is an error, unless everything was there; what was given is a beginning of the whole.
void check_cuts(std::string_view family, const std::string& body, std::string_view text, std::size_t needed) {
  for (std::size_t cut = 0; cut <= body.size(); ++cut) {
    Replay upstream;
    upstream.body = body.substr(0, cut);
    upstream.fails_after = error(ErrorCode::kUnavailable, "up.example: connection lost");
    const std::string said = told(family, upstream);
    if (cut >= needed) {
      EXPECT_TRUE(said.contains("finish=")) << cut << ": " << said;
      continue;
    }
    EXPECT_TRUE(said.contains("unavailable: provider up: ")) << cut << ": " << said;
    const auto begin = said.find("text=");
    const std::string given = begin == std::string::npos ? "" : said.substr(begin + 5, said.find(" unavailable") - begin - 5);
    EXPECT_TRUE(text.starts_with(given)) << said;
  }
}

const std::string kStart = event("messageStart", R"({"role":"assistant","p":"abcdefgh"})");
const std::string kEndTurn = event("messageStop", R"({"stopReason":"end_turn"})");
const std::string kMetadata = event("metadata", R"({"usage":{"inputTokens":25,"outputTokens":15,"totalTokens":55,"cacheReadInputTokens":5,"cacheWriteInputTokens":10},"metrics":{"latencyMs":321}})");
std::string text_of(std::string_view text) { return event("contentBlockDelta", fmt::format(R"({{"contentBlockIndex":0,"delta":{{"text":"{}"}},"p":"ab"}})", text)); }
const std::string kHello = kStart + text_of("Hel") + text_of("lo!") + event("contentBlockStop", R"({"contentBlockIndex":0})") + kEndTurn + kMetadata;

TEST(BedrockFamily, Answers) {
  const CloudCase table[] = {
      {"text", kHello, "text=Hello! finish=stop usage=40(5)/15(0)"},
      {"thoughts and tools",
       kStart + event("contentBlockDelta", R"({"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"look it up"}}})") +
           event("contentBlockDelta", R"({"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQB"}}})") + event("contentBlockStop", R"({"contentBlockIndex":0})") +
           event("contentBlockStart", R"({"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"weather"}}})") +
           event("contentBlockDelta", R"({"contentBlockIndex":1,"delta":{"toolUse":{"input":""}}})") + event("contentBlockDelta", R"({"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"city\":"}}})") +
           event("contentBlockDelta", R"({"contentBlockIndex":1,"delta":{"toolUse":{"input":"\"Bern\"}"}}})") + event("contentBlockStop", R"({"contentBlockIndex":1})") +
           event("contentBlockStart", R"({"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"tooluse_2","name":"now"}}})") + event("contentBlockStop", R"({"contentBlockIndex":2})") +
           event("messageStop", R"({"stopReason":"tool_use"})") + kMetadata,
       "reasoning=look it up calls=#0:weather{\"city\":\"Bern\"} #1:now{} finish=tools usage=40(5)/15(0)"},
      {"cut at its limit", text_of("Hel") + event("messageStop", R"({"stopReason":"max_tokens"})") + kMetadata, "text=Hel finish=length usage=40(5)/15(0)"},
      {"without counts they are estimated", text_of("12345678") + kEndTurn + event("metadata", "{}"), "text=12345678 finish=stop usage=7(0)/2(0)"},
      {"what later versions add", event("news", R"({"a":[1]})") + kHello, "text=Hello! finish=stop usage=40(5)/15(0)"},
      {"no end", kStart + text_of("Hel") + kEndTurn, "text=Hel unavailable: provider up: its stream ended before the answer was complete"},
      {"an end without reason", kMetadata, "unavailable: provider up: its stream ended without a stopReason"},
      {"a limit in the stream", text_of("Hel") + exception("throttlingException", R"({"message":"Too many requests"})"), "text=Hel resource_exhausted: provider up: the stream ended with an error throttlingException: Too many requests"},
      {"trouble in the stream", exception("modelStreamErrorException", R"({"message":"gone","originalStatusCode":500,"originalMessage":"x"})"), "unavailable: provider up: the stream ended with an error modelStreamErrorException: gone"},
      {"the caller's fault in the stream", exception("validationException", R"({"message":"no such thing"})"), "invalid_argument: provider up: the stream ended with an error validationException: no such thing"},
      {"an exception that says nothing", exception("internalServerException", "<html>"), "unavailable: provider up: the stream ended with an error internalServerException"},
      {"an error of the framing", infra::format_event_message({{{":message-type", "error"}, {":error-code", "InternalError"}, {":error-message", "An internal error"}}, ""}),
       "unavailable: provider up: the stream ended with an error InternalError: An internal error"},
      {"a message of no kind", infra::format_event_message({{{":message-type", "novelty"}}, "{}"}), "unavailable: provider up: its stream holds a message of the kind 'novelty', which is none that is known"},
      {"a filter", text_of("He") + event("messageStop", R"({"stopReason":"guardrail_intervened"})") + kMetadata, "text=He finish=filter usage=40(5)/15(0)"},
      {"a broken call", event("messageStop", R"({"stopReason":"malformed_tool_use"})") + kMetadata, "unavailable: provider up: its answer ended for the reason 'malformed_tool_use', which is none of a whole answer"},
      {"arguments of nothing", event("contentBlockDelta", R"({"contentBlockIndex":3,"delta":{"toolUse":{"input":"{"}}})"), "unavailable: provider up: its stream holds arguments of a call that has not begun"},
      {"a call twice", event("contentBlockStart", R"({"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"a","name":"f"}}})") + event("contentBlockStart", R"({"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"b","name":"f"}}})"),
       "calls=#0:f unavailable: provider up: its stream begins a call of a tool twice"},
      {"no JSON", event("contentBlockDelta", "<html>"), "unavailable: provider up: its stream holds an event that is no JSON object: '<html>'"},
      {"no event stream", "data: {}\n\ndata: {}\n\n", "unavailable: provider up: a message of the event stream is damaged: the checksum of its lengths is wrong"},
      {"nothing", "", "unavailable: provider up: its stream ended before the answer was complete"},
  };
  for (const CloudCase& each : table) check("bedrock", each);
}

TEST(BedrockFamily, CutOrFlippedItIsNoAnswer) {
  check_cuts("bedrock", kHello, "Hello!", kHello.size());
  for (std::size_t at = 0; at < kHello.size(); at += 3) {
    Replay upstream;
    upstream.body = kHello;
    upstream.body[at] = static_cast<char>(upstream.body[at] ^ 0x10);
    EXPECT_TRUE(told("bedrock", upstream).contains("is damaged")) << at;
  }
}

TEST(SageMakerFamily, Answers) {
  const std::string sse = "data: {\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"is\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
  const std::string lines = "{\"choices\":[{\"delta\":{\"content\":\"Par\"}}]}\n\n{\"choices\":[{\"delta\":{\"content\":\"is\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}";
  std::string torn;
  for (std::size_t at = 0; at < sse.size(); at += 11) torn += part(sse.substr(at, 11));
  std::string torn_lines;
  for (std::size_t at = 0; at < lines.size(); at += 11) torn_lines += part(lines.substr(at, 11));
  constexpr std::string_view kParis = "text=Paris finish=stop usage=9(0)/2(0)";
  const CloudCase table[] = {
      {"events", part(sse), kParis},
      {"events in pieces", torn, kParis},
      {"a line each", part(lines), kParis},
      {"a line each, in pieces", torn_lines, kParis},
      {"a line each, with its end", part(lines + "\n"), kParis},
      {"events without end", part(sse.substr(0, sse.size() - 14)), "text=Paris unavailable: provider up: its stream ended before the answer was complete"},
      {"lines without reason", part(lines.substr(0, 43)), "text=Par unavailable: provider up: its stream ended before the answer was complete"},
      {"half a line", part(lines.substr(0, 60)), "text=Par unavailable: provider up: its stream holds an event that is no JSON object: '{\"choices\":[{\"del'"},
      {"the container broke", part(sse.substr(0, 60)) + exception("ModelStreamError", R"({"Message":"reset","ErrorCode":"StreamBroken"})"), "text=Par unavailable: provider up: the stream ended with an error ModelStreamError: reset"},
      {"SageMaker broke", exception("InternalStreamFailure", R"({"Message":"x"})"), "unavailable: provider up: the stream ended with an error InternalStreamFailure: x"},
      {"an error of the container", part("data: {\"error\":{\"message\":\"slow down\",\"code\":\"rate_limit_exceeded\"}}\n\n"), "resource_exhausted: provider up: the stream ended with an error rate_limit_exceeded: slow down"},
      {"nothing", part(""), "unavailable: provider up: its stream ended before the answer was complete"},
  };
  for (const CloudCase& each : table) check("sagemaker", each);
  check_cuts("sagemaker", part(sse), "Paris", part(sse).size());
  check("sagemaker", {"a line without end", part("{" + std::string(900'000, 'x')) + part(std::string(900'000, 'x')), "unavailable: provider up: a line of its stream has more than 1048576 bytes"});
}

std::string google(std::string_view candidate, std::string_view more = "") { return fmt::format("data: {{\"candidates\":[{}]{},\"modelVersion\":\"big\"}}\r\n\r\n", candidate, more); }
const std::string kGoogleText = google(R"({"content":{"role":"model","parts":[{"text":"Zür"}]},"index":0})", R"(,"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9})") +
                                google(R"({"content":{"role":"model","parts":[{"text":"ich"}]},"finishReason":"STOP"})", R"(,"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4,"thoughtsTokenCount":3,"cachedContentTokenCount":2,"totalTokenCount":16})");

TEST(VertexFamily, Answers) {
  const CloudCase table[] = {
      {"text", kGoogleText, "text=Zürich finish=stop usage=9(2)/7(3)"},
      {"thoughts and tools",
       google(R"({"content":{"role":"model","parts":[{"text":"look","thought":true}]}})") + google(R"({"content":{"role":"model","parts":[{"functionCall":{"name":"weather","args":{"city":"Bern"}},"thoughtSignature":"EjQ"},{"functionCall":{"name":"now"}}]}})") +
           google(R"({"content":{"role":"model","parts":[{"text":""}]},"finishReason":"STOP"})"),
       "reasoning=look calls=#0:weather{\"city\":\"Bern\"} #1:now{} finish=tools usage=7(0)/8(0)"},
      {"counts after the reason", google(R"({"content":{"parts":[{"text":"x"}]},"finishReason":"MAX_TOKENS"})") + "data: {\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":1}}\n\n", "text=x finish=length usage=3(0)/1(0)"},
      {"a question that is refused", "data: {\"promptFeedback\":{\"blockReason\":\"PROHIBITED_CONTENT\"},\"usageMetadata\":{\"promptTokenCount\":4}}\n\n", "finish=filter usage=4(0)/0(0)"},
      {"an answer that is refused", google(R"({"content":{"parts":[{"text":"He"}]}})") + google(R"({"finishReason":"SAFETY","safetyRatings":[]})"), "text=He finish=filter usage=7(0)/1(0)"},
      {"a call that cannot be read", google(R"({"finishReason":"MALFORMED_FUNCTION_CALL"})"), "unavailable: provider up: its answer ended for the reason 'MALFORMED_FUNCTION_CALL', which is none of a whole answer"},
      {"an error in the stream", google(R"({"content":{"parts":[{"text":"He"}]}})") + "data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}\n\n",
       "text=He unavailable: provider up: the stream ended with an error UNAVAILABLE: The model is overloaded."},
      {"a limit in the stream", "data: {\"error\":{\"code\":429,\"message\":\"Quota\",\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n", "resource_exhausted: provider up: the stream ended with an error RESOURCE_EXHAUSTED: Quota"},
      {"no reason", google(R"({"content":{"parts":[{"text":"He"}]}})"), "text=He unavailable: provider up: its stream ended before the answer was complete"},
      {"a call without a name", google(R"({"content":{"parts":[{"functionCall":{"args":{}}}]}})"), "unavailable: provider up: its stream holds a call of a tool without the tool's name"},
      {"odd types", "data: {\"candidates\":[5]}\n\n", "unavailable: provider up: its stream holds a candidate that is no object"},
      {"garbage", "data: <html>\n\n", "unavailable: provider up: its stream holds an event that is no JSON object: '<html>'"},
      {"nothing", "", "unavailable: provider up: its stream ended before the answer was complete"},
  };
  for (const CloudCase& each : table) check("vertex", each);
  check_cuts("vertex", kGoogleText, "Zürich", kGoogleText.size() + 1);  // only the end of the body says that it was all
}

TEST(Clouds, RefusalsByStatus) {
  struct Refusal {
    std::string_view family;
    int status;
    std::string_view type, body, expected;
  };
  const Refusal table[] = {
      {"bedrock", 400, "ValidationException:http://internal.amazon.com/coral/", R"({"message":"The provided model identifier is invalid."})", "invalid_argument: provider up: answered 400 ValidationException: The provided model identifier is invalid."},
      {"bedrock", 400, "ValidationException", R"({"message":"Input is too long for requested model."})", "too_large: provider up: answered 400 ValidationException: Input is too long for requested model."},
      {"bedrock", 400, "ServiceQuotaExceededException", R"({"message":"Quota"})", "resource_exhausted: provider up: answered 400 ServiceQuotaExceededException: Quota"},
      {"bedrock", 403, "UnrecognizedClientException", R"({"message":"The security token included in the request is invalid."})", "unavailable: provider up: answered 403 UnrecognizedClientException: it refused the credential"},
      {"bedrock", 404, "ResourceNotFoundException", R"({"message":"No such model"})", "not_found: provider up: answered 404 ResourceNotFoundException: No such model"},
      {"bedrock", 408, "ModelTimeoutException", R"({"message":"slow"})", "deadline_exceeded: provider up: answered 408 ModelTimeoutException: slow"},
      {"bedrock", 424, "ModelErrorException", R"({"message":"broke","originalStatusCode":500})", "unavailable: provider up: answered 424 ModelErrorException: broke"},
      {"sagemaker", 424, "ModelError", R"({"Message":"Received client error 400","OriginalStatusCode":400,"OriginalMessage":"bad"})", "invalid_argument: provider up: answered 424 ModelError: Received client error 400"},
      {"bedrock", 429, "ThrottlingException", R"({"message":"Too many tokens"})", "resource_exhausted: provider up: answered 429 ThrottlingException: Too many tokens"},
      {"bedrock", 503, "ServiceUnavailableException", R"({"message":"later"})", "unavailable: provider up: answered 503 ServiceUnavailableException: later"},
      {"vertex", 400, "", R"([{"error":{"code":400,"message":"Invalid value","status":"INVALID_ARGUMENT"}}])", "invalid_argument: provider up: answered 400 INVALID_ARGUMENT: Invalid value"},
      {"vertex", 400, "", R"({"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}})", "unavailable: provider up: answered 400 INVALID_ARGUMENT: it refused the credential"},
      {"vertex", 400, "", R"({"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8).","status":"INVALID_ARGUMENT"}})",
       "too_large: provider up: answered 400 INVALID_ARGUMENT: The input token count (9) exceeds the maximum number of tokens allowed (8)."},
      {"vertex", 403, "", R"({"error":{"code":403,"message":"denied","status":"PERMISSION_DENIED"}})", "unavailable: provider up: answered 403 PERMISSION_DENIED: it refused the credential"},
      {"vertex", 429, "", R"({"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}})", "resource_exhausted: provider up: answered 429 RESOURCE_EXHAUSTED: Quota"},
      {"vertex", 500, "", "", "unavailable: provider up: answered 500"},
  };
  for (const auto& [family, status, type, body, expected] : table) {
    Replay upstream;
    upstream.status = status;
    upstream.body = body;
    if (!type.empty()) upstream.headers.add("x-amzn-ErrorType", std::string(type));
    EXPECT_EQ(told(family, upstream), expected);
  }
}

// ---- Requests

ChatRequest with_tools() {
  ChatRequest request = question();
  request.messages.push_back({.role = "assistant", .content = "Let me see.", .tool_calls = {{"c1", "weather", R"({"city":"Bern"})"}, {"c2", "now", ""}}});
  request.messages.push_back({.role = "tool", .content = "sun", .tool_calls = {}, .tool_call_id = "c1"});
  request.messages.push_back({.role = "tool", .content = R"({"hour":7})", .tool_calls = {}, .tool_call_id = "c2"});
  request.tools = {{.name = "weather", .parameters = R"({"type":"object"})", .strict = true, .description = "d"}, {.name = "now", .parameters = ""}};
  return request;
}

TEST(BedrockFamily, Requests) {
  ChatRequest request = question();
  EXPECT_EQ(body_of("bedrock", request), R"({"messages":[{"role":"user","content":[{"text":"Where?"}]}],"system":[{"text":"Be brief."}]})");
  EXPECT_EQ(body_of("bedrock", request, {{"thinking_budget", "1024"}}),
            R"({"messages":[{"role":"user","content":[{"text":"Where?"}]}],"system":[{"text":"Be brief."}],"additionalModelRequestFields":{"thinking":{"type":"enabled","budget_tokens":1024}}})");
  request.max_tokens = 9;
  request.stop = {"END"};
  request.sampling.temperature = 0;
  request.sampling.top_p = 0.5;
  request.constraint = {AnswerConstraint::Kind::kJsonSchema, R"({"type":"object"})", "response_format"};
  EXPECT_EQ(body_of("bedrock", request),
            R"({"messages":[{"role":"user","content":[{"text":"Where?"}]}],"system":[{"text":"Be brief."}],"additionalModelResponseFieldPaths":["/stop_sequence"],)"
            R"("inferenceConfig":{"maxTokens":9,"temperature":0E0,"topP":5E-1,"stopSequences":["END"]},)"
            R"("outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{\"type\":\"object\"}","name":"answer"}}}}})");
  request = with_tools();
  request.tool_choice = {ToolChoice::Mode::kNamed, "weather"};
  EXPECT_EQ(body_of("bedrock", request),
            R"({"messages":[{"role":"user","content":[{"text":"Where?"}]},{"role":"assistant","content":[{"text":"Let me see."},{"toolUse":{"toolUseId":"c1","name":"weather","input":{"city":"Bern"}}},)"
            R"({"toolUse":{"toolUseId":"c2","name":"now","input":{}}}]},{"role":"user","content":[{"toolResult":{"toolUseId":"c1","content":[{"text":"sun"}]}},{"toolResult":{"toolUseId":"c2","content":[{"text":"{\"hour\":7}"}]}}]}],)"
            R"("system":[{"text":"Be brief."}],"toolConfig":{"tools":[{"toolSpec":{"name":"weather","description":"d","inputSchema":{"json":{"type":"object"}},"strict":true}},)"
            R"({"toolSpec":{"name":"now","inputSchema":{"json":{"type":"object"}}}}],"toolChoice":{"tool":{"name":"weather"}}}})");
  request.tool_choice.mode = ToolChoice::Mode::kRequired;
  EXPECT_TRUE(body_of("bedrock", request).contains(R"("toolChoice":{"any":{}})"));
  request.tool_choice.mode = ToolChoice::Mode::kNone;
  EXPECT_EQ(body_of("bedrock", request), "unsupported tool_choice");
}

TEST(BedrockFamily, SaysWhichSequenceEndedIt) {
  Replay upstream;
  upstream.body = text_of("a") + event("messageStop", R"({"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}})") + kMetadata;
  EXPECT_EQ(told("bedrock", upstream), "text=a stopped by=END finish=stop usage=40(5)/15(0)");
  upstream.body = text_of("a") + event("messageStop", R"({"stopReason":"stop_sequence"})") + kMetadata;
  ChatRequest request = question();
  request.stop = {"only"};
  EXPECT_EQ(told("bedrock", upstream, request), "text=a stopped by=only finish=stop usage=40(5)/15(0)");
  request.stop = {"a", "b"};
  EXPECT_EQ(told("bedrock", upstream, request), "text=a finish=stop usage=40(5)/15(0)");
}

TEST(Clouds, ImagesStandWhereTheyStood) {
  ChatRequest request;
  request.messages = {{.role = "user", .content = "ab", .images = {{.media_type = "image/png", .data = "AAAA", .at = 1}}}};
  const std::pair<std::string_view, std::string_view> table[] = {
      {"openai", R"("content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"text","text":"b"}])"},
      {"azure", R"({"url":"data:image/png;base64,AAAA"})"},
      {"sagemaker", R"({"url":"data:image/png;base64,AAAA"})"},
      {"anthropic", R"("content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"text","text":"b"}])"},
      {"bedrock", R"("content":[{"text":"a"},{"image":{"format":"png","source":{"bytes":"AAAA"}}},{"text":"b"}])"},
      {"vertex", R"("parts":[{"text":"a"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}},{"text":"b"}])"},
  };
  for (const auto& [family, expected] : table) EXPECT_TRUE(body_of(family, request).contains(expected)) << family << ": " << body_of(family, request);
  request.messages[0].images = {{.media_type = "", .url = "https://x.example/a.png", .detail = "low"}};
  const std::pair<std::string_view, std::string_view> linked[] = {
      {"openai", R"({"url":"https://x.example/a.png","detail":"low"})"},
      {"anthropic", R"({"type":"url","url":"https://x.example/a.png"})"},
      {"bedrock", "unsupported messages"},
      {"vertex", R"({"fileData":{"fileUri":"https://x.example/a.png"}})"},
  };
  for (const auto& [family, expected] : linked) EXPECT_TRUE(body_of(family, request).contains(expected)) << family << ": " << body_of(family, request);
  request.messages[0].images = {{.media_type = "image/webp", .url = "s3://bucket/key"}};
  EXPECT_TRUE(body_of("bedrock", request).contains(R"({"format":"webp","source":{"s3Location":{"uri":"s3://bucket/key"}}})"));
  request.messages[0].images[0].media_type = "image/tiff";
  EXPECT_EQ(body_of("bedrock", request), "unsupported messages");
  // What a tool found.
  request = with_tools();
  request.messages[3].images = {{.media_type = "image/png", .data = "AAAA", .at = 3}};
  EXPECT_TRUE(body_of("anthropic", request).contains(R"("content":[{"type":"text","text":"sun"},{"type":"image","source")"));
  EXPECT_TRUE(body_of("bedrock", request).contains(R"("content":[{"text":"sun"},{"image":)"));
  for (const char* family : {"openai", "vertex"}) EXPECT_EQ(body_of(family, request), "unsupported messages") << family;
}

TEST(Clouds, HowHardToThink) {
  const auto body = [](std::string_view family, std::string_view effort, std::map<std::string, std::string> options) {
    ChatRequest request = question();
    request.reasoning_effort = effort;
    return body_of(family, request, std::move(options));
  };
  const std::tuple<std::string_view, std::string_view, std::map<std::string, std::string>, std::string_view> table[] = {
      {"openai", "low", {}, R"("reasoning_effort":"low")"},
      {"anthropic", "high", {{"thinking_budget", "8000"}}, R"("budget_tokens":8000)"},
      {"anthropic", "medium", {{"thinking_budget", "8000"}}, R"("budget_tokens":4000)"},
      {"bedrock", "low", {{"thinking_budget", "8000"}}, R"("budget_tokens":2000)"},
      {"bedrock", "low", {{"thinking_budget", "1500"}}, R"("budget_tokens":1024)"},
      {"bedrock", "low", {{"effort", "yes"}}, R"("outputConfig":{"effort":"low"})"},
      {"vertex", "high", {{"thinking", "level"}}, R"("thinkingConfig":{"includeThoughts":true,"thinkingLevel":"high"})"},
      {"vertex", "none", {{"thinking", "level"}}, R"("thinkingLevel":"minimal")"},
      {"vertex", "medium", {{"thinking", "budget"}}, R"("thinkingConfig":{"includeThoughts":true,"thinkingBudget":8192})"},
  };
  for (const auto& [family, effort, options, expected] : table) EXPECT_TRUE(body(family, effort, options).contains(expected)) << family << " " << effort << ": " << body(family, effort, options);
  for (const char* family : {"anthropic", "bedrock", "vertex"}) EXPECT_EQ(body(family, "high", {}), body(family, "", {})) << "what cannot think ignores it";
  for (const char* family : {"anthropic", "bedrock"}) EXPECT_EQ(body(family, "none", {{"thinking_budget", "8000"}}), body(family, "", {})) << family;
}

TEST(VertexFamily, Requests) {
  ChatRequest request = question();
  EXPECT_EQ(body_of("vertex", request), R"({"contents":[{"role":"user","parts":[{"text":"Where?"}]}],"systemInstruction":{"parts":[{"text":"Be brief."}]}})");
  request.max_tokens = 9;
  request.stop = {"END"};
  request.sampling = {.temperature = 2, .top_k = 5, .top_p = 0.5, .presence_penalty = 1, .frequency_penalty = -1, .seed = 7, .logit_bias = {}};
  request.constraint = {AnswerConstraint::Kind::kJsonObject, "", "response_format"};
  EXPECT_EQ(body_of("vertex", request, {{"thinking", "budget"}}),
            R"({"contents":[{"role":"user","parts":[{"text":"Where?"}]}],"systemInstruction":{"parts":[{"text":"Be brief."}]},"generationConfig":{"temperature":2E0,"topP":5E-1,"topK":5,"maxOutputTokens":9,"stopSequences":["END"],)"
            R"("presencePenalty":1E0,"frequencyPenalty":-1E0,"seed":7,"responseMimeType":"application/json","responseJsonSchema":{"type":"object"},"thinkingConfig":{"includeThoughts":true}}})");
  request = with_tools();
  EXPECT_EQ(body_of("vertex", request),
            R"({"contents":[{"role":"user","parts":[{"text":"Where?"}]},{"role":"model","parts":[{"text":"Let me see."},{"functionCall":{"name":"weather","args":{"city":"Bern"}}},{"functionCall":{"name":"now","args":{}}}]},)"
            R"({"role":"user","parts":[{"functionResponse":{"name":"weather","response":{"output":"sun"}}},{"functionResponse":{"name":"now","response":{"hour":7}}}]}],"systemInstruction":{"parts":[{"text":"Be brief."}]},)"
            R"("tools":[{"functionDeclarations":[{"name":"weather","description":"d","parametersJsonSchema":{"type":"object"}},{"name":"now"}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}})");
  EXPECT_TRUE(body_of("vertex", request, {{"thinking", "level"}}).contains(R"("thoughtSignature":)"));
  request.tool_choice = {ToolChoice::Mode::kNamed, "now"};
  EXPECT_TRUE(body_of("vertex", request).contains(R"({"mode":"ANY","allowedFunctionNames":["now"]})"));
  request.messages[3].tool_call_id = "c9";
  EXPECT_EQ(body_of("vertex", request), "invalid_argument messages");
}

TEST(SageMakerFamily, Requests) {
  EXPECT_EQ(body_of("sagemaker", question()).find("\"model\""), std::string::npos);
  EXPECT_TRUE(body_of("sagemaker", question(), {{"model", "llama"}, {"server", "vllm"}}).contains(R"("model":"llama")"));
  ChatRequest request = question();
  request.sampling.top_k = 5;
  EXPECT_EQ(body_of("sagemaker", request), "unsupported top_k");
  EXPECT_TRUE(body_of("sagemaker", request, {{"server", "vllm"}}).contains(R"("top_k":5)"));
}

TEST(Clouds, WhatCannotBeSaidIsRefused) {
  struct Refused {
    std::string_view field;
    std::function<void(ChatRequest&)> ask;
    std::string_view families;
  };
  const Refused table[] = {
      {"top_k", [](ChatRequest& r) { r.sampling.top_k = 5; }, "bedrock"},
      {"min_p", [](ChatRequest& r) { r.sampling.min_p = 0.1; }, "bedrock vertex"},
      {"repetition_penalty", [](ChatRequest& r) { r.sampling.repetition_penalty = 1.1; }, "bedrock vertex"},
      {"ignore_eos", [](ChatRequest& r) { r.ignore_eos = true; }, "bedrock vertex"},
      {"guided_regex", [](ChatRequest& r) { r.constraint = {AnswerConstraint::Kind::kRegex, "a", "guided_regex"}; }, "bedrock vertex"},
      {"response_format", [](ChatRequest& r) { r.constraint = {AnswerConstraint::Kind::kJsonObject, "", "response_format"}; }, "bedrock"},
      {"seed", [](ChatRequest& r) { r.sampling.seed = 1; }, "bedrock"},
      {"temperature", [](ChatRequest& r) { r.sampling.temperature = 1.5; }, "bedrock"},
      {"presence_penalty", [](ChatRequest& r) { r.sampling.presence_penalty = 1; }, "bedrock"},
      {"logit_bias", [](ChatRequest& r) { r.sampling.logit_bias[1] = 2; }, "bedrock vertex"},
      {"logprobs", [](ChatRequest& r) { r.sampling.logprobs = 0; }, "bedrock vertex"},
      {"prompt", [](ChatRequest& r) { r.messages.clear(); }, "bedrock vertex"},
  };
  for (const auto& [field, ask, families] : table)
    for (const std::string_view family : {"bedrock", "vertex"}) {
      ChatRequest request = question();
      ask(request);
      const std::string body = body_of(family, request);
      EXPECT_EQ(body == fmt::format("unsupported {}", field), families.contains(family)) << family << " " << field << ": " << body;
    }
  ChatRequest request = question();
  request.tools = {{.name = "f", .parameters = "{"}};
  for (const char* family : {"bedrock", "vertex", "sagemaker"}) EXPECT_EQ(body_of(family, request), "invalid_argument tools");
}

// ---- Who asks

constexpr std::string_view kKeys = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

infra::HttpClientRequest sent(std::string_view family, std::string url, std::string credential, std::map<std::string, std::string> options = {}, std::string* said = nullptr) {
  Replay upstream;
  ProviderTarget target = target_of(family);
  target.url = std::move(url);
  target.model = "org.model-v1:0";
  target.options = std::move(options);
  target.credential = [credential] { return Result<std::string>(credential); };
  const auto outcome = (*open_provider(target, upstream))->generate({}, question(), [](const ChatDelta&) { return true; });
  if (said != nullptr) *said = outcome.error().message + " (" + outcome.error().hint + ")";
  return upstream.asked;
}

bool signed_for(const infra::HttpClientRequest& request, std::string_view host, std::string_view path, std::string_view region, std::string_view service) {
  infra::HttpHeaders headers{{"host", std::string(host)}};
  for (const auto& [name, value] : request.headers.all())
    if (name != "authorization") headers.add(name, value);
  return infra::sign_v4({"AKIDEXAMPLE", std::string(kKeys.substr(12, 40)), std::string(request.headers.get("x-amz-security-token"))}, {std::string(region), std::string(service), std::string(request.headers.get("x-amz-date"))},
                        "POST", path, headers, request.body) == request.headers.get("authorization");
}

TEST(Clouds, RequestsOfAwsAreSigned) {
  auto request = sent("bedrock", "https://bedrock-runtime.eu-central-1.amazonaws.com", std::string(kKeys));
  EXPECT_EQ(request.url, "https://bedrock-runtime.eu-central-1.amazonaws.com/model/org.model-v1%3A0/converse-stream");
  EXPECT_TRUE(signed_for(request, "bedrock-runtime.eu-central-1.amazonaws.com", "/model/org.model-v1%3A0/converse-stream", "eu-central-1", "bedrock"));
  request = sent("bedrock", "https://bedrock.example:8443/", std::string(kKeys) + ":session", {{"region", "us-east-1"}});
  EXPECT_EQ(request.headers.get("x-amz-security-token"), "session");
  EXPECT_TRUE(signed_for(request, "bedrock.example:8443", "/model/org.model-v1%3A0/converse-stream", "us-east-1", "bedrock"));
  request = sent("sagemaker", "https://runtime.sagemaker.us-west-2.amazonaws.com",
                 R"({"Credentials":{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY","SessionToken":"t"}})");
  EXPECT_TRUE(signed_for(request, "runtime.sagemaker.us-west-2.amazonaws.com", "/endpoints/org.model-v1%3A0/invocations-response-stream", "us-west-2", "sagemaker"));
  EXPECT_EQ(sent("bedrock", "https://up.example", "bedrock-api-key-abc").headers.get("authorization"), "Bearer bedrock-api-key-abc");
  std::string said;
  sent("bedrock", "https://up.example", std::string(kKeys), {}, &said);
  EXPECT_EQ(said, "provider up: no region is known to sign for (stoa providers add NAME --replace ... --option region=REGION)");
  sent("sagemaker", "https://up.example", "not-a-pair", {}, &said);
  EXPECT_TRUE(said.starts_with("provider up: the credential has to be ACCESS_KEY_ID:SECRET_ACCESS_KEY")) << said;
  EXPECT_FALSE(said.contains("not-a-pair"));
}

TEST(Clouds, RegionsOfUrls) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"https://bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"},
      {"https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
      {"https://vpce-0a1b.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"},
      {"https://runtime.sagemaker.cn-north-1.amazonaws.com.cn", "cn-north-1"},
      {"https://bedrock-runtime.eu-central-1.example.com", ""},
      {"https://up.example", ""},
      {"nothing", ""},
  };
  for (const auto& [url, region] : table) EXPECT_EQ(region_of_url(url), region) << url;
}

TEST(Clouds, SecretsAreNotRepeated) {
  Replay upstream;
  upstream.status = 400;
  upstream.body = R"({"message":"key wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY of AKIDEXAMPLE"})";
  ProviderTarget target = target_of("bedrock");
  target.options = {{"region", "eu-1"}};
  target.credential = [] { return Result<std::string>(std::string(kKeys)); };
  const auto outcome = (*open_provider(target, upstream))->generate({}, question(), [](const ChatDelta&) { return true; });
  EXPECT_EQ(outcome.error().message, "provider up: answered 400: key *** of ***");
}

TEST(Clouds, CredentialsAreChecked) {
  const std::tuple<std::string_view, std::string_view, bool> table[] = {
      {"openai", "anything", true},
      {"bedrock", "a-key", true},
      {"bedrock", kKeys, true},
      {"bedrock", R"({"AccessKeyId":"a","SecretAccessKey":"b"})", true},
      {"bedrock", R"({"AccessKeyId":"a"})", false},
      {"bedrock", ":b", false},
      {"bedrock", "{", false},
      {"sagemaker", "a-key", false},
      {"sagemaker", kKeys, true},
      {"vertex", "AIza-key", true},
      {"vertex", R"({"type":"service_account"})", false},
      {"vertex", R"({"client_email":"a@b","private_key":"none","token_uri":"https://t.example"})", false},
  };
  for (const auto& [family, credential, good] : table) {
    const Status checked = check_credential(family, credential);
    EXPECT_EQ(checked.has_value(), good) << family << " " << credential;
    EXPECT_EQ(checked ? "credential" : checked.error().param, "credential");
  }
}

}  // namespace
}  // namespace stoa::gateway
