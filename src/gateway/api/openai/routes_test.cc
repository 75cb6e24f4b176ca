#include "gateway/api/openai/test_house.h"
#include "governance/access/test_access.h"
#include "infra/bus/local/local.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::gateway::openai {

std::unique_ptr<infra::SqlDatabase> memory_store() { return must(infra::open_memory()); }
std::unique_ptr<infra::EventBus> local_bus(infra::SqlDatabase& sql) { return must(infra::open_local_bus(sql)); }
std::unique_ptr<governance::Access> shipped_access() { return governance::access_for_tests(STOA_SOURCE_DIR); }

namespace {

constexpr std::string_view kChat = R"({"model":"talk","messages":[{"role":"user","content":"Where?"}]})";

std::string with(std::string_view body, std::string_view more) { return std::string(body.substr(0, body.size() - 1)) + "," + std::string(more) + "}"; }

TEST_F(House, ChatAnswersSettlesAndRecords) {
  const Answer answer = ask("POST", "/v1/chat/completions", std::string(kChat));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.at("choices.0.message.content"), "Paris.");
  EXPECT_EQ(answer.at("usage.stoa.cost_micro_usd"), "1000");
  EXPECT_EQ(answer.headers.get("x-stoa-cost-micro-usd"), "1000");
  EXPECT_EQ(answer.headers.get("x-request-id"), answer.at("usage.stoa.request_id"));
  ASSERT_EQ(finished.size(), 1u);
  EXPECT_EQ(finished[0].cost, 1000);
  EXPECT_EQ(finished[0].answer_id, answer.at("id"));
  EXPECT_EQ(finished[0].output, "Paris.");
  EXPECT_EQ(must(ledger->rows(finished[0].request_id)).size(), 1u);
  governance::AuditQuery query;
  query.tenant = finished[0].principal.tenant;
  query.action = "model.use";
  settle_events();
  const auto entries = must(audit->query(query));
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].request_id, finished[0].request_id);
}

TEST_F(House, AdaptersAreModels) {
  const Answer list = ask("GET", "/v1/models", "");
  EXPECT_EQ(list.at("data.1.id"), "talk:polite");
  EXPECT_EQ(list.at("data.1.parent"), "talk");
  EXPECT_EQ(list.at("data.1.stoa.kind"), "adapter");
  EXPECT_EQ(ask("GET", "/v1/models/talk:polite", "").status, 200);
  for (const auto& [name, status] : {std::pair{"talk:polite", 200}, {"polite", 200}, {"talk:rude", 404}, {"rude", 404}}) {
    const Answer answer = ask("POST", "/v1/chat/completions", R"({"model":")" + std::string(name) + R"(","messages":[{"role":"user","content":"x"}]})");
    EXPECT_EQ(answer.status, status) << name;
    if (status != 200) continue;
    EXPECT_EQ(speaker.asked.model, name);
  }
}

TEST_F(House, PriorityIsForThoseWhoMayHaveIt) {
  const Call operator_ = Call::of(must(identity->local_operator()));
  const std::string chief = must(identity->issue_key(operator_, {.project = "default", .user = "ann", .label = "", .role = "operator", .expires = {}})).secret;
  const std::string completion = R"({"model":"talk","prompt":"Where?"})", response = R"({"model":"talk","input":"Where?"})";
  for (const auto& [path, body] : {std::pair{"/v1/chat/completions", std::string(kChat)}, {"/v1/completions", completion}, {"/v1/responses", response}}) {
    const auto tier = [&](const char* name, const std::string& key) { return ask("POST", path, with(body, fmt::format(R"("service_tier":"{}")", name)), &key); };
    const auto told = [&](const char* name) { return std::string(std::string_view(path) == "/v1/completions" ? "(none)" : name); };
    EXPECT_EQ(tier("flex", ann).at("service_tier"), told("flex")) << path;
    EXPECT_EQ(speaker.asked.priority, -1);
    const Answer refused = tier("priority", ann);
    EXPECT_EQ(refused.status, 403) << path;
    EXPECT_EQ(refused.at("error.param"), "service_tier");
    EXPECT_EQ(tier("priority", chief).at("service_tier"), told("priority")) << path;
    EXPECT_EQ(speaker.asked.priority, 1);
    EXPECT_EQ(tier("auto", ann).at("service_tier"), told("default")) << path;
  }
}

