#include "gateway/api/admin/test_admin.h"

#include <fstream>
#include <iterator>

#include "governance/access/test_access.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::gateway::admin {

std::unique_ptr<infra::SqlDatabase> memory_store() { return must(infra::open_memory()); }
std::unique_ptr<governance::Access> shipped_access() { return governance::access_for_tests(STOA_SOURCE_DIR); }
std::string shipped_file(const std::string& name) {
  std::ifstream in(STOA_SOURCE_DIR "/share/" + name);
  return {std::istreambuf_iterator<char>(in), {}};
}

namespace {

TEST_F(AdminTest, SaysWhetherItIsReady) {
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  ready_ = fail(ErrorCode::kUnavailable, "the engine is starting");
  const auto response = call("GET", "/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "the engine is starting\n");
}

TEST_F(AdminTest, AsksForTheKeyAndTheRole) {
  struct Case {
    std::string method, target, key;
    int status;
  };
  for (const auto& test : {
           Case{"GET", "/metrics", "", 401}, Case{"GET", "/metrics", admin_key_, 200}, Case{"GET", "/v1/stoa/status", "", 401},
           Case{"GET", "/v1/stoa/status", "sk-stoa-wrong", 401}, Case{"GET", "/v1/stoa/status", ann_key_, 200}, Case{"GET", "/v1/stoa/audit", ann_key_, 403},
           Case{"GET", "/v1/stoa/audit", admin_key_, 200}, Case{"GET", "/v1/stoa/keys", ann_key_, 403}, Case{"GET", "/v1/stoa/keys", admin_key_, 200},
           Case{"POST", "/v1/stoa/ingest/jobs", viewer_key_, 403}, Case{"POST", "/v1/stoa/keys", viewer_key_, 403},
       })
    EXPECT_EQ(call(test.method, test.target, test.key).status, test.status) << test.method << " " << test.target;
}

TEST_F(AdminTest, ShowsStatus) {
  const auto status = json("GET", "/v1/stoa/status", ann_key_);
  EXPECT_EQ(text(status, "version"), "1.2.3");
  EXPECT_EQ(status.at("models").as_array().at(0).as_object().at("isa"), "avx2");
  EXPECT_EQ(status.at("engine").as_object().at("waiting"), 2);
  const auto& model = status.at("models").as_array().at(0).as_object();
  EXPECT_EQ(dump_json(model.at("weights")), R"([{"type":"Q4_1","tensors":7,"bytes":100,"kernel":"integers"}])");
  EXPECT_EQ(dump_json(model.at("choices")), R"([{"what":"kernels","value":"avx2","why":"the best"}])");
}

using AdminAttacks = AdminTest;

TEST_F(AdminAttacks, AnotherTenantLearnsNothing) {
  const std::string store = bring_in(ann_key_, "plan.txt", "The secret plan.", "public");
  const JsonObject query{{"query", "plan"}, {"vector_store_ids", JsonArray{Json(store)}}};
  const auto found = call("POST", "/v1/stoa/search", ann_key_, dump_json(query));
  const std::string document = text(must(parse_json(found.body)).at("data").as_array().at(0).as_object(), "document_id");
  const std::string trace(found.headers.get("x-request-id"));
  const auto rating = json("POST", "/v1/stoa/ratings", ann_key_, {{"answer_id", "resp_1"}, {"score", 1}, {"answer", "a"}, {"messages", JsonArray{JsonObject{{"role", "user"}, {"content", "q"}}}}}, 201);
  const std::string ours = text(must(parse_json(call("GET", "/v1/stoa/keys", admin_key_).body)).at("data").as_array().at(0).as_object(), "id");
  ASSERT_TRUE(traces_->flush(Deadline::after(std::chrono::seconds(10))));
  ASSERT_EQ(call("GET", "/v1/stoa/traces/" + trace, admin_key_).status, 200);

  ASSERT_TRUE(identity_->create_tenant(operator_, "acme"));
  const std::string eve = must(identity_->issue_key(Call::of(must(identity_->local_operator("acme"))), {.project = "default", .user = "", .label = "", .role = "admin", .expires = {}})).secret;
  for (const char* list : {"/v1/stoa/ratings", "/v1/stoa/datasets"}) EXPECT_EQ(json("GET", list, eve).at("data").as_array().size(), 0u) << list;
  for (const char* list : {"/v1/stoa/traces", "/v1/stoa/audit", "/v1/stoa/keys"}) {
    const std::string body = call("GET", list, eve).body;
    for (const std::string& secret : {store, document, trace, ours, std::string("\"ann\"")}) EXPECT_EQ(body.find(secret), std::string::npos) << list << " " << secret << " " << body;
  }
  json("POST", "/v1/stoa/search", eve, query, 404);
  json("GET", "/v1/stoa/documents/" + document, eve, {}, 404);
  json("GET", "/v1/stoa/traces/" + trace, eve, {}, 404);
  json("DELETE", "/v1/stoa/ratings/" + text(rating, "id"), eve, {}, 404);
  json("DELETE", "/v1/stoa/keys/" + ours, eve, {}, 404);
  json("POST", "/v1/stoa/ingest/jobs", eve, {{"collection", store}, {"source", "s"}, {"files", JsonArray{}}, {"access", "public"}}, 404);
  EXPECT_EQ(json("GET", "/v1/stoa/status", eve).at("documents").as_object().at("documents"), 0);
}

TEST_F(AdminTest, TracesEveryRequest) {
  const auto response = call("GET", "/v1/stoa/status", ann_key_);
  ASSERT_TRUE(traces_->flush(Deadline::after(std::chrono::seconds(20))));
  for (const char* header : {"x-request-id", "x-stoa-trace-id"}) {
    const auto trace = json("GET", "/v1/stoa/traces/" + std::string(response.headers.get(header)), ann_key_);
    EXPECT_EQ(text(trace, "operation"), "GET /v1/stoa/status");
    EXPECT_EQ(text(trace, "status"), "ok");
    const auto& spans = trace.at("spans").as_array();
    ASSERT_GE(spans.size(), 3u);
    EXPECT_EQ(spans[0].as_object().at("depth"), 0);
    EXPECT_EQ(spans[1].as_object().at("name"), "authenticate");
    EXPECT_EQ(spans[1].as_object().at("depth"), 1);
  }
  EXPECT_GE(json("GET", "/v1/stoa/traces?limit=5", ann_key_).at("data").as_array().size(), 1u);
  json("GET", "/v1/stoa/traces?limit=0", ann_key_, {}, 400);
  json("GET", "/v1/stoa/traces?from=yesterday", ann_key_, {}, 400);
  json("GET", "/v1/stoa/traces/req_none", ann_key_, {}, 404);
}

TEST_F(AdminTest, TurnsRatingsIntoADataset) {
  const auto rating = json("POST", "/v1/stoa/ratings", ann_key_, {{"answer_id", "resp_known"}, {"score", -1}, {"correction", "In the canteen."}}, 201);
  EXPECT_EQ(text(rating, "answer"), "On the roof.");
  EXPECT_EQ(text(rating, "request_id"), "req_7");
  json("POST", "/v1/stoa/ratings", bob_key_, {{"answer_id", "resp_known"}, {"score", 1}}, 404);
  json("POST", "/v1/stoa/ratings", bob_key_,
       {{"answer_id", "chatcmpl-1"}, {"score", 4}, {"scale", "stars"}, {"answer", "Yes."}, {"messages", JsonArray{JsonObject{{"role", "user"}, {"content", "Is it?"}}}}}, 201);
  EXPECT_EQ(json("GET", "/v1/stoa/ratings", ann_key_).at("data").as_array().size(), 2u);
  EXPECT_EQ(json("GET", "/v1/stoa/ratings?only=corrected", ann_key_).at("data").as_array().size(), 1u);

  const auto made = json("POST", "/v1/stoa/datasets/from-ratings", ann_key_, {{"name", "lunch"}});
  EXPECT_EQ(made.at("rows"), 2);
  EXPECT_EQ(text(json("POST", "/v1/stoa/datasets/from-ratings", ann_key_, {{"name", "lunch"}}), "version"), text(made, "version"));
  const auto list = json("GET", "/v1/stoa/datasets", ann_key_).at("data").as_array();
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].as_object().at("version"), made.at("version"));
  EXPECT_EQ(json("GET", "/v1/stoa/datasets/lunch/versions", ann_key_).at("data").as_array().size(), 1u);
  for (const std::string& name : {text(made, "version"), std::string("lunch"), std::string("lunch@1")}) {
    const auto rows = call("GET", "/v1/stoa/datasets/" + name + "/rows", ann_key_);
    EXPECT_EQ(rows.status, 200) << rows.body;
    const auto first = parse_json(rows.body.substr(0, rows.body.find('\n')));
    ASSERT_TRUE(first) << rows.body;
    EXPECT_EQ(first->get_object().at("chosen"), "In the canteen.");
    EXPECT_EQ(std::ranges::count(rows.body, '\n'), 2);
  }
  EXPECT_EQ(call("GET", "/v1/stoa/datasets/none/rows", ann_key_).status, 404);
  json("DELETE", "/v1/stoa/ratings/" + text(rating, "id"), bob_key_, {}, 404);
  json("DELETE", "/v1/stoa/ratings/" + text(rating, "id"), ann_key_);
  for (const auto& body : {JsonObject{{"answer_id", "resp_known"}}, JsonObject{{"answer_id", "resp_known"}, {"score", 3}}, JsonObject{{"score", 1}},
                           JsonObject{{"answer_id", "resp_known"}, {"score", "up"}}})
    json("POST", "/v1/stoa/ratings", ann_key_, body, 400);
}

