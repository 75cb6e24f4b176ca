// Request bodies to structs: one table of what is taken, one of what is refused and which field is named.
#include <gtest/gtest.h>

#include "gateway/api/anthropic/errors.h"
#include "gateway/api/anthropic/messages.h"
#include "gateway/api/anthropic/messages_json.h"

namespace stoa::gateway::anthropic {
namespace {

Result<MessageCall> parse(std::string_view body) {
  STOA_TRY(object, parse_body(body));
  return parse_message_call(object);
}

std::string asking(std::string_view more) { return fmt::format(R"({{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"q"}}],{}}})", more); }
std::string saying(std::string_view messages) { return fmt::format(R"({{"model":"m","max_tokens":9,"messages":[{}]}})", messages); }

TEST(ParseMessages, ReadsEveryField) {
  const auto call = parse(asking(R"("system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"Be kind."}],
    "temperature":0.5,"top_p":0.9,"top_k":40,"stop_sequences":["x","y"],"stream":true,"metadata":{"user_id":"u"},"service_tier":"standard_only","container":null,
    "thinking":{"type":"enabled","budget_tokens":1024},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"null"}}},"unknown":1)"));
  ASSERT_TRUE(call) << call.error().message;
  const ChatRequest& request = call->request;
  ASSERT_EQ(request.messages.size(), 2u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[0].content, "Be brief.\n\nBe kind.");
  EXPECT_EQ(request.messages[1].content, "q");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.max_tokens, 9);
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_p, 0.9);
  EXPECT_EQ(request.sampling.top_k, 40);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE(call->stream && call->thinking);
  ASSERT_TRUE(request.constraint);
  EXPECT_EQ(request.constraint->text, R"({"type":"null"})");
  EXPECT_EQ(request.constraint->field, "output_config.format.schema");
}

TEST(ParseMessages, LeavesTheRestAsInOtherDialects) {
  const auto call = parse(saying(R"({"role":"user","content":[]},{"role":"system","content":"s"})"));
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->request.messages[0].content, "");
  EXPECT_EQ(call->request.messages[1].role, "system");
  EXPECT_EQ(call->request.sampling.temperature, SamplingOptions{}.temperature);
  EXPECT_EQ(call->request.priority, 0);
  EXPECT_FALSE(call->stream || call->thinking || call->request.constraint);
  EXPECT_TRUE(call->request.parallel_tool_calls);
}

