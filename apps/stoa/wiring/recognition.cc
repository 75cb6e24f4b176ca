#include "wiring/recognition.h"

#include <chrono>

#include "base/log.h"
#include "wiring/defaults.h"

namespace stoa::wiring {
namespace {

using namespace std::chrono_literals;

// Short limits: a request with a key that is not known yet may wait for this.
governance::FetchDocument fetcher(infra::HttpSender& way_out) {
  return [&way_out](const std::string& url) -> Result<std::string> {
    infra::HttpClientRequest request{.url = url};
    request.headers.set("Accept", "application/json");
    request.timeouts = {.connect = 2s, .first_byte = 3s, .idle = 3s, .total = 5s};
    request.max_body = 256u << 10;
    STOA_TRY(response, way_out.send(request));
    if (response.status != 200) return fail(ErrorCode::kUnavailable, "{}: status {}", url, response.status);
    return std::move(response.body);
  };
}

}  // namespace

Result<std::vector<governance::OidcProvider>> identity_providers(const infra::Config& config) {
  if (config.identity.providers.empty()) return std::vector<governance::OidcProvider>{};
  STOA_TRY(file, data_file(config.identity.providers, "providers"));
  return governance::parse_providers(file.text, file.name);
}

Result<Recognition> Recognition::open(std::vector<governance::OidcProvider> providers, infra::HttpSender& way_out, Installation& installation, infra::EventBus& events, Metrics& metrics) {
  Recognition out;
  infra::SqlDatabase& database = *installation.database;
  governance::AuditLog& audit = *installation.audit;
  const governance::Access& access = *installation.access;
  STOA_TRY(external, governance::ExternalUsers::open(database, audit));
  out.external = std::move(external);
  for (const auto& provider : providers) log(LogLevel::kInfo, "identity provider", {{"name", provider.name}, {"issuer", provider.issuer}});
  STOA_TRY(oidc, governance::OidcUsers::open(std::move(providers), *out.external, fetcher(way_out)));
  out.oidc = std::move(oidc);
  out.oidc->start();
  STOA_TRY(seed, governance::load_token_secret(installation.home));
  STOA_TRY(tokens, governance::ServerTokens::from_seed(seed));
  const governance::Lenders lenders(*installation.identity, *out.external);
  STOA_TRY(delegated, governance::DelegatedTokens::open(database, audit, access, lenders, tokens));
  out.delegated = std::move(delegated);
  STOA_TRY(elevations, governance::Elevations::open(database, audit, events, metrics, access, lenders, tokens));
  out.elevations = std::move(elevations);
  STOA_TRY(nodes, governance::Nodes::open(database, audit, access));
  out.nodes = std::move(nodes);
  out.authenticator = std::make_unique<governance::Authenticator>(*installation.identity, out.oidc.get(), out.delegated.get(), out.elevations.get(), out.nodes.get());
  return out;
}

}  // namespace stoa::wiring
