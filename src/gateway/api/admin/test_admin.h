// The whole API over stores in memory, without models, for tests.
#pragma once

#include <gtest/gtest.h>

#include "base/json.h"
#include "gateway/api/admin/admin.h"
#include "gateway/api/admin/request_observer.h"
#include "governance/audit/export.h"
#include "governance/identity/authenticator.h"
#include "governance/protection/memory_protection.h"
#include "infra/crypto/encoding.h"
#include "infra/blob/blob.h"
#include "infra/crypto/hash.h"

namespace stoa::gateway::admin {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

// In admin_test.cc.
std::unique_ptr<infra::SqlDatabase> memory_store();
std::unique_ptr<governance::Access> shipped_access();
std::string shipped_file(const std::string& name);

// The whole API over stores in memory, without models: search is by words.
class AdminTest : public testing::Test {
 protected:
  void SetUp() override {
    operator_ = Call::of(must(identity_->local_operator()));
    ASSERT_TRUE(lake_.open());
    ASSERT_TRUE(catalog_.open(""));
    ASSERT_TRUE(ingest_.start_worker());
    for (const char* name : {"ann", "bob"}) must(identity_->create_user(operator_, name, {}));
    admin_key_ = key("", "admin");
    ann_key_ = key("ann", "developer");
    bob_key_ = key("bob", "developer");
    viewer_key_ = key("", "viewer");
    parts_.version = "1.2.3";
    parts_.public_url = "http://127.0.0.1:1";
    parts_.models = {{"small", "generator", "Q4_1", "avx2", 2048, {{"Q4_1", 7, 100, "integers"}}, {{"kernels", "avx2", "the best"}}}};
    parts_.engine = [] { return EngineStatus{8, 1, 2, 3, 4}; };
    parts_.ready = [this] { return ready_; };
    parts_.answered = [](const Call& call, const std::string& id) -> Result<AnsweredQuestion> {
      if (id != "resp_known" || call.principal.user != "ann") return fail(ErrorCode::kNotFound, "no such response");
      return AnsweredQuestion{{{"user", "Where is lunch?"}}, "On the roof.", "small", "req_7", {"chunk_1"}};
    };
    const Status added = register_admin(router_, parts_);
    ASSERT_TRUE(added) << added.error().message;
  }
  void TearDown() override {
    ingest_.stop_worker();
  }

  std::string key(const std::string& user, const std::string& role) {
    governance::NewKey wanted;
    wanted.project = operator_.principal.project;
    wanted.user = user;
    wanted.role = role;
    return must(identity_->issue_key(operator_, wanted)).secret;
  }
  infra::HttpResponse call(const std::string& method, const std::string& target, const std::string& key = {}, std::string body = {}) {
    infra::HttpRequest request;
    request.method = method;
    const std::string path = target.substr(0, target.find('#'));  // as browsers do
    EXPECT_TRUE(infra::set_target(request, path)) << target;
    if (!key.empty()) request.headers.set("Authorization", "Bearer " + key);
    request.body = std::move(body);
    infra::MemoryResponder responder;
    router_.dispatch(std::move(request), responder);
    return responder.response();
  }
  JsonObject json(const std::string& method, const std::string& target, const std::string& key, const JsonObject& body = {}, int status = 200) {
    const auto response = call(method, target, key, body.empty() ? "" : dump_json(body));
    EXPECT_EQ(response.status, status) << method << " " << target << ": " << response.body;
    const auto parsed = parse_json(response.body);
    return parsed && parsed->is_object() ? parsed->get_object() : JsonObject{};
  }
  static std::string text(const JsonObject& object, std::string_view key) { return std::string(object.at(key).as_string()); }