TEST_F(House, CallersMayBringTheirOwnDeadline) {
  for (const auto& [value, status] : {std::pair{"1500", 200}, {"999999999999999", 200}, {"0", 400}, {"-5", 400}, {"2 s", 400}, {"99999999999999999999", 400}}) {
    const Answer answer = ask("POST", "/v1/chat/completions", std::string(kChat), nullptr, "application/json", value);
    EXPECT_EQ(answer.status, status) << value;
    const auto left = speaker.deadline.at - std::chrono::steady_clock::now();
    if (status != 200) EXPECT_EQ(answer.at("error.param"), "x-stoa-timeout-ms");
    else EXPECT_EQ(left < std::chrono::seconds(2), std::string_view(value) == "1500") << value;
  }
}

TEST_F(House, ManyAlternativesAreBounded) {
  const Answer many = ask("POST", "/v1/chat/completions", with(kChat, R"("n":128,"max_tokens":2)"));
  EXPECT_EQ(many.status, 200);
  EXPECT_EQ(many.json().at("choices").as_array().size(), 128u);
  EXPECT_EQ(many.at("usage.prompt_tokens"), "6") << "the prompt counts once";
  EXPECT_EQ(many.at("usage.completion_tokens"), "256");
  const Answer too_large = ask("POST", "/v1/chat/completions", with(kChat, R"("n":128,"logprobs":true,"top_logprobs":20)"));
  EXPECT_EQ(too_large.status, 400);
  EXPECT_EQ(too_large.at("error.param"), "n");
  EXPECT_EQ(ask("POST", "/v1/completions", R"({"model":"talk","prompt":["a","b"],"n":65})").at("error.param"), "n");
}

TEST_F(House, ChatStreams) {
  const Answer answer = ask("POST", "/v1/chat/completions", with(kChat, R"("stream":true,"stream_options":{"include_usage":true})"));
  const auto data = events(answer.body);
  ASSERT_EQ(data.size(), 7u);  // role, three texts, finish, usage, [DONE]
  EXPECT_EQ(data.back(), "[DONE]");
  EXPECT_TRUE(data[5].contains("\"total_tokens\":9"));
  EXPECT_TRUE(answer.headers.get("content-type").starts_with("text/event-stream"));
  EXPECT_TRUE(answer.finished);
}

TEST_F(House, FailureBeforeTheFirstTokenIsAPlainError) {
  for (const auto& [code, status] : {std::pair{ErrorCode::kResourceExhausted, 429}, {ErrorCode::kUnavailable, 503}, {ErrorCode::kTooLarge, 400}}) {
    speaker.refuse = error(code, "no").with_retry_after(7);
    for (const std::string& body : {std::string(kChat), with(kChat, R"("stream":true)")}) {
      const Answer answer = ask("POST", "/v1/chat/completions", body);
      EXPECT_EQ(answer.status, status);
      EXPECT_EQ(answer.headers.get("x-should-retry"), status == 400 ? "false" : "true");
      EXPECT_EQ(answer.headers.get("retry-after"), status == 400 ? "" : "7");
    }
  }
}

TEST_F(House, FailureInMidStreamIsTold) {
  speaker.fail_after = 1;
  const auto chat = events(ask("POST", "/v1/chat/completions", with(kChat, R"("stream":true)")).body);
  EXPECT_TRUE(chat.back().contains("\"error\"") && chat.back().contains("out of time")) << chat.back();
  const auto response = events(ask("POST", "/v1/responses", R"({"model":"talk","input":"Where?","stream":true})").body);
  EXPECT_TRUE(response.back().contains("response.failed")) << response.back();
  EXPECT_FALSE(response.back().contains("[DONE]"));
  EXPECT_TRUE(finished.back().error);
}

TEST_F(House, BudgetHolds) {
  const std::string project = must(identity->local_operator()).project;
  ASSERT_TRUE(ledger->set_budget(project, 10));
  const Answer answer = ask("POST", "/v1/chat/completions", std::string(kChat));
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.at("error.type"), "rate_limit_error");
}

