// The routes as a client sees them, with a model that says what it is told.
#include <gtest/gtest.h>

#include "gateway/api/bedrock/errors.h"
#include "gateway/api/bedrock/converse.h"
#include "gateway/api/openai/test_models.h"
#include "governance/access/test_access.h"
#include "governance/identity/authenticator.h"
#include "governance/identity/identity.h"
#include "infra/aws/event_stream.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::gateway::bedrock {
namespace {

template <class T>
T must(Result<T> result) {
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

struct ConverseRoutes : testing::Test {
  std::unique_ptr<infra::SqlDatabase> sql = must(infra::open_memory());
  std::unique_ptr<governance::AuditLog> audit = must(governance::AuditLog::open(*sql));
  std::unique_ptr<governance::Access> access = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<governance::Identity> identity = must(governance::Identity::open(*sql, *audit, *access, Bytes(32, std::byte{7})));
  governance::PriceBook prices = must(governance::PriceBook::parse(openai::kPrices, "prices"));
  std::unique_ptr<governance::Ledger> ledger = must(governance::Ledger::open(*sql, prices));
  Metrics metrics;
  std::vector<FinishedRequest> finished;
  governance::Authenticator authenticator{*identity};
  AuthBackoff backoff{{.free_failures = 1}};
  Pipeline pipeline{{.access = *access, .authenticator = authenticator, .audit = *audit, .ledger = *ledger, .metrics = metrics,
                     .observer = [this](const FinishedRequest& request, const Trace&) { finished.push_back(request); }, .backoff = &backoff}};
  openai::Speaker speaker;
  openai::ServedModels models{{{.id = "talk", .created = 1, .generator = {std::shared_ptr<void>(), &speaker}}}};
  Dependencies dependencies{pipeline, models};
  infra::Router router;
  std::string developer, viewer;

  void SetUp() override {
    ASSERT_TRUE(identity->ensure_default());
    const Call operator_ = Call::of(must(identity->local_operator()));
    ASSERT_TRUE(identity->create_user(operator_, "ann"));
    for (const auto& [role, key] : {std::pair{"developer", &developer}, {"auditor", &viewer}})
      *key = must(identity->issue_key(operator_, {.project = "default", .user = "ann", .label = "", .role = role, .expires = {}})).secret;
    ASSERT_TRUE(register_converse(router, dependencies));
    router.set_error_renderer(render_http_error);
  }

  struct Answer {
    int status;
    infra::HttpHeaders headers;
    std::string body;
    bool finished;
    JsonObject json() const { return parse_json(body).value_or(JsonObject()).as_object(); }
    std::string error_type() const { return std::string(headers.get("x-amzn-errortype")); }
  };

  Answer ask(std::string body, std::vector<std::pair<std::string, std::string>> headers = {}, std::string target = "/model/talk/converse") {
    infra::HttpRequest request;
    request.method = "POST";
    request.peer = "192.0.2.7:4000";
    EXPECT_TRUE(infra::set_target(request, std::move(target)));
    if (headers.empty()) headers.emplace_back("authorization", "Bearer " + developer);
    for (const auto& [name, value] : headers) request.headers.set(name, value);
    request.body = std::move(body);
    infra::MemoryResponder responder;
    router.dispatch(std::move(request), responder);
    const auto response = responder.response();
    return {response.status, response.headers, response.body, responder.finished()};
  }
};

constexpr std::string_view kAsk = R"({"messages":[{"role":"user","content":[{"text":"Where?"}]}]})";

// The messages of an event stream, a line each.
std::string events_of(std::string_view body) {
  std::string out;
  infra::EventStreamParser parser([&](infra::EventMessage&& message) {
    const std::string type(message.header(":message-type"));
    out += fmt::format("{} {} {}\n", type, message.header(":" + type + "-type"), message.payload.substr(0, 90));
    return true;
  });
  EXPECT_TRUE(parser.feed(body));
  EXPECT_TRUE(parser.idle());
  return out;
}

TEST_F(ConverseRoutes, AnswersSettlesAndRecords) {
  const Answer answer = ask(std::string(kAsk));
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(dump_json(answer.json().at("output")), R"({"message":{"role":"assistant","content":[{"text":"Paris."}]}})");
  EXPECT_EQ(answer.json().at("stopReason").as_string(), "end_turn");
  EXPECT_EQ(answer.json().at("usage").as_object().at("inputTokens").as_int64(), 6);
  EXPECT_EQ(speaker.asked.model, "talk");
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].cost, 1000);
  EXPECT_EQ(finished[0].kind, "chat");
  EXPECT_EQ(finished[0].input, "Where?");
  EXPECT_EQ(finished[0].output, "Paris.");
  EXPECT_EQ(must(ledger->rows(finished[0].request_id)).size(), 1u);
}

