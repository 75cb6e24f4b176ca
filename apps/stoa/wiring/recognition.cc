#include "wiring/recognition.h"

#include <chrono>

#include "base/log.h"
#include "wiring/defaults.h"
#include "wiring/egress.h"

namespace stoa::wiring {
namespace {

using namespace std::chrono_literals;

// Short limits: a request with a key that is not known yet may wait for this.
governance::FetchDocument fetcher(std::shared_ptr<infra::Egress> way_out) {
  return [way_out = std::move(way_out)](const std::string& url) -> Result<std::string> {
    infra::HttpClientRequest request{.url = url};
    request.headers.set("Accept", "application/json");
    request.timeouts = {.connect = 2s, .first_byte = 3s, .idle = 3s, .total = 5s};
    request.max_body = 256u << 10;
    STOA_TRY(response, way_out->sender(infra::EgressPurpose::kIssuers).send(request));
    if (response.status != 200) return fail(ErrorCode::kUnavailable, "{}: status {}", url, response.status);
    return std::move(response.body);
  };
}

void take_up(ProvidersFile& file, governance::OidcUsers& users) {
  auto read = file.read();
  Status done;
  if (!read) done = fail(std::move(read).error());
  else if (*read) done = users.replace(std::move((*read)->providers), std::move((*read)->fetch));
  else return;
  if (done) log(LogLevel::kInfo, "identity providers were read anew", {{"providers", static_cast<std::int64_t>(users.providers()->size())}});
  else log_error("the file of identity providers cannot be used; those before it stay", done.error());
}

}  // namespace

Result<std::optional<ProvidersFile::Read>> ProvidersFile::read() {
  std::string text, name;
  if (!config_.identity.providers.empty()) {
    STOA_TRY(file, data_file(config_.identity.providers, "providers"));
    text = std::move(file.text);
    name = std::move(file.name);
  }
  if (text_ == text) return std::nullopt;
  text_ = text;  // also when it is wrong: it is told once
  STOA_TRY(providers, governance::parse_providers(text, name));
  NamedPlaces places;
  for (const auto& provider : providers) places.emplace_back(infra::EgressPurpose::kIssuers, provider.issuer);
  STOA_TRY(way_out, open_egress(config_, places, audit_egress(audit_)));
  for (const auto& provider : providers) log(LogLevel::kInfo, "identity provider", {{"name", provider.name}, {"issuer", provider.issuer}});
  return Read{std::move(providers), fetcher(std::move(way_out))};
}

Result<Recognition> Recognition::open(const infra::Config& config, Installation& installation, infra::EventBus& events, Metrics& metrics) {
  Recognition out;
  infra::SqlDatabase& database = *installation.database;
  governance::AuditLog& audit = *installation.audit;
  const governance::Access& access = *installation.access;
  STOA_TRY(external, governance::ExternalUsers::open(database, audit));
  out.external = std::move(external);
  out.file = std::make_unique<ProvidersFile>(config, audit);
  STOA_TRY(read, out.file->read());
  STOA_TRY(oidc, governance::OidcUsers::open(std::move(read->providers), *out.external, std::move(read->fetch)));
  out.oidc = std::move(oidc);
  out.oidc->start([file = out.file.get(), users = out.oidc.get()] { take_up(*file, *users); });
  STOA_TRY(seed, installation.secrets->load(governance::ServerSecret::kTokenSigning));
  STOA_TRY(tokens, governance::ServerTokens::from_seed(seed.bytes()));
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