TEST_F(House, WhoMayWhat) {
  const Call operator_ = Call::of(must(identity->local_operator()));
  const std::string viewer = must(identity->issue_key(operator_, {.project = "default", .user = "", .label = "", .role = "viewer", .expires = {}})).secret;
  const std::string wrong = "sk-stoa-wrong";
  EXPECT_EQ(ask("POST", "/v1/chat/completions", std::string(kChat), &viewer).status, 403);
  EXPECT_EQ(ask("GET", "/v1/models", "", &viewer).status, 200);
  const Answer refused = ask("GET", "/v1/models", "", &wrong);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.at("error.code"), "invalid_api_key");
  EXPECT_EQ(ask("GET", "/v1/none").status, 404);
  EXPECT_EQ(ask("GET", "/v1/none").at("error.type"), "invalid_request_error");
}

TEST_F(House, EmbeddingsRefuseWhatDoesNotFit) {
  EXPECT_EQ(ask("POST", "/v1/embeddings", R"({"model":"letters","input":["a","b"]})").at("usage.prompt_tokens"), "2");
  const Answer long_text = ask("POST", "/v1/embeddings", R"({"model":"letters","input":")" + std::string(300, 'x') + R"("})");
  EXPECT_EQ(long_text.status, 400);
  EXPECT_EQ(long_text.at("error.code"), "context_length_exceeded");
  EXPECT_EQ(ask("POST", "/v1/embeddings", R"({"model":"letters","input":"a","dimensions":7})").at("error.param"), "dimensions");
  EXPECT_EQ(ask("POST", "/v1/embeddings", R"({"model":"talk","input":"a"})").at("error.param"), "model");
}

TEST_F(House, RerankOrdersDocuments) {
  for (const char* path : {"/v1/rerank", "/v2/rerank"}) {
    const Answer answer = ask("POST", path, R"({"model":"judge","query":"ab","documents":["xyz",{"text":"abab"},"a"],"return_documents":true})");
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.at("results.0.document.text"), "abab");
    EXPECT_EQ(answer.at("results.0.index") + answer.at("results.1.index") + answer.at("results.2.index"), "120");
    EXPECT_EQ(std::stod(answer.at("results.1.relevance_score")), 0.5);  // one letter: a logit of 0
    EXPECT_EQ(answer.at("meta.tokens.input_tokens"), "14");
    ASSERT_FALSE(finished.empty());
    EXPECT_EQ(finished.back().kind, "rerank");
    EXPECT_EQ(finished.back().cost, 5);
  }
  const Answer best = ask("POST", "/v1/rerank", R"({"model":"judge","query":"ab","documents":["aa","b","a"],"top_n":2,"max_tokens_per_doc":1})");
  EXPECT_EQ(best.at("results.0.index") + best.at("results.1.index") + best.at("results.2.index"), "01(none)");  // alike once cut: in their order
  EXPECT_EQ(best.at("results.0.document.text"), "(none)");
  EXPECT_EQ(best.at("usage.stoa.truncated_documents"), "1");
  EXPECT_EQ(ask("GET", "/v1/models/judge").at("stoa.kind"), "reranker");
}

TEST_F(House, RerankRefusesWhatDoesNotFit) {
  const auto check = [&](const char* body, int status, std::string_view param, std::string_view code) {
    const Answer answer = ask("POST", "/v1/rerank", body);
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.at("error.param"), param) << answer.body;
    EXPECT_EQ(answer.at("error.code"), code) << answer.body;
  };
  check(R"({"model":"judge","query":"","documents":["a"]})", 400, "query", "null");
  check(R"({"model":"judge","query":"abcdef","documents":["a"]})", 400, "query", "context_length_exceeded");
  check(R"({"model":"letters","query":"a","documents":["a"]})", 400, "model", "null");
  check(R"({"model":"none","query":"a","documents":["a"]})", 404, "model", "model_not_found");
  EXPECT_NE(ask("POST", "/v1/rerank", R"({"model":"letters","query":"a","documents":["a"]})").at("error.message").find("/v1/embeddings"), std::string::npos);
  EXPECT_NE(ask("POST", "/v1/embeddings", R"({"model":"judge","input":"a"})").at("error.message").find("/v1/rerank"), std::string::npos);
  judge.surplus = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(ask("POST", "/v1/rerank", R"({"model":"judge","query":"a","documents":["a"]})").status, 500);
}

using HouseAttacks = House;

