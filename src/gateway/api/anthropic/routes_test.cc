// The routes as a client sees them, with a model that says what it is told.
#include <gtest/gtest.h>

#include "gateway/api/anthropic/errors.h"
#include "gateway/api/anthropic/messages.h"
#include "gateway/api/openai/test_models.h"
#include "governance/access/test_access.h"
#include "governance/identity/authenticator.h"
#include "governance/identity/identity.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::gateway::anthropic {
namespace {

template <class T>
T must(Result<T> result) {
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

struct MessageRoutes : testing::Test {
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
  static GroundingSettings settings() {
    GroundingSettings out;
    out.system = "s";
    out.passage = "{text}\n";
    out.user = "{passages}{question}";
    out.no_answer = "Not there.";
    return out;
  }
  const GroundingSettings grounding = settings();
  Dependencies dependencies{pipeline, models, nullptr, {}, &grounding};
  infra::Router router;
  std::string developer, viewer;

  void SetUp() override {
    ASSERT_TRUE(identity->ensure_default());
    const Call operator_ = Call::of(must(identity->local_operator()));
    ASSERT_TRUE(identity->create_user(operator_, "ann"));
    for (const auto& [role, key] : {std::pair{"developer", &developer}, {"auditor", &viewer}})
      *key = must(identity->issue_key(operator_, {.project = "default", .user = "ann", .label = "", .role = role, .expires = {}})).secret;
    ASSERT_TRUE(register_messages(router, dependencies));
    router.set_error_renderer(render_http_error);
  }

  struct Answer {
    int status;
    infra::HttpHeaders headers;
    std::string body;
    bool finished;
    JsonObject json() const { return parse_json(body).value_or(JsonObject()).as_object(); }
    std::string error_type() const { return json().contains("error") ? std::string(json().at("error").as_object().at("type").as_string()) : "(none)"; }
  };

  Answer ask(std::string body, std::vector<std::pair<std::string, std::string>> headers = {}, std::string target = "/v1/messages") {
    infra::HttpRequest request;
    request.method = "POST";
    request.peer = "192.0.2.7:4000";
    EXPECT_TRUE(infra::set_target(request, std::move(target)));
    if (headers.empty()) headers.emplace_back("x-api-key", developer);
    for (const auto& [name, value] : headers) request.headers.set(name, value);
    request.body = std::move(body);
    infra::MemoryResponder responder;
    router.dispatch(std::move(request), responder);
    const auto response = responder.response();
    return {response.status, response.headers, response.body, responder.finished()};
  }
};

constexpr std::string_view kAsk = R"({"model":"talk","max_tokens":99,"messages":[{"role":"user","content":"Where?"}]})";

std::string with(std::string_view more) { return std::string(kAsk.substr(0, kAsk.size() - 1)) + "," + std::string(more) + "}"; }

TEST_F(MessageRoutes, AnswersSettlesAndRecords) {
  const Answer answer = ask(std::string(kAsk));
  EXPECT_EQ(answer.status, 200) << answer.body;
  const JsonObject message = answer.json();
  EXPECT_EQ(message.at("content").as_array().at(0).as_object().at("text").as_string(), "Paris.");
  EXPECT_EQ(message.at("stop_reason").as_string(), "end_turn");
  EXPECT_TRUE(message.at("id").as_string().starts_with("msg_"));
  EXPECT_EQ(message.at("usage").as_object().at("input_tokens").as_int64(), 6);
  EXPECT_EQ(answer.headers.get("request-id"), answer.headers.get("x-request-id"));
  EXPECT_TRUE(answer.headers.get("request-id").starts_with("req_"));
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].cost, 1000);
  EXPECT_EQ(finished[0].kind, "chat");
  EXPECT_EQ(finished[0].answer_id, message.at("id").as_string());
  EXPECT_EQ(finished[0].input, "Where?");
  EXPECT_EQ(finished[0].output, "Paris.");
  EXPECT_EQ(must(ledger->rows(finished[0].request_id)).size(), 1u);
}

