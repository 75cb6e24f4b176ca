// Stoa's own HTTP API, below /v1/stoa, and the endpoints that operators expect: /healthz, /readyz, /metrics.
// Errors have the shape of the OpenAI dialect, so that one client reads both.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "data/lake/lake.h"
#include "data/retrieve/retriever.h"
#include "data/sources/catalog.h"
#include "data/sources/ingest.h"
#include "feedback/ratings/rating_store.h"
#include "feedback/telemetry/exposition.h"
#include "feedback/telemetry/process.h"
#include "feedback/traces/trace_store.h"
#include "gateway/api/document_links.h"
#include "gateway/api/pipeline.h"
#include "governance/audit/checkpoints.h"
#include "governance/cost/ledger.h"
#include "governance/identity/identity.h"
#include "governance/passport/passport_store.h"
#include "governance/policies/policies.h"
#include "governance/protection/key_admin.h"
#include "infra/http/router.h"

namespace stoa::governance {
class DelegatedTokens;
class Elevations;
class Limits;
class OidcUsers;
}
namespace stoa::gateway {
class Cache;
class ProviderStore;
class RouteStore;
class Canaries;
class TargetHealth;
struct BatchDesk;
}
namespace stoa::infra {
class HttpSender;
}

namespace stoa::gateway::admin {

// A model that was loaded, as /v1/stoa/status shows it.
struct WeightStatus {
  std::string type;    // "Q4_1"
  int tensors = 0;
  std::size_t bytes = 0;
  std::string kernel;  // "8-bit integers, AVX-512 VNNI"
};
struct ChoiceStatus {
  std::string what, value, why;
};
struct ModelStatus {
  std::string id;
  std::string kind;    // "generator" or "embedder"
  std::string format;  // "Q4_1"
  std::string isa;     // "avx512"
  int context = 0;     // tokens
  std::vector<WeightStatus> weights{};  // by type; of generators, like the rest
  std::vector<ChoiceStatus> choices{};  // what was decided when it was loaded
};

struct ListenerStatus {
  std::string url, roles;  // "http://127.0.0.1:8081", "admin, public"
};

struct EngineStatus {
  std::int64_t slots = 0, running = 0, waiting = 0;
  std::int64_t kv_bytes_used = 0, kv_bytes = 0;
};

// What an answer was given to, and the answer: found by its id for the principal who may see it.
struct AnsweredQuestion {
  std::vector<ChatMessage> prompt;
  std::string answer, model, request_id;
  std::vector<std::string> citations;
};

// Adapters of the generator; empty: there is none.
struct AdapterHooks {
  // Whose the adapter is that a caller of `project` means: the project's own, or, with an empty answer, the installation's. `loaded`: among
  // those in use, otherwise among the files. kNotFound for another model, or when neither has one.
  std::function<Result<std::string>(const std::string& model, const std::string& adapter, const std::string& project, bool loaded)> owner{};
  std::function<Status(const std::string& adapter, const std::string& owner)> load{}, unload{};
};

// References outlive the server; so does this struct, which the routes refer to.
struct AdminParts {
  const Pipeline& pipeline;
  const governance::Access& access;
  governance::Policies& policies;
  governance::Identity& identity;
  governance::Ledger& ledger;
  governance::AuditLog& audit;
  governance::AuditCheckpoints& checkpoints;
  governance::PassportStore& passports;
  feedback::TraceStore& traces;
  feedback::RatingStore& ratings;
  data::Lake& lake;
  data::Catalog& catalog;
  data::Ingest& ingest;
  data::Retriever& retriever;
  const DocumentLinks& links;
  Metrics& metrics;
  feedback::ProcessMetrics& process;
  governance::KeyAdmin& protection;
  const Clock& clock = Clock::system();
  governance::OidcUsers* oidc = nullptr;                // null: there are no identity providers
  governance::DelegatedTokens* delegated = nullptr;     // null: the routes of what is missing are not there
  governance::Elevations* elevations = nullptr;
  RouteStore* model_routes = nullptr;                   // with `canaries` and `target_health`
  Canaries* canaries = nullptr;
  const TargetHealth* target_health = nullptr;
  governance::Limits* limits = nullptr;
  Cache* cache = nullptr;
  ProviderStore* providers = nullptr;                   // with `provider_sender`, which follows the rule egress.providers
  infra::HttpSender* provider_sender = nullptr;
  const BatchDesk* batches = nullptr;

  std::string version;                            // of the program
  std::string passport_page;                      // share/passport.html
  std::string public_url;                         // "http://127.0.0.1:8080": links to documents begin with it; may be empty
  std::string search_model = "text-search";       // whose price search has: the embedder's id, or this without one
  std::vector<RouteInfo> routes{};                // of the assembled server, for /v1/stoa/routes
  std::vector<ModelStatus> models{};              // empty: no model is on this machine
  std::function<EngineStatus()> engine{};         // empty: no generator
  AdapterHooks adapters{};
  std::function<Status()> ready{};                // empty: always
  std::function<Result<AnsweredQuestion>(const Call&, const std::string& answer_id)> answered{};  // empty: ratings must bring theirs
  std::function<std::vector<ListenerStatus>()> listeners{};  // empty: not told
  feedback::MetricNames metric_names = feedback::MetricNames::kOwn;  // of /metrics
  bool open_metrics = false;                      // /metrics without a key: for a server that only this machine reaches
  std::uint64_t max_file_bytes = 64u << 20;       // of one file of an ingest job
};

// Errors: those of Router::add.
Status register_admin(infra::Router& router, const AdminParts& parts);

}  // namespace stoa::gateway::admin