TEST_F(AdminTest, MakesAndRevokesKeys) {
  const auto made = json("POST", "/v1/stoa/keys", admin_key_, {{"user", "bob"}, {"label", "laptop"}, {"role", "viewer"}}, 201);
  EXPECT_EQ(call("GET", "/v1/stoa/status", text(made, "key")).status, 200);
  const std::string listed = dump_json(json("GET", "/v1/stoa/keys", admin_key_));
  EXPECT_NE(listed.find("laptop"), std::string::npos);
  EXPECT_EQ(listed.find(text(made, "key")), std::string::npos) << "a key is shown once";
  json("DELETE", "/v1/stoa/keys/" + text(made, "id"), admin_key_);
  EXPECT_EQ(call("GET", "/v1/stoa/status", text(made, "key")).status, 401);
  json("DELETE", "/v1/stoa/keys/key_none", admin_key_, {}, 404);

  const auto scoped = json("POST", "/v1/stoa/keys", admin_key_, {{"role", "developer"}, {"scopes", JsonArray{"system.read"}}}, 201);
  EXPECT_EQ(scoped.at("scopes"), (JsonArray{"system.read"}));
  EXPECT_EQ(call("GET", "/v1/stoa/status", text(scoped, "key")).status, 200);
  EXPECT_EQ(call("GET", "/v1/stoa/usage", text(scoped, "key")).status, 403);
  const auto next = json("POST", "/v1/stoa/keys/" + text(scoped, "id") + "/rotate", admin_key_, {{"overlap_seconds", 0}}, 201);
  EXPECT_EQ(call("GET", "/v1/stoa/status", text(scoped, "key")).status, 401);
  EXPECT_EQ(call("GET", "/v1/stoa/status", text(next, "key")).status, 200);
  EXPECT_EQ(call("GET", "/v1/stoa/usage", text(next, "key")).status, 403);
  json("POST", "/v1/stoa/keys", admin_key_, {{"scopes", JsonArray{"moon.walk"}}}, 400);
  json("POST", "/v1/stoa/keys/" + text(next, "id") + "/rotate", admin_key_, {{"overlap_seconds", -1}}, 400);
  json("POST", "/v1/stoa/keys/" + text(next, "id") + "/rotate", text(next, "key"), {}, 403);
  json("POST", "/v1/stoa/keys", admin_key_, {{"role", "emperor"}}, 400);
  json("POST", "/v1/stoa/keys", admin_key_, {{"expires", "soon"}}, 400);
}