TEST_F(MessageRoutes, Streams) {
  const Answer answer = ask(with(R"("stream":true)"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.get("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_TRUE(answer.body.starts_with("event: message_start\n"));
  EXPECT_TRUE(answer.body.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
  EXPECT_TRUE(answer.finished);
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].output, "Paris.");
  EXPECT_EQ(finished[0].cost, 1000);
}

TEST_F(MessageRoutes, FailuresHaveTheFamilysWords) {
  speaker.refuse = error(ErrorCode::kUnavailable, "the model is away");
  const Answer before = ask(with(R"("stream":true)"));
  EXPECT_EQ(before.status, 503);
  EXPECT_EQ(before.error_type(), "overloaded_error");
  EXPECT_EQ(before.json().at("request_id").as_string(), before.headers.get("request-id"));
  speaker.refuse.reset();
  speaker.fail_after = 1;
  const Answer after = ask(with(R"("stream":true)"));
  EXPECT_EQ(after.status, 200);
  EXPECT_TRUE(after.body.ends_with(fmt::format("event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"timeout_error\",\"message\":\"out of time\"}},\"request_id\":\"{}\"}}\n\n",
                                               after.headers.get("request-id"))))
      << after.body;
  EXPECT_EQ(after.body.find("message_delta"), std::string::npos);
  EXPECT_EQ(after.body.find("message_stop"), std::string::npos);
  const Answer whole = ask(std::string(kAsk));
  EXPECT_EQ(whole.status, 504);
  EXPECT_EQ(whole.error_type(), "timeout_error");
}

TEST_F(MessageRoutes, NamesWhatIsWrong) {
  struct Case {
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    int status;
    std::string_view type;
  };
  const std::string stranger = "sk-stoa-nobody";
  const Case cases[] = {
      {R"({"model":"none","max_tokens":9,"messages":[{"role":"user","content":"q"}]})", {}, 404, "not_found_error"},
      {R"({"model":"talk"})", {}, 400, "invalid_request_error"},
      {fmt::format(R"({{"model":"talk","max_tokens":9,"messages":[{{"role":"user","content":"{}"}}]}})", std::string(4001, 'a')), {}, 400, "invalid_request_error"},
      {std::string(kAsk), {{"x-api-key", developer}, {"anthropic-version", "new"}}, 400, "invalid_request_error"},
      {std::string(kAsk), {{"x-other", "1"}}, 401, "authentication_error"},
      {std::string(kAsk), {{"x-api-key", viewer}}, 403, "permission_error"},
      {with(R"("service_tier":"priority")"), {}, 403, "permission_error"},
      {std::string(kAsk), {{"x-api-key", developer}, {"authorization", "Bearer " + viewer}}, 401, "authentication_error"},
      {std::string(kAsk), {{"x-api-key", developer}, {"authorization", "Bearer " + developer}}, 200, "(none)"},
      {std::string(kAsk), {{"authorization", "Bearer " + developer}, {"anthropic-beta", "anything"}, {"anthropic-version", "2023-06-01"}}, 200, "(none)"},
      {std::string(kAsk), {{"x-api-key", stranger}}, 401, "authentication_error"},
      {std::string(kAsk), {{"x-api-key", stranger}}, 401, "authentication_error"},
      {std::string(kAsk), {{"x-api-key", stranger}}, 429, "rate_limit_error"},
  };
  for (const Case& c : cases) {
    const Answer answer = ask(c.body, c.headers);
    EXPECT_EQ(answer.status, c.status) << answer.body;
    EXPECT_EQ(answer.error_type(), c.type) << answer.body;
    EXPECT_EQ(answer.body.find(stranger), std::string::npos);
  }
}

TEST_F(MessageRoutes, CountsTokens) {
  const Answer answer = ask(R"({"model":"talk","system":"ab","messages":[{"role":"user","content":"Where?"}]})", {}, "/v1/messages/count_tokens");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"input_tokens":8})");
  EXPECT_EQ(ask(R"({"model":"none","messages":[{"role":"user","content":"q"}]})", {}, "/v1/messages/count_tokens").status, 404);
  EXPECT_EQ(ask(std::string(kAsk), {{"x-api-key", viewer}}, "/v1/messages/count_tokens").status, 403);
  EXPECT_EQ(must(ledger->rows(finished[0].request_id)).size(), 0u);
}

