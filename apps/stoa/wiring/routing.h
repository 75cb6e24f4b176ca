// Routes and what stands behind them: targets of this server and of providers, permitted by policies, paid from the ledger.
#pragma once

#include <memory>

#include "feedback/ratings/rating_store.h"
#include "gateway/api/openai/moderations.h"
#include "gateway/api/openai/served_models.h"
#include "gateway/providers/provider_store.h"
#include "gateway/routing/canary.h"
#include "gateway/routing/directory.h"
#include "gateway/routing/mirror.h"
#include "governance/cost/ledger.h"
#include "infra/http/egress.h"
#include "wiring/installation.h"

namespace stoa::wiring {

struct RoutingParts {
  Installation& installation;
  governance::Ledger& ledger;
  feedback::RatingStore& ratings;
  gateway::ProviderStore& providers;
  infra::Egress& egress;
  std::string region;  // of this server
};

// Thread-safe once it is set up. What is passed by reference outlives it.
class Routing {
 public:
  static Result<std::unique_ptr<Routing>> open(RoutingParts parts);
  // The models of this server, which in turn look up their routes here: set before the first request.
  void serve(const gateway::openai::ServedModels& models) { models_ = &models; }

  // Whether policies let this call go to a target, by its name.
  bool permits(const Call& call, const std::string& target);

  // A model of a provider that judges texts by itself, by its name; null for any other.
  Result<std::unique_ptr<gateway::openai::TextJudge>> find_judge(const Call& call, std::string_view model);

  gateway::RouteStore& routes() { return *routes_; }
  gateway::RouteDirectory& directory() { return *directory_; }
  gateway::Canaries& canaries() { return *canaries_; }

 private:
  explicit Routing(RoutingParts parts) : parts_(std::move(parts)) {}
  Result<gateway::Provider> find_provider(std::string_view project, const std::string& name);
  Result<gateway::TargetPlace> open_target(std::string_view project, const gateway::RouteTarget& target);
  Status permit_target(const Call& call, const gateway::RouteTarget& target);
  void account_mirrored(const gateway::MirroredRequest& mirrored, const std::function<Result<ChatOutcome>()>& ask);

  const RoutingParts parts_;
  const gateway::openai::ServedModels* models_ = nullptr;
  gateway::TargetHealth health_;
  std::unique_ptr<gateway::RouteStore> routes_;
  std::unique_ptr<gateway::Canaries> canaries_;
  std::unique_ptr<gateway::MirrorPool> mirrors_;
  std::unique_ptr<gateway::RouteDirectory> directory_;
};

}  // namespace stoa::wiring