TEST_F(AdminTest, ShowsUsageAndTheAuditLog) {
  const auto usage = json("GET", "/v1/stoa/usage?by=day", ann_key_);
  EXPECT_TRUE(usage.at("budget").as_object().at("limit_micro_usd").is_null());
  json("GET", "/v1/stoa/usage?by=mood", ann_key_, {}, 400);
  json("GET", "/v1/stoa/usage?project=proj_other", ann_key_, {}, 404);
  const auto entries = json("GET", "/v1/stoa/audit?action=identity.key.create", admin_key_).at("data").as_array();
  EXPECT_FALSE(entries.empty());
  // What was asked just before is there; probing is not.
  json("GET", "/v1/stoa/status", ann_key_);
  const auto asked = json("GET", "/v1/stoa/audit?resource=GET%20/v1/stoa/usage", admin_key_).at("data").as_array();
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(text(asked[0].as_object(), "outcome"), "allowed");
  EXPECT_EQ(text(asked[1].as_object(), "outcome"), "failed");
  EXPECT_EQ(json("GET", "/v1/stoa/audit?resource=GET%20/v1/stoa/status", admin_key_).at("data").as_array().size(), 0u);
  EXPECT_EQ(text(asked[0].as_object(), "rule"), "role \"developer\"");
  EXPECT_FALSE(text(asked[0].as_object(), "key").empty());
  EXPECT_EQ(json("GET", "/v1/stoa/audit/check", admin_key_).at("intact"), true);
}