TEST(ParseMessages, BlocksAreMessages) {
  struct Expected {
    std::string_view role, content, reasoning;
    std::size_t calls;
    std::string_view answers;
  };
  const auto call = parse(saying(R"(
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
    {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"I look."},
      {"type":"tool_use","id":"t1","name":"f","input":{"a":1}},{"type":"tool_use","id":"t2","name":"g","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t2","content":[{"type":"text","text":"r"},{"type":"text","text":"2"}]},
      {"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"no such file"},{"type":"text","text":"and now?"}]},
    {"role":"assistant","content":[{"type":"tool_use","id":"t3","name":"f","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"t3"}]})"));
  ASSERT_TRUE(call) << call.error().message;
  const Expected expected[] = {{"user", "ab", "", 0, ""},           {"assistant", "I look.", "hm", 2, ""}, {"tool", "r2", "", 0, "t2"},
                               {"tool", "Error: no such file", "", 0, "t1"}, {"user", "and now?", "", 0, ""},       {"assistant", "", "", 1, ""},
                               {"tool", "", "", 0, "t3"}};
  const auto& messages = call->request.messages;
  ASSERT_EQ(messages.size(), std::size(expected));
  for (std::size_t i = 0; i < messages.size(); ++i) {
    EXPECT_EQ(messages[i].role, expected[i].role) << i;
    EXPECT_EQ(messages[i].content, expected[i].content) << i;
    EXPECT_EQ(messages[i].reasoning, expected[i].reasoning) << i;
    EXPECT_EQ(messages[i].tool_calls.size(), expected[i].calls) << i;
    EXPECT_EQ(messages[i].tool_call_id, expected[i].answers) << i;
  }
  EXPECT_EQ(messages[1].tool_calls[0].arguments, R"({"a":1})");
}

TEST(ParseMessages, ToolsAndTheirChoice) {
  using Mode = ToolChoice::Mode;
  struct Case {
    std::string_view choice;
    Mode mode;
    std::string_view name;
    bool parallel;
  };
  const Case cases[] = {
      {R"({"type":"auto"})", Mode::kAuto, "", true},
      {R"({"type":"any","disable_parallel_tool_use":true})", Mode::kRequired, "", false},
      {R"({"type":"tool","name":"g"})", Mode::kNamed, "g", true},
      {R"({"type":"none"})", Mode::kNone, "", true},
      {"null", Mode::kAuto, "", true},
  };
  for (const Case& c : cases) {
    const auto call = parse(asking(fmt::format(R"("tools":[{{"name":"f","description":"d","input_schema":{{"type":"object"}},"strict":true}},
      {{"type":"custom","name":"g","input_schema":{{}}}}],"tool_choice":{})", c.choice)));
    ASSERT_TRUE(call) << c.choice << call.error().message;
    const ChatRequest& request = call->request;
    ASSERT_EQ(request.tools.size(), 2u);
    EXPECT_EQ(request.tools[0].name, "f");
    EXPECT_EQ(request.tools[0].description, "d");
    EXPECT_EQ(request.tools[0].parameters, R"({"type":"object"})");
    EXPECT_TRUE(request.tools[0].strict && !request.tools[1].strict);
    EXPECT_EQ(request.tool_choice.mode, c.mode) << c.choice;
    EXPECT_EQ(request.tool_choice.name, c.name) << c.choice;
    EXPECT_EQ(request.parallel_tool_calls, c.parallel) << c.choice;
  }
}

TEST(ParseMessages, ShowsThinkingWhenItIsAskedFor) {
  for (const auto& [thinking, shown] : {std::pair{R"({"type":"enabled","budget_tokens":2000})", true}, {R"({"type":"adaptive"})", true}, {R"({"type":"between_tools"})", true},
                                        {R"({"type":"enabled","budget_tokens":2000,"display":"omitted"})", false}, {R"({"type":"disabled"})", false}, {"null", false}}) {
    const auto call = parse(asking(fmt::format(R"("thinking":{})", thinking)));
    ASSERT_TRUE(call) << thinking << call.error().message;
    EXPECT_EQ(call->thinking, shown) << thinking;
  }
}

TEST(ParseMessages, TiersAreThoseOfOtherDialects) {
  for (const auto& [tier, priority] : {std::pair{"auto", 0}, {"standard_only", 0}, {"flex", -1}, {"priority", 1}}) {
    const auto call = parse(asking(fmt::format(R"("service_tier":"{}")", tier)));
    ASSERT_TRUE(call) << tier;
    EXPECT_EQ(call->request.priority, priority) << tier;
  }
}

TEST(ParseMessages, NamesWhatIsWrong) {
  struct Refused {
    std::string body;
    std::string_view param, message;  // the message begins so
  };
  const Refused table[] = {
      {R"({})", "model", "'model' must be a non-empty string; it is required"},
      {R"({"model":"m"})", "messages", "'messages' must be a non-empty list; it is required"},
      {R"({"model":"m","messages":[]})", "messages", "'messages' must be a non-empty list"},
      {R"({"model":"m","messages":[{"role":"user","content":"q"}]})", "max_tokens", "'max_tokens' must be an integer from 1 to 1048576; it is required"},
      {saying("7"), "messages[0]", "'messages[0]' must be an object"},
      {saying(R"({"role":"tool","content":"x"})"), "messages[0].role", "'messages[0].role' must be one of user, assistant, system"},
      {saying(R"({"role":"user"})"), "messages[0].content", "'messages[0].content' must be a string or a list of blocks; it is required"},
      {saying(R"({"role":"user","content":["a"]})"), "messages[0].content[0]", "'messages[0].content[0]' must be an object"},
      {saying(R"({"role":"user","content":[{"text":"a"}]})"), "messages[0].content[0].type", "'messages[0].content[0].type' must be a non-empty string"},
      {saying(R"({"role":"user","content":[{"type":"text"}]})"), "messages[0].content[0].text", "'messages[0].content[0].text' must be a string; it is required"},
      {saying(R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{}}]})"), "messages[0].content[1].source.type",
       "'messages[0].content[1].source.type' must be"},
      {saying(R"({"role":"user","content":[{"type":"document"}]})"), "messages[0].content[0].source", "'messages[0].content[0].source' must be an object"},
      {saying(R"({"role":"user","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]})"), "messages[0].content[0].type", "'messages[0].content[0].type' is not supported"},
      {saying(R"({"role":"system","content":[{"type":"image"}]})"), "messages[0].content[0].type", "'messages[0].content[0].type' is not supported"},
      {saying(R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"}]})"), "messages[0].content[0].tool_use_id",
       "'messages[0].content[0].tool_use_id' must be the id of a tool_use block of a message before this one"},
      {saying(R"({"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f"}]})"), "messages[0].content[0].input", "'messages[0].content[0].input' must be an object"},
      {saying(R"({"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image"}]}]})"),
       "messages[1].content[0].content[0].source", "'messages[1].content[0].content[0].source' must be"},
      {saying(R"({"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]})"), "messages[0].content[0].source.type", "'messages[0].content[0].source.type' is not supported here: only"},
      {saying(R"({"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/tiff","data":"AAAA"}}]})"), "messages[0].content[0].source.data", "'messages[0].content[0].source.data' must be an image"},
      {asking(R"("output_config":{"effort":"much"})"), "output_config.effort", "'output_config.effort' must be one of low"},
      {saying(R"({"role":"user","content":"q"},{"role":"assistant","content":"The"})"), "messages", "'messages[1]' is of the assistant"},
      {asking(R"("system":7)"), "system", "'system' must be a string or a list of blocks"},
      {asking(R"("max_tokens":0)"), "max_tokens", "'max_tokens' must be an integer from 1"},
      {asking(R"("temperature":1.5)"), "temperature", "'temperature' must be a number from 0 to 1"},
      {asking(R"("stop_sequences":"x")"), "stop_sequences", "'stop_sequences' must be a list"},
      {asking(R"("stop_sequences":[""])"), "stop_sequences", "'stop_sequences' must be a list of strings, none of them empty"},
      {asking(R"("stream":"yes")"), "stream", "'stream' must be true or false"},
      {asking(R"("metadata":{"user_id":7})"), "metadata.user_id", "'metadata.user_id' must be a string"},
      {asking(R"("service_tier":"best")"), "service_tier", "'service_tier' must be"},
      {asking(R"("thinking":{"type":"deep"})"), "thinking.type", "'thinking.type' must be one of"},
      {asking(R"("thinking":{"type":"enabled","budget_tokens":0})"), "thinking.budget_tokens", "'thinking.budget_tokens' must be an integer"},
      {asking(R"("thinking":{"type":"adaptive","display":"all"})"), "thinking.display", "'thinking.display' must be"},
      {asking(R"("tools":[{"name":"f"}])"), "tools[0].input_schema", "'tools[0].input_schema' must be a JSON schema; it is required"},
      {asking(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])"), "tools[0].type", "'tools[0].type' is not supported here: tools of type 'web_search_20250305'"},
      {asking(R"("tool_choice":"auto")"), "tool_choice", "'tool_choice' must be an object"},
      {asking(R"("tool_choice":{"type":"any"})"), "tool_choice.type", "'tool_choice.type' must be 'auto' or 'none' when no tool is given"},
      {asking(R"("tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":"g"})"), "tool_choice.name", "'tool_choice.name' must be the name of one of the tools"},
      {asking(R"("output_config":{"format":{"type":"text"}})"), "output_config.format.type", "'output_config.format.type' is not supported here"},
      {asking(R"("output_config":{"format":{"type":"json_schema"}})"), "output_config.format.schema", "'output_config.format.schema' must be a JSON schema"},
      {asking(R"("output_format":{"type":"json_schema","schema":{}},"output_config":{"format":{"type":"json_schema","schema":{}}})"), "output_format", "'output_format' must be left out"},
      {asking(R"("container":"c")"), "container", "'container' is not supported here: this server runs no containers"},
      {asking(R"("mcp_servers":[{}])"), "mcp_servers", "'mcp_servers' is not supported here"},
      {asking(R"("inference_geo":"eu")"), "inference_geo", "'inference_geo' is not supported here"},
  };
  for (const Refused& row : table) {
    const auto call = parse(row.body);
    ASSERT_FALSE(call) << row.body;
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument) << row.body;
    EXPECT_EQ(call.error().param, row.param) << call.error().message;
    EXPECT_TRUE(call.error().message.starts_with(row.message)) << row.body << "\n" << call.error().message;
  }
}

