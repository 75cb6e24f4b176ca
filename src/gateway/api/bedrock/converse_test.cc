// Request bodies to structs, and answers to bytes.
#include <gtest/gtest.h>

#include "gateway/api/bedrock/answer_json.h"
#include "gateway/api/bedrock/converse_json.h"
#include "gateway/api/bedrock/errors.h"

namespace stoa::gateway::bedrock {
namespace {

Result<ConverseCall> parse(std::string_view body) {
  STOA_TRY(object, parse_body(body));
  return parse_converse(object);
}
std::string asking(std::string_view more) { return fmt::format(R"({{"messages":[{{"role":"user","content":[{{"text":"q"}}]}}],{}}})", more); }
std::string saying(std::string_view messages) { return fmt::format(R"({{"messages":[{}]}})", messages); }

TEST(ParseConverse, ReadsEveryField) {
  const auto call = parse(asking(R"("system":[{"text":"Be brief."},{"cachePoint":{"type":"default"}},{"text":"Be kind."}],
    "inferenceConfig":{"maxTokens":9,"temperature":0.5,"topP":0.9,"stopSequences":["x","y"]},"additionalModelRequestFields":{"top_k":40,"thinking":{"type":"enabled","budget_tokens":1024}},
    "additionalModelResponseFieldPaths":["/stop_sequence"],"serviceTier":{"type":"flex"},"requestMetadata":{"a":"b"},"performanceConfig":{"latency":"optimized"},
    "toolConfig":{"tools":[{"toolSpec":{"name":"f","description":"d","inputSchema":{"json":{"type":"object"}},"strict":true}},{"cachePoint":{"type":"default"}}],"toolChoice":{"tool":{"name":"f"}}},
    "outputConfig":{"effort":"low","textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{\"type\":\"null\"}","name":"n"}}}},"unknown":1)"));
  ASSERT_TRUE(call) << call.error().message;
  const ChatRequest& request = call->request;
  ASSERT_EQ(request.messages.size(), 2u);
  EXPECT_EQ(request.messages[0].role + ":" + request.messages[0].content, "system:Be brief.\n\nBe kind.");
  EXPECT_EQ(request.messages[1].role + ":" + request.messages[1].content, "user:q");
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.top_k, 40);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(request.priority, -1);
  EXPECT_TRUE(call->tells_stop);
  ASSERT_EQ(request.tools.size(), 1u);
  EXPECT_EQ(request.tools[0].name + request.tools[0].description + request.tools[0].parameters, R"(fd{"type":"object"})");
  EXPECT_TRUE(request.tools[0].strict);
  EXPECT_EQ(request.tool_choice.mode, ToolChoice::Mode::kNamed);
  EXPECT_EQ(request.tool_choice.name, "f");
  EXPECT_EQ(request.reasoning_effort, "low");
  ASSERT_TRUE(request.constraint);
  EXPECT_EQ(request.constraint->text, R"({"type":"null"})");
  EXPECT_EQ(request.constraint->field, "outputConfig.textFormat.structure.jsonSchema.schema");
}

TEST(ParseConverse, BlocksBecomeMessages) {
  const auto call = parse(saying(R"({"role":"user","content":[{"text":"a"},{"image":{"format":"png","source":{"bytes":"AAAA"}}},{"text":"b"}]},
    {"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}},{"reasoningContent":{"redactedContent":"AAAA"}},{"text":"I look."},
      {"toolUse":{"toolUseId":"t1","name":"f","input":{"a":1}}},{"toolUse":{"toolUseId":"t2","name":"g","input":{}}}]},
    {"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[{"text":"r"},{"json":{"n":1}}]}},{"toolResult":{"toolUseId":"t2","content":[{"text":"bad"}],"status":"error"}},{"text":"And?"}]})"));
  ASSERT_TRUE(call) << call.error().message;
  const auto& messages = call->request.messages;
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[0].content, "ab");
  ASSERT_EQ(messages[0].images.size(), 1u);
  EXPECT_EQ(messages[0].images[0].at, 1u);
  EXPECT_EQ(messages[0].images[0].media_type, "image/png");
  EXPECT_EQ(messages[1].reasoning + "|" + messages[1].content, "hm|I look.");
  ASSERT_EQ(messages[1].tool_calls.size(), 2u);
  EXPECT_EQ(messages[1].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(messages[2].role + messages[2].tool_call_id + messages[2].content, R"(toolt1r{"n":1})");
  EXPECT_EQ(messages[3].content, "Error: bad");
  EXPECT_EQ(messages[4].role + messages[4].content, "userAnd?");
  const auto counted = parse_count(*parse_body(R"({"input":{"converse":{"messages":[{"role":"user","content":[{"text":"q"}]}]}}})"));
  ASSERT_TRUE(counted);
  EXPECT_EQ(counted->messages.size(), 1u);
}

