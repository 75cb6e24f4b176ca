// The routes as a client sees them, over real stores in memory, with a generator and an embedder that say what they are told. For tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <thread>
#include <tuple>

#include "base/json.h"
#include "data/sources/blob_collector.h"
#include "gateway/api/openai/dependencies.h"
#include "gateway/api/openai/test_models.h"
#include "governance/identity/authenticator.h"
#include "governance/protection/memory_protection.h"
#include "infra/http/sse.h"

namespace stoa::gateway::openai {

template <class T>
T must(Result<T> result) {
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

// In routes_test.cc.
std::unique_ptr<infra::SqlDatabase> memory_store();
std::unique_ptr<infra::EventBus> local_bus(infra::SqlDatabase& sql);
std::unique_ptr<governance::Access> shipped_access();

// Words every query in one other way, for ten tokens.
struct OtherWords : data::QueryRewriter {
  std::optional<Error> refuse;
  Result<data::Rewriting> rewrite(const Call&, const std::string&, std::size_t) override {
    if (refuse) return stoa::fail(*refuse);
    return data::Rewriting{.queries = {"zebra crossing"}, .usage = {.prompt_tokens = 5, .completion_tokens = 10, .compute_micros = 2'000}};
  }
  Usage estimate(const std::string&, std::size_t) const override { return {.prompt_tokens = 5, .completion_tokens = 64, .compute_micros = 5'000}; }
  std::string model() const override { return "talk"; }
};

struct House : testing::Test {
  std::unique_ptr<infra::SqlDatabase> sql = memory_store();
  governance::MemoryProtection protection{*sql};
  infra::BlobStore* blobs = protection.store.get();
  std::unique_ptr<governance::AuditLog> audit = must(governance::AuditLog::open(*sql));
  std::unique_ptr<governance::Access> access = shipped_access();
  std::unique_ptr<governance::Identity> identity = must(governance::Identity::open(*sql, *audit, *access, Bytes(32, std::byte{7})));
  governance::PriceBook prices = must(governance::PriceBook::parse(kPrices, "prices"));
  std::unique_ptr<governance::Ledger> ledger = must(governance::Ledger::open(*sql, prices));
  Metrics metrics;
  std::vector<FinishedRequest> finished;
  std::unique_ptr<infra::EventBus> bus = local_bus(*sql);
  governance::Authenticator authenticator{*identity};
  Pipeline pipeline{{.access = *access, .authenticator = authenticator, .audit = *audit, .ledger = *ledger, .metrics = metrics,
                     .observer = [this](const FinishedRequest& request, const Trace&) { finished.push_back(request); }}};
  Speaker speaker;
  Letters letters;
  Judge judge;
  ServedModels models{{{.id = "talk", .created = 1, .generator = std::shared_ptr<models::Generator>(std::shared_ptr<void>(), &speaker), .embedder = nullptr}, {.id = "letters", .created = 1, .embedder = &letters}, {.id = "judge", .created = 1, .reranker = &judge}}};
  data::Index index;
  data::Catalog catalog{*sql, protection.blobs, index, bus.get()};
  data::Ingest ingest{catalog, &letters, ledger.get()};
  OtherWords other_words;
  data::Retriever retriever{catalog, index, &letters, nullptr, {}, &other_words};
  FileStore files{*sql, protection.blobs, bus.get()};
  ResponseStore responses{*sql, *protection.sealer};
  DocumentLinks links{Bytes(32, std::byte{7})};
  Dependencies dependencies{pipeline, models, catalog, ingest, retriever, &letters, files, responses, links, settings(), "http://stoa"};
  infra::Router router;
  std::string ann, bob;

  static GroundingSettings settings() {
    GroundingSettings out;
    out.system = "s";
    out.passage = "{text}\n";
    out.user = "{passages}{question}";
    out.no_answer = "The documents do not answer.";
    out.relevance = 0.2;
    return out;
  }

  void SetUp() override {
    ASSERT_TRUE(catalog.open("letters"));
    ASSERT_TRUE(files.open());
    ASSERT_TRUE(responses.open());
    ASSERT_TRUE(identity->ensure_default());
    const Call operator_ = Call::of(must(identity->local_operator()));
    for (const auto& [name, key] : {std::pair{"ann", &ann}, {"bob", &bob}}) {
      ASSERT_TRUE(identity->create_user(operator_, name));
      *key = must(identity->issue_key(operator_, {.project = "default", .user = name, .label = "", .role = "developer", .expires = {}})).secret;
    }
    ASSERT_TRUE(register_openai(router, dependencies));
    router.set_error_renderer(render_http_error);
    ASSERT_TRUE(ingest.start_worker());
    ASSERT_TRUE(bus->subscribe(data::blob_collector_subscription(), data::collect_blobs(*sql, *blobs, {FileStore::uses})));
    ASSERT_TRUE(bus->start());
  }
  void TearDown() override {
    ingest.stop_worker();
    bus->stop();
  }
  void settle_events() { ASSERT_TRUE(bus->drain(Deadline::after(std::chrono::seconds(20)))); }

  struct Answer {
    int status;
    infra::HttpHeaders headers;
    std::string body;
    bool finished;
    JsonObject json() const { return parse_json(body).value_or(JsonObject()).as_object(); }
    std::string at(std::string_view path) const {  // "error.code"
      std::string pointer = "/" + std::string(path);
      std::ranges::replace(pointer, '.', '/');
      const Json whole(json());
      boost::json::error_code code;
      const Json* value = whole.find_pointer(pointer, code);
      if (value == nullptr) return "(none)";
      return value->is_string() ? std::string(value->as_string()) : dump_json(*value);
    }
  };

  Answer ask(std::string method, std::string target, std::string body = {}, const std::string* key = nullptr, std::string type = "application/json",
             std::string timeout = {}) {
    infra::HttpRequest request;
    request.method = std::move(method);
    EXPECT_TRUE(infra::set_target(request, std::move(target)));
    request.headers.set("authorization", "Bearer " + (key == nullptr ? ann : *key));
    request.headers.set("content-type", type);
    if (!timeout.empty()) request.headers.set(std::string(kTimeoutHeader), timeout);
    request.body = std::move(body);
    infra::MemoryResponder responder;
    router.dispatch(std::move(request), responder);
    const auto response = responder.response();
    return {response.status, response.headers, response.body, responder.finished()};
  }

  std::string upload(const std::string& name, const std::string& text, const std::string& access = {}) {
    std::string form = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n";
    if (!access.empty()) form += "--b\r\nContent-Disposition: form-data; name=\"stoa_access\"\r\n\r\n" + access + "\r\n";
    form += "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n--b--\r\n";
    return ask("POST", "/v1/files", form, nullptr, "multipart/form-data; boundary=b").at("id");
  }

  std::string indexed_store(const std::string& file) {
    const std::string store = ask("POST", "/v1/vector_stores", R"({"file_ids":[")" + file + R"("]})").at("id");
    for (int i = 0; i < 4000 && ask("GET", "/v1/vector_stores/" + store).at("status") != "completed"; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return store;
  }

  static std::vector<std::string> events(const std::string& stream) {
    std::vector<std::string> out;
    infra::SseParser parser([&](const infra::SseEvent& event) {
      out.push_back(event.data);
      return true;
    });
    EXPECT_TRUE(parser.feed(stream));
    return out;
  }
};

}  // namespace stoa::gateway::openai
