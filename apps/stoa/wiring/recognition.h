// Everything that tells who sends a request, made in order and joined.
#pragma once

#include <memory>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "governance/identity/authenticator.h"
#include "infra/bus/bus.h"
#include "infra/config/config.h"
#include "infra/http/sender.h"
#include "wiring/installation.h"

namespace stoa::wiring {

// Members are destroyed in reverse: nothing outlives what it refers to.
struct Recognition {
  std::unique_ptr<governance::ExternalUsers> external;
  std::unique_ptr<governance::OidcUsers> oidc;
  std::unique_ptr<governance::DelegatedTokens> delegated;
  std::unique_ptr<governance::Elevations> elevations;
  std::unique_ptr<governance::Nodes> nodes;
  std::unique_ptr<governance::Authenticator> authenticator;

  // The keys of the identity providers are fetched through `way_out` from the side, so that one that is away does not keep the server from
  // starting. What is passed by reference outlives the object.
  static Result<Recognition> open(std::vector<governance::OidcProvider> providers, infra::HttpSender& way_out, Installation& installation, infra::EventBus& events, Metrics& metrics);
};

// Those of the file that the configuration names; none where it names none.
Result<std::vector<governance::OidcProvider>> identity_providers(const infra::Config& config);

}  // namespace stoa::wiring