TEST_F(AdminTest, ProvesWhatTheAuditLogSays) {
  const auto point = json("GET", "/v1/stoa/audit/checkpoint", admin_key_);
  const auto key = must(governance::CheckpointKey::parse(text(point, "key")));
  const auto opened = must(governance::open_checkpoint(text(point, "checkpoint"), key));
  EXPECT_EQ(opened.size, point.at("entries").to_number<std::int64_t>());
  const auto hash = [](const Json& hex) {
    governance::MerkleHash out;
    const Bytes bytes = must(infra::from_hex(std::string_view(hex.as_string())));
    std::ranges::copy(bytes, out.begin());
    return out;
  };
  const auto hashes = [&](const JsonObject& from) {
    std::vector<governance::MerkleHash> out;
    for (const Json& item : from.at("proof").as_array()) out.push_back(hash(item));
    return out;
  };
  const auto included = json("GET", "/v1/stoa/audit/proof?sequence=2", admin_key_);
  const auto later = must(governance::open_checkpoint(text(included, "checkpoint"), key));
  EXPECT_TRUE(governance::proves_inclusion(hash(included.at("leaf")), 1, later.size, hashes(included), later.root));
  const auto grown = json("GET", fmt::format("/v1/stoa/audit/consistency?from={}", opened.size), admin_key_);
  const auto now = must(governance::open_checkpoint(text(grown, "checkpoint"), key));
  EXPECT_TRUE(governance::proves_consistency(opened.size, opened.root, now.size, now.root, hashes(grown)));

  const auto page = call("GET", "/v1/stoa/audit/export", admin_key_);
  std::istringstream lines(page.body);
  const auto checked = governance::verify_export(lines, key);
  ASSERT_TRUE(checked) << checked.error().message << page.body;
  EXPECT_GT(checked->entries, 3);
  const auto feed = call("GET", "/v1/stoa/audit/export?format=ocsf&limit=2", admin_key_);
  EXPECT_NE(feed.body.find("\"class_uid\":6003"), std::string::npos);
  for (const char* path : {"/v1/stoa/audit/checkpoint", "/v1/stoa/audit/proof?sequence=1", "/v1/stoa/audit/consistency?from=0", "/v1/stoa/audit/export"})
    json("GET", path, ann_key_, {}, 403);
  json("GET", "/v1/stoa/audit/proof?sequence=0", admin_key_, {}, 400);
  json("GET", "/v1/stoa/audit/proof?sequence=100000", admin_key_, {}, 404);
  json("GET", "/v1/stoa/audit/consistency?from=100000", admin_key_, {}, 400);
  json("GET", "/v1/stoa/audit/export?format=xml", admin_key_, {}, 400);
}