TEST(ParseConverse, NamesWhatIsWrong) {
  const std::pair<std::string, std::string_view> table[] = {
      {"{}", "messages"},
      {saying(""), "messages"},
      {saying("7"), "messages[0]"},
      {saying(R"({"role":"tool","content":[]})"), "messages[0].role"},
      {saying(R"({"role":"user"})"), "messages[0].content"},
      {saying(R"({"role":"user","content":"q"})"), "messages[0].content"},
      {saying(R"({"role":"user","content":[{}]})"), "messages[0].content[0]"},
      {saying(R"({"role":"user","content":[{"text":"a","image":{}}]})"), "messages[0].content[0]"},
      {saying(R"({"role":"user","content":[{"text":7}]})"), "messages[0].content[0].text"},
      {saying(R"({"role":"user","content":[{"document":{}}]})"), "messages[0].content[0].document"},
      {saying(R"({"role":"user","content":[{"image":{"format":"png","source":{"s3Location":{"uri":"s3://a/b"}}}}]})"), "messages[0].content[0].image.source.bytes"},
      {saying(R"({"role":"user","content":[{"image":{"format":"tiff","source":{"bytes":"AAAA"}}}]})"), "messages[0].content[0].image"},
      {saying(R"({"role":"user","content":[{"toolResult":{"toolUseId":"t","content":[]}}]})"), "messages[0].content[0].toolResult.toolUseId"},
      {saying(R"({"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"f"}}]})"), "messages[0].content[0].toolUse.input"},
      {saying(R"({"role":"assistant","content":[{"image":{}}]})"), "messages[0].content[0].image"},
      {saying(R"({"role":"user","content":[{"text":"q"}]},{"role":"assistant","content":[{"text":"The"}]})"), "messages"},
      {asking(R"("system":"x")"), "system"},
      {asking(R"("system":[{"guardContent":{}}])"), "system[0].guardContent"},
      {asking(R"("inferenceConfig":{"maxTokens":0})"), "inferenceConfig.maxTokens"},
      {asking(R"("inferenceConfig":{"temperature":1.5})"), "inferenceConfig.temperature"},
      {asking(R"("inferenceConfig":{"stopSequences":[""]})"), "inferenceConfig.stopSequences"},
      {asking(R"("toolConfig":{"tools":[{"systemTool":{"name":"x"}}]})"), "toolConfig.tools[0].systemTool"},
      {asking(R"("toolConfig":{"tools":[{"toolSpec":{"name":"x"}}]})"), "toolConfig.tools[0].toolSpec.inputSchema"},
      {asking(R"("toolConfig":{"tools":[],"toolChoice":{"any":{}}})"), "toolConfig.toolChoice"},
      {asking(R"("toolConfig":{"tools":[{"toolSpec":{"name":"x","inputSchema":{"json":{}}}}],"toolChoice":{"tool":{"name":"y"}}})"), "toolConfig.toolChoice.tool.name"},
      {asking(R"("toolConfig":{"tools":[{"toolSpec":{"name":"x","inputSchema":{"json":{}}}}],"toolChoice":{"none":{}}})"), "toolConfig.toolChoice"},
      {asking(R"("additionalModelRequestFields":{"reasoning_config":{}})"), "additionalModelRequestFields.reasoning_config"},
      {asking(R"("guardrailConfig":{"guardrailIdentifier":"g"})"), "guardrailConfig"},
      {asking(R"("promptVariables":{"a":{"text":"b"}})"), "promptVariables"},
      {asking(R"("outputConfig":{"effort":"much"})"), "outputConfig.effort"},
      {asking(R"("outputConfig":{"textFormat":{"type":"json_schema","structure":{"jsonSchema":{"schema":"{"}}}})"), "outputConfig.textFormat.structure.jsonSchema.schema"},
      {asking(R"("serviceTier":{"type":"reserved"})"), "serviceTier.type"},
  };
  for (const auto& [body, param] : table) {
    const auto call = parse(body);
    ASSERT_FALSE(call) << body;
    EXPECT_EQ(call.error().param, param) << body << ": " << call.error().message;
    EXPECT_EQ(error_response(call.error(), "req_1").status, 400) << body;
  }
}

const UsageReport kReport{.usage = {.prompt_tokens = 7, .cached_tokens = 5, .completion_tokens = 3, .total_micros = 12'345}, .cache = {}, .request_id = "req_1", .trace_id = "t", .cost_micro_usd = 4};

TEST(ConverseAnswer, WholeAndInBlocks) {
  Choice answer{.text = "I look.", .reasoning = "hm", .tool_calls = {{"t1", "f", R"({"a":1})"}, {"t2", "g", ""}}, .logprobs = {}, .finish = FinishReason::kToolCalls};
  const auto json = answer_json(answer, kReport, false);
  ASSERT_TRUE(json);
  const std::string text = dump_json(*json);
  EXPECT_TRUE(text.starts_with(R"({"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"hm"}}},{"text":"I look."},)"
                               R"({"toolUse":{"toolUseId":"t1","name":"f","input":{"a":1}}},{"toolUse":{"toolUseId":"t2","name":"g","input":{}}}]}},"stopReason":"tool_use",)"
                               R"("usage":{"inputTokens":2,"outputTokens":3,"totalTokens":10,"cacheReadInputTokens":5,"cacheWriteInputTokens":0,"stoa":{)"))
      << text;
  EXPECT_TRUE(text.ends_with(R"("metrics":{"latencyMs":12}})")) << text;
  answer.tool_calls[0].arguments = R"({"a":)";
  EXPECT_EQ(answer_json(answer, kReport, false).error().code, ErrorCode::kUnavailable);
  answer.finish = FinishReason::kLength;
  EXPECT_TRUE(answer_json(answer, kReport, false));
}

