#include "wiring/routing.h"

#include <algorithm>

#include "base/log.h"

namespace stoa::wiring {

namespace api = gateway;

Result<std::unique_ptr<Routing>> Routing::open(RoutingParts parts) {
  std::unique_ptr<Routing> routing(new Routing(std::move(parts)));
  Routing* self = routing.get();
  auto& installation = self->parts_.installation;
  STOA_TRY(routes, api::RouteStore::open(*installation.database, *installation.audit, *installation.access));
  self->routes_ = std::move(routes);
  STOA_TRY(canaries, api::Canaries::open(*installation.database, *installation.audit, [self](std::string_view project, std::string_view target, Micros since) -> std::optional<api::RatingCount> {
             const auto count = self->parts_.ratings.count(project, target, since);
             if (!count) return std::nullopt;
             return api::RatingCount{count->good, count->all};
           }));
  self->canaries_ = std::move(canaries);
  self->mirrors_ = std::make_unique<api::MirrorPool>(api::MirrorPool::Parts{
      self->health_, [self](const api::MirroredRequest& mirrored, const std::function<Result<ChatOutcome>()>& ask) { self->account_mirrored(mirrored, ask); }});
  api::RouteHooks hooks{.permits = [self](const Call& call, const api::RouteTarget& target) { return self->permit_target(call, target); },
                        .price = [self](std::string_view target, const Usage& usage) -> std::optional<double> {
                          const auto cost = self->parts_.ledger.prices().cost(target, usage);
                          return cost ? std::optional(static_cast<double>(*cost)) : std::nullopt;
                        },
                        .access = installation.access.get(),
                        .mirrors = self->mirrors_.get(),
                        .canaries = self->canaries_.get()};
  self->directory_ = std::make_unique<api::RouteDirectory>(api::DirectoryParts{
      .routes = *self->routes_,
      .health = self->health_,
      .open = [self](std::string_view project, const api::RouteTarget& target) { return self->open_target(project, target); },
      .generation = [self] { return self->parts_.providers.generation(); },
      .hooks = std::move(hooks)});
  return routing;
}

Result<api::Provider> Routing::find_provider(std::string_view project, const std::string& name) {
  STOA_TRY(all, parts_.providers.of_project(std::string(project)));
  const auto found = std::ranges::find(*all, name, &api::Provider::name);
  if (found == all->end()) return fail(error(ErrorCode::kNotFound, "the project has no provider '{}'", name).with_hint("stoa providers list"));
  return *found;
}

Result<api::TargetPlace> Routing::open_target(std::string_view project, const api::RouteTarget& target) {
  if (target.provider.empty()) {
    STOA_TRY(own, models_->own_generator(target.model, project));
    return api::TargetPlace{std::move(own), true, parts_.region};
  }
  STOA_TRY(provider, find_provider(project, target.provider));
  const auto model = std::ranges::find(provider.models, target.model, &api::ProviderModel::name);
  if (model == provider.models.end())
    return fail(error(ErrorCode::kNotFound, "the provider '{}' has no model '{}'", target.provider, target.model).with_hint("add it: stoa providers add NAME --replace ... --model MODEL"));
  STOA_CHECK(parts_.ledger.prices().price(target.id()));  // what cannot be paid is not used
  auto opened = parts_.providers.target(std::string(project), provider, *model);
  if (const auto tokenizer = provider.options.find(std::string(api::kTokenizer.name)); tokenizer != provider.options.end()) {
    auto counter = models_->own_generator(tokenizer->second, project);
    if (!counter) return fail(std::move(counter).error().in(fmt::format("tokenizer of the provider '{}'", provider.name)));
    opened.counter = std::move(*counter);
  }
  STOA_TRY(generator, api::open_provider(std::move(opened), parts_.egress.sender(infra::EgressPurpose::kProviders)));
  return api::TargetPlace{std::move(generator), provider.on_prem, provider.residency};
}

// Policies may tell targets apart by their names, by where they keep what they are sent, and by the label "on_prem".
Status Routing::permit_target(const Call& call, const api::RouteTarget& target) {
  auto resource = governance::Resource::of(call.principal, "target", target.id());
  resource.labels.emplace();
  if (target.provider.empty()) {
    resource.labels->emplace_back("on_prem");
    resource.residency = parts_.region;
  } else {
    STOA_TRY(provider, find_provider(call.principal.project, target.provider));
    if (provider.on_prem) resource.labels->emplace_back("on_prem");
    resource.residency = provider.residency;
  }
  if (auto permit = parts_.installation.access->check(call, governance::Action::kModelUse, resource); !permit) return fail(std::move(permit).error());
  return {};
}

namespace {

class ProviderJudge final : public api::openai::TextJudge {
 public:
  ProviderJudge(api::ProviderTarget target, infra::HttpSender& sender) : target_(std::move(target)), sender_(sender) {}
  Result<JsonArray> judge(const Call& call, const Json& input) override { return api::moderate(target_, sender_, call, input); }

 private:
  const api::ProviderTarget target_;
  infra::HttpSender& sender_;
};

api::RouteTarget named_target(std::string_view name) {
  const std::size_t slash = name.find('/');
  return slash == std::string_view::npos ? api::RouteTarget{.provider = {}, .model = std::string(name)} : api::RouteTarget{.provider = std::string(name.substr(0, slash)), .model = std::string(name.substr(slash + 1))};
}

}  // namespace

// A route stands before a model of its name.
Result<std::unique_ptr<api::openai::TextJudge>> Routing::find_judge(const Call& call, std::string_view model) {
  const std::string& project = call.principal.project;
  const api::RouteTarget named = named_target(model);
  if (named.provider.empty() || routes_->find(project, model) != nullptr) return nullptr;
  const auto provider = find_provider(project, named.provider);
  if (!provider) return nullptr;  // said where other models are looked for
  const auto known = std::ranges::find(provider->models, named.model, &api::ProviderModel::name);
  if (known == provider->models.end()) return nullptr;
  api::ProviderTarget target = parts_.providers.target(project, *provider, *known);
  if (!api::moderates(target)) return nullptr;
  STOA_CHECK(permit_target(call, named));
  STOA_CHECK(parts_.ledger.prices().price(named.id()));
  return std::make_unique<ProviderJudge>(std::move(target), parts_.egress.sender(infra::EgressPurpose::kProviders));
}

bool Routing::permits(const Call& call, const std::string& target) {
  return permit_target(call, named_target(target)).has_value();
}

void Routing::account_mirrored(const api::MirroredRequest& mirrored, const std::function<Result<ChatOutcome>()>& ask) {
  const std::string target = mirrored.target.target.id();
  Usage estimate{.completion_tokens = mirrored.request.max_tokens > 0 ? mirrored.request.max_tokens : 1024};
  estimate.prompt_tokens = mirrored.target.generator->count_prompt_tokens(mirrored.request).value_or(0);
  const auto cost = parts_.ledger.prices().cost(target, estimate);
  auto reservation = cost ? parts_.ledger.reserve(mirrored.call, "mirror", target, *cost) : Result<governance::Reservation>(std::unexpected(cost.error()));
  if (!reservation) {
    log(LogLevel::kDebug, "a request was not mirrored", {{"route", mirrored.route}, {"problem", reservation.error().message}});
    return;
  }
  const auto outcome = ask();
  if (!outcome) return log(LogLevel::kInfo, "a mirrored request failed", {{"route", mirrored.route}, {"target", target}, {"problem", outcome.error().message}});
  if (const auto settled = parts_.ledger.settle(*reservation, outcome->usage); !settled) log_error("a mirrored request is not in the ledger", settled.error());
}

}  // namespace stoa::wiring