TEST_F(ConverseRoutes, Streams) {
  const Answer answer = ask(std::string(kAsk), {}, "/model/talk/converse-stream");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.get("content-type"), "application/vnd.amazon.eventstream");
  EXPECT_TRUE(answer.finished);
  const std::string events = events_of(answer.body);
  EXPECT_TRUE(events.starts_with("event messageStart {\"role\":\"assistant\"}\n"
                                 "event contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"Par\"}}\n"
                                 "event contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\"is\"}}\n"
                                 "event contentBlockDelta {\"contentBlockIndex\":0,\"delta\":{\"text\":\".\"}}\n"
                                 "event contentBlockStop {\"contentBlockIndex\":0}\n"
                                 "event messageStop {\"stopReason\":\"end_turn\"}\n"
                                 "event metadata {\"usage\":{\"inputTokens\":6,\"outputTokens\":3,\"totalTokens\":9,"))
      << events;
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].output, "Paris.");
  EXPECT_EQ(finished[0].cost, 1000);
}

TEST_F(ConverseRoutes, FailuresHaveTheFamilysWords) {
  speaker.refuse = error(ErrorCode::kUnavailable, "the model is away");
  const Answer before = ask(std::string(kAsk), {}, "/model/talk/converse-stream");
  EXPECT_EQ(before.status, 503);
  EXPECT_EQ(before.error_type(), "ServiceUnavailableException");
  EXPECT_EQ(before.body, R"({"message":"the model is away"})");
  speaker.refuse.reset();
  speaker.fail_after = 1;
  const Answer after = ask(std::string(kAsk), {}, "/model/talk/converse-stream");
  EXPECT_EQ(after.status, 200);
  const std::string events = events_of(after.body);
  EXPECT_TRUE(events.ends_with("exception modelStreamErrorException {\"message\":\"out of time\"}\n")) << events;
  EXPECT_FALSE(events.contains("messageStop") || events.contains("metadata"));
  const Answer whole = ask(std::string(kAsk));
  EXPECT_EQ(whole.status, 504);
  EXPECT_EQ(whole.error_type(), "ModelTimeoutException");
}

TEST_F(ConverseRoutes, NamesWhatIsWrong) {
  const struct {
    std::string body, target;
    std::vector<std::pair<std::string, std::string>> headers;
    int status;
    std::string_view type;
  } cases[] = {
      {std::string(kAsk), "/model/none/converse", {}, 404, "ResourceNotFoundException"},
      {std::string(kAsk), "/model/some%2Fmodel%3A1/converse", {}, 404, "ResourceNotFoundException"},
      {"{}", "/model/talk/converse", {}, 400, "ValidationException"},
      {fmt::format(R"({{"messages":[{{"role":"user","content":[{{"text":"{}"}}]}}]}})", std::string(4001, 'a')), "/model/talk/converse", {}, 400, "ValidationException"},
      {std::string(kAsk), "/model/talk/converse", {{"x-other", "1"}}, 401, "UnrecognizedClientException"},
      {std::string(kAsk), "/model/talk/converse", {{"authorization", "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=00"}}, 401, "UnrecognizedClientException"},
      {std::string(kAsk), "/model/talk/converse", {{"authorization", "Bearer " + viewer}}, 403, "AccessDeniedException"},
      {std::string(kAsk), "/model/talk/invoke", {}, 404, "ResourceNotFoundException"},
  };
  for (const auto& c : cases) {
    const Answer answer = ask(c.body, c.headers, c.target);
    EXPECT_EQ(answer.status, c.status) << c.target << ": " << answer.body;
    EXPECT_EQ(answer.error_type(), c.type) << answer.body;
    EXPECT_TRUE(answer.json().contains("message")) << answer.body;
  }
}

TEST_F(ConverseRoutes, CountsTokensAndHoldsTheLimit) {
  EXPECT_EQ(ask(R"({"input":{"converse":{"messages":[{"role":"user","content":[{"text":"Where?"}]}],"system":[{"text":"ab"}]}}})", {}, "/model/talk/count-tokens").body, R"({"inputTokens":8})");
  EXPECT_EQ(ask(R"({"input":{"invokeModel":{"body":"e30="}}})", {}, "/model/talk/count-tokens").status, 400);
  const Answer answer = ask(R"({"messages":[{"role":"user","content":[{"text":"Where?"}]}],"inferenceConfig":{"maxTokens":2}})");
  EXPECT_EQ(answer.json().at("stopReason").as_string(), "max_tokens");
  EXPECT_EQ(speaker.asked.max_tokens, 2);
}

}  // namespace
}  // namespace stoa::gateway::bedrock
