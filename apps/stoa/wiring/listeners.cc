#include "wiring/listeners.h"

#include <thread>

#include "base/log.h"

namespace stoa::wiring {
namespace {

using infra::ListenerRole;
using infra::ListenerRoles;

infra::HttpServerOptions server_options(const infra::Config& config) {
  infra::HttpServerOptions options;
  options.address = config.server.address;
  options.port = static_cast<std::uint16_t>(config.server.port);
  options.tls.certificate = config.server.tls.cert;
  options.tls.key = config.server.tls.key;
  options.tls.client_ca = config.server.tls.client_ca;
  options.tls.client_required = config.server.tls.client_required;
  options.tls.minimum = config.server.tls.minimum == "1.2" ? infra::TlsVersion::k1_2 : infra::TlsVersion::k1_3;
  options.workers = static_cast<int>(config.server.workers);
  options.io_threads = static_cast<int>(config.server.io_threads);
  options.max_connections = static_cast<std::size_t>(config.server.max_connections);
  options.max_body = static_cast<std::uint64_t>(config.limits.body_bytes);
  options.min_body_rate = static_cast<std::uint64_t>(config.limits.body_bytes_per_second);
  return options;
}

infra::CertificateObserver observe(Metrics& metrics, const std::string& listener) {
  return [&metrics, listener](const infra::CertificateState& state) {
    metrics.gauge("stoa_tls_certificate_not_after_seconds", "When the certificate in use ends, in seconds since 1970.", {{"listener", listener}})
        .set(static_cast<double>(state.not_after));
    metrics.counter("stoa_tls_certificate_loads_total", "Attempts to load a certificate.", {{"listener", listener}, {"result", state.accepted ? "accepted" : "refused"}}).add();
  };
}

}  // namespace

Result<std::vector<infra::IpRange>> exempt_addresses(const infra::Config& config) {
  auto ranges = infra::parse_ranges(config.limits.exempt_addresses);
  if (!ranges) return fail(std::move(ranges).error().in("limits.exempt_addresses"));
  return ranges;
}

Result<std::unique_ptr<Listeners>> Listeners::start(const infra::Config& config, const infra::Router& router, Metrics& metrics, governance::RefusalLog& refusals) {
  auto listeners = std::make_unique<Listeners>();
  STOA_TRY(exempt, exempt_addresses(config));
  const auto rate = static_cast<double>(config.limits.address_requests_per_second);
  listeners->limits_ = std::make_unique<infra::AddressLimits>(
      infra::AddressLimitOptions{.connections = static_cast<std::size_t>(config.limits.address_connections), .requests_per_second = rate, .burst = 2 * rate, .exempt = std::move(exempt)});

  const auto open = [&](infra::HttpServerOptions options, ListenerRoles roles) -> Status {
    options.roles = roles;
    options.per_address = listeners->limits_.get();
    options.on_certificate = observe(metrics, roles.names());
    options.on_refusal = [&refusals](const infra::HttpRefusal& refusal) {
      refusals.add(infra::peer_address(refusal.peer).text(), refusal.status, refusal.request, refusal.reason);
    };
    STOA_TRY(server, infra::HttpServer::start(std::move(options), router));
    listeners->listeners_.push_back({roles, std::move(server)});
    return {};
  };
  const bool own_admin = !config.server.admin.address.empty(), own_node = !config.server.node.address.empty();
  ListenerRoles rest = ListenerRoles::all();
  if (own_admin) rest = rest.without(ListenerRole::kAdmin);
  if (own_node) rest = rest.without(ListenerRole::kNode);
  STOA_CHECK(open(server_options(config), rest));
  if (own_admin) {
    infra::HttpServerOptions options = server_options(config);
    options.address = config.server.admin.address;
    options.port = static_cast<std::uint16_t>(config.server.admin.port);
    STOA_CHECK(open(std::move(options), config.server.admin.serves_public ? ListenerRoles(ListenerRole::kAdmin) | ListenerRole::kPublic : ListenerRoles(ListenerRole::kAdmin)));
  }
  if (own_node) {
    infra::HttpServerOptions options = server_options(config);
    options.address = config.server.node.address;
    options.port = static_cast<std::uint16_t>(config.server.node.port);
    options.tls.client_required = !options.tls.client_ca.empty();
    STOA_CHECK(open(std::move(options), ListenerRole::kNode));
  }
  return listeners;
}

void Listeners::reload_certificates() {
  for (const auto& listener : listeners_) (void)listener.server->reload_certificates();  // logged there
}

void Listeners::stop(std::chrono::milliseconds drain) {
  std::vector<std::jthread> stoppers;
  for (std::size_t i = 1; i < listeners_.size(); ++i) stoppers.emplace_back([&server = *listeners_[i].server, drain] { server.stop(drain); });
  listeners_.front().server->stop(drain);
}

}  // namespace stoa::wiring
