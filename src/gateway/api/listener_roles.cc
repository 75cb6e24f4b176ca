#include "gateway/api/listener_roles.h"

#include <array>

namespace stoa::gateway {
namespace {

using infra::ListenerRole;
using infra::ListenerRoles;

struct Rule {
  std::string_view path;  // it and what is below it
  ListenerRoles roles;
};

// The longest path that fits counts.
constexpr std::array kRules{
    Rule{"/", ListenerRole::kAdmin},
    Rule{"/healthz", ListenerRoles::all()},
    Rule{"/readyz", ListenerRoles::all()},
    Rule{"/console", ListenerRole::kPublic},
    Rule{"/v1", ListenerRole::kPublic},
    Rule{"/model", ListenerRole::kPublic},
    Rule{"/v2", ListenerRole::kPublic},
    Rule{"/rerank", ListenerRole::kPublic},
    Rule{"/v1/stoa", ListenerRole::kAdmin},
    Rule{"/v1/stoa/nodes", ListenerRoles(ListenerRole::kNode) | ListenerRole::kAdmin},
    Rule{"/v1/stoa/whoami", ListenerRole::kPublic},
    Rule{"/v1/stoa/login", ListenerRole::kPublic},
    Rule{"/v1/stoa/status", ListenerRole::kPublic},
    Rule{"/v1/stoa/traces", ListenerRole::kPublic},
    Rule{"/v1/stoa/search", ListenerRole::kPublic},
    Rule{"/v1/stoa/documents", ListenerRole::kPublic},
    Rule{"/v1/stoa/ingest", ListenerRole::kPublic},
    Rule{"/v1/stoa/ratings", ListenerRole::kPublic},
    Rule{"/v1/stoa/datasets", ListenerRole::kPublic},
    Rule{"/v1/stoa/passports", ListenerRole::kPublic},
};

bool covers(std::string_view path, std::string_view pattern) {
  return pattern.starts_with(path) && (path == "/" || pattern.size() == path.size() || pattern[path.size()] == '/');
}

}  // namespace

ListenerRoles listener_roles(std::string_view pattern) {
  if (pattern == "/") return ListenerRole::kPublic;  // leads to the console
  const Rule* best = &kRules[0];
  for (const Rule& rule : kRules)
    if (covers(rule.path, pattern) && rule.path.size() > best->path.size()) best = &rule;
  return best->roles;
}

}  // namespace stoa::gateway