TEST(ParseMessages, HoldsItsLimits) {
  const auto many = [](std::string_view one, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += (i > 0 ? "," : "") + std::string(one);
    return out;
  };
  EXPECT_EQ(parse(saying(many(R"({"role":"user","content":"q"})", 2049))).error().param, "messages");
  EXPECT_EQ(parse(saying(fmt::format(R"({{"role":"user","content":[{}]}})", many(R"({"type":"text","text":"a"})", 257)))).error().param, "messages[0].content");
  EXPECT_EQ(parse(asking(fmt::format(R"("tools":[{}])", many(R"({"name":"f","input_schema":{}})", 129)))).error().param, "tools");
  EXPECT_EQ(parse(asking(fmt::format(R"("stop_sequences":[{}])", many(R"("x")", 17)))).error().param, "stop_sequences");
}

TEST(ParseMessages, CountingNeedsNoLimit) {
  const auto body = parse_body(R"({"model":"m","system":"s","messages":[{"role":"user","content":"q"}],"tools":[{"name":"f","input_schema":{}}]})");
  const auto request = parse_prompt(*body);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->request.messages.size(), 2u);
  EXPECT_EQ(request->request.tools.size(), 1u);
}

TEST(Version, IsADate) {
  for (const auto& [version, taken] : {std::pair{"", true}, {"2023-06-01", true}, {"2026-10-21", true}, {"2023-6-1", false}, {"latest", false}, {"2023-06-01x", false}, {"2023/06/01", false}}) {
    infra::HttpRequest request;
    if (*version != '\0') request.headers.set("anthropic-version", version);
    const auto status = check_version(request);
    EXPECT_EQ(status.has_value(), taken) << version;
    if (!status) {
      EXPECT_EQ(status.error().param, "anthropic-version");
    }
  }
}

