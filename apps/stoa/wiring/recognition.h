// Everything that tells who sends a request, made in order and joined.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "governance/identity/authenticator.h"
#include "infra/bus/bus.h"
#include "infra/config/config.h"
#include "wiring/installation.h"

namespace stoa::wiring {

// The file of identity providers that the configuration names: read at the start, and again whenever it has changed.
class ProvidersFile {
 public:
  ProvidersFile(const infra::Config& config, governance::AuditLog& audit) : config_(config), audit_(audit) {}

  struct Read {
    std::vector<governance::OidcProvider> providers;
    governance::FetchDocument fetch;  // may go to their issuers, and keeps alive what it needs
  };
  // Nothing when the text is what it was. One thread at a time.
  Result<std::optional<Read>> read();

 private:
  const infra::Config config_;
  governance::AuditLog& audit_;
  std::optional<std::string> text_;
};

// Members are destroyed in reverse: nothing outlives what it refers to.
struct Recognition {
  std::unique_ptr<ProvidersFile> file;
  std::unique_ptr<governance::ExternalUsers> external;
  std::unique_ptr<governance::OidcUsers> oidc;
  std::unique_ptr<governance::DelegatedTokens> delegated;
  std::unique_ptr<governance::Elevations> elevations;
  std::unique_ptr<governance::Nodes> nodes;
  std::unique_ptr<governance::Authenticator> authenticator;

  // The keys of the identity providers are fetched from the side, so that one that is away does not keep the server from starting. Their file is
  // looked at twice a minute: what has changed is taken up, and what cannot be used is logged and changes nothing. What is passed by reference
  // outlives the object.
  static Result<Recognition> open(const infra::Config& config, Installation& installation, infra::EventBus& events, Metrics& metrics);
};

}  // namespace stoa::wiring