TEST_F(AdminTest, ExposesMetrics) {
  call("GET", "/v1/stoa/status", ann_key_);
  const auto page = call("GET", "/metrics", admin_key_);
  EXPECT_TRUE(page.headers.get("content-type").starts_with("text/plain; version=0.0.4"));
  EXPECT_NE(page.body.find("stoa_http_requests_total{method=\"GET\",route=\"/v1/stoa/status\",status=\"200\"} 1"), std::string::npos) << page.body;
}

// ---- Policies

TEST_F(AdminTest, SetsTriesAndTakesBackPolicies) {
  const JsonObject none{{"text", "policy \"no-models\" { forbid model.list because \"not today\" }"}, {"comment", "a try"}};
  EXPECT_EQ(call("GET", "/v1/models", ann_key_).status, 404) << "the other dialect is not part of this test";
  json("GET", "/v1/stoa/status", ann_key_);
  const auto dry = json("POST", "/v1/stoa/policies/dry-run", admin_key_, {{"name", "today"}, {"text", "policy \"shut\" { forbid system.read when principal.role == \"developer\" }"}});
  ASSERT_EQ(dry.at("changes").as_array().size(), 1U) << dump_json(dry);
  const auto& change = dry.at("changes").as_array()[0].as_object();
  EXPECT_EQ(text(change, "user"), "ann");
  EXPECT_EQ(text(change.at("to").as_object(), "rule"), "policy \"shut\"");

  const auto stored = json("PUT", "/v1/stoa/policies/today", admin_key_, none);
  EXPECT_EQ(stored.at("version"), 1);
  EXPECT_EQ(stored.at("comment"), "a try");
  EXPECT_EQ(text(json("GET", "/v1/stoa/policies/today", admin_key_), "text"), text(none, "text"));
  EXPECT_EQ(json("GET", "/v1/stoa/policies", admin_key_).at("data").as_array().size(), 2U);
  json("PUT", "/v1/stoa/policies/today", admin_key_, {{"text", "role \"pilot\" { model.use }"}, {"expected_version", 1}});
  json("PUT", "/v1/stoa/policies/today", admin_key_, {{"text", "# late"}, {"expected_version", 1}}, 409);
  EXPECT_EQ(json("GET", "/v1/stoa/roles/pilot", admin_key_).at("scope"), "tenant");
  EXPECT_EQ(json("GET", "/v1/stoa/roles", admin_key_).at("data").as_array().size(), 11U);
  json("GET", "/v1/stoa/roles/captain", admin_key_, {}, 404);
  const auto changes = json("GET", "/v1/stoa/policies/today/diff?from=1&to=2", admin_key_);
  EXPECT_EQ(changes.at("data").as_array().size(), 2U);
  EXPECT_EQ(json("POST", "/v1/stoa/policies/today/rollback", admin_key_, {{"version", 1}}).at("version"), 3);
  EXPECT_EQ(json("GET", "/v1/stoa/policies/today/history", admin_key_).at("data").as_array().size(), 3U);
  EXPECT_EQ(json("DELETE", "/v1/stoa/policies/today?comment=done", admin_key_).at("removed"), true);
  json("DELETE", "/v1/stoa/policies/today", admin_key_, {}, 404);
  for (const JsonObject& wrong : {JsonObject{{"text", "polcy"}}, JsonObject{{"text", 7}}, JsonObject{{"text", ""}}, JsonObject{{"text", "#"}, {"expected_version", -1}}})
    json("PUT", "/v1/stoa/policies/today", admin_key_, wrong, 400);
  json("PUT", "/v1/stoa/policies/to%20day", admin_key_, {{"text", "#"}}, 400);
  json("POST", "/v1/stoa/policies/today/rollback", admin_key_, {{"to", 1}}, 400);
}

