// The sockets of a server: one for everything, or one each for the public API, other nodes and administration.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "governance/audit/refusals.h"
#include "infra/config/config.h"
#include "infra/http/server.h"

namespace stoa::wiring {

class Listeners {
 public:
  // Listens with the routes by their roles. `metrics` and `refusals` outlive the listeners. Errors: those of HttpServer::start.
  static Result<std::unique_ptr<Listeners>> start(const infra::Config& config, const infra::Router& router, Metrics& metrics, governance::RefusalLog& refusals);

  struct Listener {
    infra::ListenerRoles roles;
    std::unique_ptr<infra::HttpServer> server;
  };
  const std::vector<Listener>& all() const { return listeners_; }
  std::string url() const { return listeners_.front().server->url(); }  // of the public API

  // Takes certificates up anew on all listeners; what fails is logged and stays as it was.
  void reload_certificates();
  // Drains all at the same time.
  void stop(std::chrono::milliseconds drain);

 private:
  std::unique_ptr<infra::AddressLimits> limits_;
  std::vector<Listener> listeners_;
};

// What clients may take by their address.
Result<std::vector<infra::IpRange>> exempt_addresses(const infra::Config& config);

}  // namespace stoa::wiring