TEST(Errors, AreThoseOfTheFamily) {
  struct Case {
    Error error;
    int status;
    std::string_view type, message;
  };
  const Case cases[] = {
      {error(ErrorCode::kInvalidArgument, "'max_tokens' must be 1").with_param("max_tokens"), 400, "invalid_request_error", "'max_tokens' must be 1"},
      {error(ErrorCode::kInvalidArgument, "bad schema").with_param("output_config.format.schema").with_hint("mend it"), 400, "invalid_request_error",
       "output_config.format.schema: bad schema (mend it)"},
      {error(ErrorCode::kTooLarge, "the prompt has 9 tokens").with_param("messages"), 400, "invalid_request_error", "messages: prompt is too long: the prompt has 9 tokens"},
      {error(ErrorCode::kUnauthenticated, "x"), 401, "authentication_error", "x"},
      {error(ErrorCode::kPermissionDenied, "x"), 403, "permission_error", "x"},
      {error(ErrorCode::kNotFound, "x"), 404, "not_found_error", "x"},
      {error(ErrorCode::kConflict, "x"), 409, "conflict_error", "x"},
      {error(ErrorCode::kTooLarge, "x"), 413, "request_too_large", "x"},
      {error(ErrorCode::kResourceExhausted, "x"), 429, "rate_limit_error", "x"},
      {error(ErrorCode::kInternal, "x"), 500, "api_error", "x"},
      {error(ErrorCode::kUnavailable, "x\xff"), 503, "overloaded_error", "x\xEF\xBF\xBD"},
      {error(ErrorCode::kDeadlineExceeded, "x"), 504, "timeout_error", "x"},
  };
  for (const Case& c : cases) {
    const auto response = error_response(c.error, "req_1");
    EXPECT_EQ(response.status, c.status) << c.message;
    EXPECT_EQ(response.body, fmt::format(R"({{"type":"error","error":{{"type":"{}","message":"{}"}},"request_id":"req_1"}})", c.type, c.message));
  }
  for (const auto& [path, ours] : {std::pair{"/v1/messages", true}, {"/v1/messages/count_tokens", true}, {"/v1/messages/none", true}, {"/v1/messagesx", false}, {"/v1/models", false}})
    EXPECT_EQ(is_ours(path), ours) << path;
}

}  // namespace
}  // namespace stoa::gateway::anthropic