TEST_F(HouseAttacks, FilesKeepTheirReaders) {
  const std::string open = upload("a.txt", "hello"), closed = upload("b.txt", "secret", "user:ann");
  EXPECT_EQ(ask("GET", "/v1/files/" + closed + "/content").body, "secret");
  EXPECT_EQ(ask("GET", "/v1/files/" + open + "/content", "", &bob).body, "hello");
  for (const std::string& path : {closed, closed + "/content"}) EXPECT_EQ(ask("GET", "/v1/files/" + path, "", &bob).status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + open, "", &bob).status, 403);
  EXPECT_EQ(ask("GET", "/v1/files", "", &bob).json().at("data").as_array().size(), 1u);
  const Answer page = ask("GET", "/v1/files?limit=1");
  EXPECT_EQ(page.at("has_more"), "true");
  EXPECT_EQ(ask("GET", "/v1/files?limit=1&after=" + page.at("last_id")).at("data.0.id"), open);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + closed).at("deleted"), "true");
  EXPECT_EQ(ask("GET", "/v1/files/" + closed).status, 404);
  EXPECT_EQ(ask("POST", "/v1/files", "junk", nullptr, "multipart/form-data; boundary=b").status, 400);
}

TEST_F(House, ResponsesQuoteDocumentsOnRequest) {
  const std::string file = upload("keys.txt", "An access key is rotated every ninety days by the security team.");
  const std::string store = indexed_store(file);
  const std::string body = R"({"model":"talk","input":"How often is an access key rotated?","metadata":{"stoa.answer":"extractive"},
    "tools":[{"type":"file_search","vector_store_ids":[")" + store + R"("]}],"include":["file_search_call.results"]})";
  const Answer answer = ask("POST", "/v1/responses", body);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.at("output.0.type"), "file_search_call");
  EXPECT_EQ(answer.at("output.0.results.0.file_id"), file);
  EXPECT_EQ(answer.at("output.1.content.0.text"), "An access key is rotated every ninety days by the security team.");
  EXPECT_EQ(answer.at("output.1.content.0.annotations.0.file_id"), file);
  EXPECT_EQ(answer.at("output.1.content.0.annotations.0.filename"), "keys.txt");
  EXPECT_TRUE(answer.at("output.1.content.0.annotations.0.url").starts_with("http://stoa/v1/stoa/documents/doc_"));
  EXPECT_EQ(answer.at("stoa.answer"), "extractive");
  EXPECT_EQ(answer.at("output.1.content.0.annotations.0.stoa.of"), "passage");
  EXPECT_EQ(answer.at("output.1.content.0.annotations.0.stoa.start"), "0");
  EXPECT_EQ(answer.at("output.1.content.0.annotations.0.stoa.end"), answer.at("output.1.content.0.annotations.0.end_index"));
  EXPECT_EQ(answer.at("stoa.search.how"), "question");
  EXPECT_EQ(answer.at("stoa.search.query"), "How often is an access key rotated?");
  // What the model says has no support in the document, so the document is quoted all the same.
  const Answer generated = ask("POST", "/v1/responses", R"({"model":"talk","input":"How often is an access key rotated?","tools":[{"type":"file_search","vector_store_ids":[")" + store + R"("]}]})");
  EXPECT_EQ(generated.at("stoa.answer"), "extractive");
  EXPECT_EQ(ask("POST", "/v1/responses", R"({"model":"talk","input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_none"]}]})").status, 404);

  // A follow-up is rewritten; both the rewriting and the answer are paid.
  dependencies.grounding.rewrite = GroundingSettings::Rewrite::kAuto;
  dependencies.grounding.rewrite_prompt = "{conversation}{question}";
  speaker.tokens = {"Who ", "rotates an access key?"};
  const Answer followed = ask("POST", "/v1/responses", R"({"model":"talk","input":[{"role":"user","content":"How often is an access key rotated?"},{"role":"assistant","content":"Often."},
    {"role":"user","content":"Who does it?"}],"tools":[{"type":"file_search","vector_store_ids":[")" + store + R"("]}]})");
  ASSERT_EQ(followed.status, 200) << followed.body;
  EXPECT_EQ(followed.at("stoa.search.how"), "rewritten");
  EXPECT_EQ(followed.at("output.0.queries.0"), "Who rotates an access key?");
  EXPECT_EQ(followed.at("output.1.content.0.text"), "Who rotates an access key?");
  EXPECT_EQ(must(ledger->rows(followed.headers.get("x-request-id"))).size(), 2u);
}

