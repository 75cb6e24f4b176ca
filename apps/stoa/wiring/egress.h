// The way out, as the configuration has it.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "governance/audit/audit.h"
#include "infra/config/config.h"
#include "infra/http/egress.h"

namespace stoa::wiring {

// Places that the operator has named in other ways (a flag, a variable, a key of the configuration) than by the rules of egress: each is
// allowed for its purpose, wherever its name leads.
using NamedPlaces = std::vector<std::pair<infra::EgressPurpose, std::string>>;  // URLs

// With the proxies of the environment. kInvalidArgument names the key or URL.
Result<std::unique_ptr<infra::Egress>> open_egress(const infra::Config& config, const NamedPlaces& places, std::function<void(const infra::EgressRefusal&)> on_refused);

// Records what was refused: "egress.providers", the place, the reason.
std::function<void(const infra::EgressRefusal&)> audit_egress(governance::AuditLog& audit);

}  // namespace stoa::wiring