TEST(ConverseAnswer, SaysWhyItStopped) {
  const std::tuple<FinishReason, std::string, bool, std::string_view> table[] = {
      {FinishReason::kStop, "", false, R"({"stopReason":"end_turn"})"},
      {FinishReason::kStop, "", true, R"({"stopReason":"end_turn","additionalModelResponseFields":{"stop_sequence":null}})"},
      {FinishReason::kStop, "END", false, R"({"stopReason":"stop_sequence"})"},
      {FinishReason::kStop, "END", true, R"({"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}})"},
      {FinishReason::kLength, "", false, R"({"stopReason":"max_tokens"})"},
      {FinishReason::kContentFilter, "", false, R"({"stopReason":"content_filtered"})"},
  };
  for (const auto& [finish, stop, tells, expected] : table) EXPECT_EQ(dump_json(stop_json(finish, stop, tells)), expected);
}

TEST(ConverseAnswer, Events) {
  std::string out;
  ConverseEvents events([&](std::string_view name, const JsonObject& payload) {
    out += fmt::format("{} {}\n", name, dump_json(payload));
    return true;
  });
  EXPECT_TRUE(events.add({.text = {}, .logprobs = {}, .reasoning = "hm"}));
  EXPECT_TRUE(events.add({.text = "I ", .logprobs = {}}));
  EXPECT_TRUE(events.add({.text = "look.", .logprobs = {}}));
  EXPECT_TRUE(events.add({.text = {}, .logprobs = {}, .reasoning = {}, .tool_calls = {{0, "t1", "f", "{\"a\":"}}}));
  EXPECT_TRUE(events.add({.text = {}, .logprobs = {}, .reasoning = {}, .tool_calls = {{0, "", "", "1}"}, {1, "t2", "g", "{}"}}}));
  EXPECT_TRUE(events.finish());
  EXPECT_EQ(out, R"(messageStart {"role":"assistant"}
contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}
contentBlockStop {"contentBlockIndex":0}
contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"I "}}
contentBlockDelta {"contentBlockIndex":1,"delta":{"text":"look."}}
contentBlockStop {"contentBlockIndex":1}
contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t1","name":"f"}}}
contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"a\":"}}}
contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"1}"}}}
contentBlockStop {"contentBlockIndex":2}
contentBlockStart {"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"t2","name":"g"}}}
contentBlockDelta {"contentBlockIndex":3,"delta":{"toolUse":{"input":"{}"}}}
contentBlockStop {"contentBlockIndex":3}
)");
  EXPECT_EQ(events.text(), "I look.");
  ConverseEvents nothing([&](std::string_view name, const JsonObject&) { return name == "messageStart"; });
  EXPECT_TRUE(nothing.finish());
  ConverseEvents gone([](std::string_view, const JsonObject&) { return false; });
  EXPECT_FALSE(gone.add({.text = "x", .logprobs = {}}));
}

TEST(ConverseErrors, HaveTheFamilysNames) {
  const std::tuple<ErrorCode, int, std::string_view, std::string_view> table[] = {
      {ErrorCode::kInvalidArgument, 400, "ValidationException", "validationException"},
      {ErrorCode::kUnsupported, 400, "ValidationException", "validationException"},
      {ErrorCode::kUnauthenticated, 401, "UnrecognizedClientException", "validationException"},
      {ErrorCode::kPermissionDenied, 403, "AccessDeniedException", "validationException"},
      {ErrorCode::kNotFound, 404, "ResourceNotFoundException", "validationException"},
      {ErrorCode::kResourceExhausted, 429, "ThrottlingException", "throttlingException"},
      {ErrorCode::kInternal, 500, "InternalServerException", "internalServerException"},
      {ErrorCode::kUnavailable, 503, "ServiceUnavailableException", "serviceUnavailableException"},
      {ErrorCode::kDeadlineExceeded, 504, "ModelTimeoutException", "modelStreamErrorException"},
  };
  for (const auto& [code, status, name, streamed] : table) {
    const auto response = error_response(error(code, "no \xff").with_param("messages").with_hint("do this"), "req_1");
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.headers.get("x-amzn-errortype"), name);
    EXPECT_EQ(response.headers.get("x-amzn-requestid"), "req_1");
    EXPECT_EQ(response.body, "{\"message\":\"messages: no \xef\xbf\xbd (do this)\"}");
    EXPECT_EQ(stream_exception(error(code, "x")), streamed);
  }
  EXPECT_TRUE(is_ours("/model/x/converse"));
  EXPECT_FALSE(is_ours("/v1/models"));
}

}  // namespace
}  // namespace stoa::gateway::bedrock