  // Brings one file in for `readers` and gives its store's id.
  std::string bring_in(const std::string& key, const std::string& path, const std::string& content, const std::string& readers) {
    Call operator_call;
    operator_call.principal = operator_.principal;
    const std::string store = must(catalog_.create_collection(operator_call, {.name = "handbook", .metadata = {}, .expires_after_days = {}})).id;
    const std::string digest = "sha256:" + infra::sha256_hex(content);
    const JsonObject file{{"path", path}, {"digest", digest}, {"bytes", content.size()}};
    const auto job = json("POST", "/v1/stoa/ingest/jobs", key, {{"collection", store}, {"source", "docs"}, {"files", JsonArray{file}}, {"access", readers}}, 201);
    const std::string url = "/v1/stoa/ingest/jobs/" + text(job, "id");
    EXPECT_EQ(job.at("missing").as_array().size(), 1u);
    EXPECT_EQ(call("PUT", url + "/blobs/" + digest, key, "other bytes").status, 400);
    EXPECT_EQ(call("PUT", url + "/blobs/" + digest, key, content).status, 200);
    json("POST", url + "/start", key);
    Call waiting;
    waiting.principal = must(identity_->authenticate(key));
    must(ingest_.wait(waiting, text(job, "id"), Deadline::after(std::chrono::seconds(20))));
    const auto done = json("GET", url, key);
    EXPECT_EQ(text(done, "status"), "completed") << dump_json(done);
    EXPECT_EQ(done.at("failed"), 0) << dump_json(done);
    return store;
  }

  std::unique_ptr<infra::SqlDatabase> sql_ = memory_store();
  governance::MemoryProtection protection_{*sql_};
  std::unique_ptr<governance::AuditLog> audit_ = must(governance::AuditLog::open(*sql_));
  std::unique_ptr<governance::AuditCheckpoints> checkpoints_ =
      must(governance::AuditCheckpoints::open(*sql_, *audit_, must(infra::SigningKey::from_seed(Bytes(32, std::byte{9}))), {}));
  std::unique_ptr<governance::PassportStore> passports_ = must(governance::PassportStore::open(*sql_, *audit_, *checkpoints_));
  std::unique_ptr<governance::Access> access_ = shipped_access();
  std::unique_ptr<governance::DecisionLog> decisions_ = must(governance::DecisionLog::open(*sql_));
  std::unique_ptr<governance::Policies> policies_ = must(governance::Policies::open({.database = *sql_, .audit = *audit_, .access = *access_,
      .base = {{"roles.policy", shipped_file("roles.policy")}}, .decisions = decisions_.get()}));
  std::unique_ptr<governance::Identity> identity_ = must(governance::Identity::open(*sql_, *audit_, *access_, Bytes(32, std::byte{7})));
  governance::Identity::Place default_ = must(identity_->ensure_default());
  governance::PriceBook prices_ = must(governance::PriceBook::parse(shipped_file("prices.yaml"), "prices.yaml"));
  std::unique_ptr<governance::Ledger> ledger_ = must(governance::Ledger::open(*sql_, prices_));
  Metrics metrics_;
  feedback::RequestMetrics request_metrics_{metrics_};
  feedback::ProcessMetrics process_{metrics_, {"1.2.3", "compiler"}};
  std::unique_ptr<feedback::TraceStore> traces_ = must(feedback::TraceStore::open(*sql_, *protection_.sealer, metrics_));
  std::unique_ptr<feedback::RatingStore> ratings_ = must(feedback::RatingStore::open(*sql_, *protection_.sealer));
  governance::KeyAdmin key_admin_{*sql_, *protection_.keys, *protection_.sealer, *audit_};
  data::Lake lake_{*sql_, protection_.blobs};
  data::Index index_;
  data::Catalog catalog_{*sql_, protection_.blobs, index_};
  data::Ingest ingest_{catalog_, nullptr};
  data::Retriever retriever_{catalog_, index_, nullptr};
  DocumentLinks links_{as_bytes("secret")};
  governance::Authenticator authenticator_{*identity_};
  Pipeline pipeline_{{.access = *access_, .authenticator = authenticator_, .audit = *audit_, .ledger = *ledger_, .metrics = metrics_, .observer = observe_requests(request_metrics_, *traces_, "USD"), .passports = passports_.get()}};
  AdminParts parts_{.pipeline = pipeline_, .access = *access_, .policies = *policies_, .identity = *identity_, .ledger = *ledger_, .audit = *audit_, .checkpoints = *checkpoints_, .passports = *passports_, .traces = *traces_, .ratings = *ratings_,
                    .lake = lake_, .catalog = catalog_, .ingest = ingest_, .retriever = retriever_, .links = links_, .metrics = metrics_, .process = process_, .protection = key_admin_,
                    .version = {}, .public_url = {}};
  Status ready_;
  infra::Router router_;
  Call operator_;
  std::string admin_key_, ann_key_, bob_key_, viewer_key_;
};

}  // namespace stoa::gateway::admin