TEST_F(House, DeletedFilesGiveTheirSpaceBack) {
  const auto held = [&] {
    settle_events();
    std::size_t count = 0;
    EXPECT_TRUE(blobs->for_each([&](const std::string&, std::uint64_t) -> Result<bool> {
      ++count;
      return true;
    }));
    return count;
  };
  const std::string file = upload("keys.txt", "An access key is rotated every ninety days.");
  const std::string twin = upload("copy.txt", "An access key is rotated every ninety days.");
  const std::string store = ask("POST", "/v1/vector_stores", R"({"name":"s","file_ids":[")" + file + R"("]})").at("id");
  EXPECT_EQ(held(), 1u);
  EXPECT_EQ(ask("DELETE", "/v1/files/" + file).status, 200);
  EXPECT_EQ(held(), 1u) << "the other file has the same bytes";
  EXPECT_EQ(ask("POST", "/v1/vector_stores/" + store + "/files", R"({"file_id":")" + twin + R"("})").status, 200);
  EXPECT_EQ(ask("DELETE", "/v1/vector_stores/" + store).status, 200);
  EXPECT_EQ(held(), 1u) << "the file is still there";
  EXPECT_EQ(ask("DELETE", "/v1/files/" + twin).status, 200);
  // What the store had is deleted behind.
  const Deadline end = Deadline::after(std::chrono::seconds(20));
  while (held() > 0 && !end.passed()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(held(), 0u);
}

TEST_F(HouseAttacks, ResponsesAreStoredForTheirCallerAlone) {
  const std::string first = ask("POST", "/v1/responses", R"({"model":"talk","input":"one"})").at("id");
  const Answer second = ask("POST", "/v1/responses", R"({"model":"talk","input":"two","instructions":"i","previous_response_id":")" + first + R"("})");
  EXPECT_EQ(second.at("previous_response_id"), first);
  std::vector<std::string> seen;
  for (const ChatMessage& message : speaker.asked.messages) seen.push_back(message.role + ":" + message.content);
  EXPECT_EQ(seen, (std::vector<std::string>{"system:i", "user:one", "assistant:Paris.", "user:two"}));
  EXPECT_EQ(ask("GET", "/v1/responses/" + first).at("output.0.content.0.text"), "Paris.");
  EXPECT_EQ(ask("GET", "/v1/responses/" + first + "/input_items").at("data.0.content.0.text"), "one");
  EXPECT_EQ(ask("GET", "/v1/responses/" + first, "", &bob).status, 404);
  EXPECT_EQ(ask("POST", "/v1/responses", R"({"model":"talk","input":"x","previous_response_id":")" + first + R"("})", &bob).status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/responses/" + first).at("deleted"), "true");
  EXPECT_EQ(ask("GET", "/v1/responses/" + first).status, 404);
  const std::string hidden = ask("POST", "/v1/responses", R"({"model":"talk","input":"one","store":false})").at("id");
  EXPECT_EQ(ask("GET", "/v1/responses/" + hidden).status, 404);
}

// Whatever the client of another tenant asks for by a right id, it learns what it would learn of an id that never was.
TEST_F(HouseAttacks, AnotherTenantLearnsNothing) {
  const std::string file = upload("plan.txt", "The secret plan is to open a second canteen.");
  const std::string store = indexed_store(file);
  const std::string batch = ask("POST", "/v1/vector_stores/" + store + "/file_batches", R"({"file_ids":[")" + file + R"("]})").at("id");
  const std::string response = ask("POST", "/v1/responses", R"({"model":"talk","input":"one"})").at("id");
  ASSERT_TRUE(file.starts_with("file") && store.starts_with("vs_") && batch != "(none)" && response.starts_with("resp_"));
  ASSERT_TRUE(identity->create_tenant(Call::of(must(identity->local_operator())), "acme"));
  const Call theirs = Call::of(must(identity->local_operator("acme")));
  const std::string eve = must(identity->issue_key(theirs, {.project = "default", .user = "", .label = "", .role = "admin", .expires = {}})).secret;

  const std::map<std::string, std::string> ids{{"{file}", file}, {"{store}", store}, {"{batch}", batch}, {"{response}", response}};
  const auto put_in = [&](std::string text, bool right) {
    for (const auto& [name, id] : ids) {
      const std::string value = right ? id : id.substr(0, id.size() - 4) + "0000";
      for (auto at = text.find(name); at != std::string::npos; at = text.find(name)) text.replace(at, name.size(), value);
    }
    return text;
  };
  const auto learned = [&](std::string text) {  // without what was put in
    for (const auto& [name, id] : ids)
      for (const std::string& value : {id, id.substr(0, id.size() - 4) + "0000"})
        for (auto at = text.find(value); at != std::string::npos; at = text.find(value)) text.replace(at, value.size(), name);
    return text;
  };
  const std::string search = R"({"model":"talk","input":"What is the plan?","tools":[{"type":"file_search","vector_store_ids":["{store}"]}]})";
  const std::tuple<const char*, const char*, std::string> attempts[] = {
      {"GET", "/v1/files/{file}", ""}, {"GET", "/v1/files/{file}/content", ""}, {"DELETE", "/v1/files/{file}", ""},
      {"GET", "/v1/vector_stores/{store}", ""}, {"POST", "/v1/vector_stores/{store}", R"({"name":"mine"})"}, {"DELETE", "/v1/vector_stores/{store}", ""},
      {"POST", "/v1/vector_stores/{store}/search", R"({"query":"secret plan"})"}, {"GET", "/v1/vector_stores/{store}/files", ""},
      {"POST", "/v1/vector_stores/{store}/files", R"({"file_id":"{file}"})"}, {"GET", "/v1/vector_stores/{store}/files/{file}", ""},
      {"POST", "/v1/vector_stores/{store}/files/{file}", R"({"attributes":{"a":1}})"}, {"DELETE", "/v1/vector_stores/{store}/files/{file}", ""},
      {"GET", "/v1/vector_stores/{store}/files/{file}/content", ""}, {"POST", "/v1/vector_stores/{store}/file_batches", R"({"file_ids":["{file}"]})"},
      {"GET", "/v1/vector_stores/{store}/file_batches/{batch}", ""}, {"GET", "/v1/vector_stores/{store}/file_batches/{batch}/files", ""},
      {"GET", "/v1/responses/{response}", ""}, {"DELETE", "/v1/responses/{response}", ""}, {"POST", "/v1/responses/{response}/cancel", ""},
      {"GET", "/v1/responses/{response}/input_items", ""}, {"POST", "/v1/responses", R"({"model":"talk","input":"x","previous_response_id":"{response}"})"},
      {"POST", "/v1/responses", search}};
  for (const auto& [method, target, body] : attempts) {
    const Answer right = ask(method, put_in(target, true), put_in(body, true), &eve), wrong = ask(method, put_in(target, false), put_in(body, false), &eve);
    EXPECT_EQ(right.status, 404) << method << " " << target << " " << right.body;
    EXPECT_EQ(learned(right.body), learned(wrong.body)) << method << " " << target;
  }
  for (const char* list : {"/v1/files", "/v1/vector_stores"}) EXPECT_EQ(ask("GET", list, "", &eve).json().at("data").as_array().size(), 0u) << list;
  EXPECT_EQ(ask("GET", "/v1/files/" + file + "/content").body, "The secret plan is to open a second canteen.") << "nothing was changed either";
  EXPECT_EQ(ask("GET", "/v1/vector_stores/" + store).at("file_counts.total"), "1");
}

TEST_F(House, TruncationDropsTheOldestTurns) {
  const std::string turn = R"({"role":"user","content":")" + std::string(1500, 'x') + R"("},)";
  const std::string input = "[" + turn + turn + turn + R"({"role":"user","content":"last"}])";
  const Answer refused = ask("POST", "/v1/responses", R"({"model":"talk","input":)" + input + "}");
  EXPECT_EQ(refused.at("error.code"), "context_length_exceeded");
  EXPECT_EQ(ask("POST", "/v1/responses", R"({"model":"talk","truncation":"auto","input":)" + input + "}").status, 200);
  EXPECT_EQ(speaker.asked.messages.size(), 3u);
  EXPECT_EQ(speaker.asked.messages.back().content, "last");
}

}  // namespace
}  // namespace stoa::gateway::openai