TEST_F(AdminTest, ExplainsADecision) {
  const auto ann = must(identity_->authenticate(ann_key_));
  const auto own = json("POST", "/v1/stoa/access/explain", admin_key_, {{"action", "key.manage"}});
  EXPECT_EQ(own.at("allowed"), true);
  const auto hers = json("POST", "/v1/stoa/access/explain", admin_key_, {{"action", "key.manage"}, {"key", ann.key}});
  EXPECT_EQ(hers.at("allowed"), false);
  EXPECT_EQ(text(hers, "principal"), ann.id);
  EXPECT_EQ(text(hers, "rule"), "default");
  const auto wall = json("POST", "/v1/stoa/access/explain", admin_key_, {{"action", "document.read"}, {"key", ann.key}, {"resource", JsonObject{{"project", "proj_x"}, {"labels", JsonArray{"hr"}}}}});
  EXPECT_EQ(text(wall, "rule"), "access.project");
  EXPECT_TRUE(wall.at("looked_at").as_array().empty());
  for (const JsonObject& wrong : {JsonObject{}, JsonObject{{"action", "document.raed"}}, JsonObject{{"action", "model.use"}, {"resource", 7}}, JsonObject{{"action", "model.use"}, {"origin", JsonObject{{"tls", 1}}}}})
    json("POST", "/v1/stoa/access/explain", admin_key_, wrong.empty() ? JsonObject{{"x", 1}} : wrong, 400);
  json("POST", "/v1/stoa/access/explain", admin_key_, {{"action", "model.use"}, {"key", "key_none"}}, 404);
}

// A route that reaches a service without a decision does not get into a server.
TEST_F(AdminAttacks, EveryRouteIsDecidedOn) {
  const auto routes = must(check_routes(router_));
  EXPECT_EQ(routes.size(), router_.routes().size());
  json("PUT", "/v1/stoa/policies/bystander", admin_key_, {{"text", "role \"bystander\" { budget.manage }"}});
  const std::string bystander = key("", "bystander");
  int guarded = 0;
  for (const auto& route : routes) {
    if (route.open) continue;
    ++guarded;
    std::string path = route.pattern;
    for (std::size_t at; (at = path.find('{')) != std::string::npos;) path.replace(at, path.find('}') - at + 1, "x");
    EXPECT_EQ(call(route.method, path).status, 401) << route.method << " " << path;
    const auto refused = call(route.method, path, bystander, "{}");
    EXPECT_EQ(refused.status, 403) << route.method << " " << path << " " << refused.body;
    EXPECT_NE(refused.body.find(route.guard), std::string::npos) << route.method << " " << path << " " << refused.body;
  }
  EXPECT_GT(guarded, 30);
  ASSERT_TRUE(router_.add("GET", "/back-door", [](const infra::HttpRequest&, infra::Responder& responder) { responder.send(infra::HttpResponse::text(200, "")); }));
  EXPECT_EQ(check_routes(router_).error().code, ErrorCode::kInternal);
  ASSERT_TRUE(add_public_route(router_, "GET", "/front-door", "open", [](const infra::HttpRequest&, infra::Responder&) {}));
}

}  // namespace
}  // namespace stoa::gateway::admin