std::string cited(std::string_view question, std::string_view more = "") {
  return fmt::format(R"({{"model":"talk","max_tokens":99,"messages":[{{"role":"user","content":[{{"type":"document","title":"Keys","citations":{{"enabled":true}},
    "source":{{"type":"text","media_type":"text/plain","data":"A key is rotated every 90 days. Lunch is at noon."}}}},{{"type":"text","text":"{}"}}]}}]{}}})", question, more);
}

TEST_F(MessageRoutes, CitesTheDocumentsOfAMessage) {
  speaker.tokens = {"A key is ", "rotated every 90 days.", " The moon is green cheese."};
  const Answer answer = ask(cited("How often is a key rotated?"));
  EXPECT_EQ(answer.status, 200) << answer.body;
  const JsonArray content = answer.json().at("content").as_array();
  ASSERT_EQ(content.size(), 1u) << "what nothing supports is left out";
  EXPECT_EQ(dump_json(content[0]),
            R"({"type":"text","text":"A key is rotated every 90 days.","citations":[{"type":"char_location","document_index":0,"document_title":"Keys","file_id":null,)"
            R"("start_char_index":0,"end_char_index":31,"cited_text":"A key is rotated every 90 days."}]})");
  EXPECT_EQ(answer.json().at("stop_reason").as_string(), "end_turn");
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].kind, "chat");
  EXPECT_EQ(finished[0].input, "How often is a key rotated?");
  EXPECT_EQ(finished[0].output, "A key is rotated every 90 days.");
  EXPECT_GT(finished[0].cost, 0);
  EXPECT_EQ(must(ledger->rows(finished[0].request_id)).size(), 1u);
  EXPECT_EQ(ask(cited("How tall is the Eiffel tower?")).json().at("content").as_array().at(0).as_object().at("text").as_string(), "Not there.");
  EXPECT_EQ(ask(cited("")).status, 400);
}

TEST_F(MessageRoutes, StreamsCitations) {
  speaker.tokens = {"A key is ", "rotated every 90 days.", " Lunch is at noon."};
  const Answer answer = ask(cited("How often is a key rotated?", R"(,"stream":true)"));
  EXPECT_EQ(answer.status, 200);
  std::size_t at = 0;
  for (const std::string_view next : {"event: message_start", R"("index":0,"content_block":{"type":"text","text":""})", R"("delta":{"type":"text_delta","text":"A key is rotated every 90 days."})",
                                      R"("index":0,"delta":{"type":"citations_delta","citation":{"type":"char_location")", R"("type":"content_block_stop","index":0)",
                                      R"("delta":{"type":"text_delta","text":" Lunch is at noon."})", R"("index":1,"delta":{"type":"citations_delta")", "event: message_delta", "event: message_stop"}) {
    const std::size_t found = answer.body.find(next, at);
    ASSERT_NE(found, std::string::npos) << next << "\n" << answer.body;
    at = found;
  }
  speaker.refuse = error(ErrorCode::kUnavailable, "the model is away");
  EXPECT_EQ(ask(cited("How often is a key rotated?", R"(,"stream":true)")).status, 503);
}

TEST_F(MessageRoutes, HoldsTheLimit) {
  const Answer answer = ask(with(R"("max_tokens":2)"));
  EXPECT_EQ(answer.json().at("stop_reason").as_string(), "max_tokens");
  EXPECT_EQ(speaker.asked.max_tokens, 2);
}

}  // namespace
}  // namespace stoa::gateway::anthropic
