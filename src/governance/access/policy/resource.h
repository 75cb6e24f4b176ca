// What an action is done to.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "contracts/principal.h"

namespace stoa::governance {

// An empty project means the tenant as a whole, an empty tenant the installation. What is empty or absent is not known to policies.
struct Resource {
  std::string tenant;
  std::string project;
  std::string kind;      // "document", "model", "key"
  std::string name{};    // its name or id; empty: things of that kind
  bool hidden = false;   // others must not learn that it exists, so a wall answers kNotFound
  std::string owner{};   // id of the user who owns it
  std::string data_class{};  // "public", "internal", "restricted"
  std::optional<std::vector<std::string>> labels{};
  std::string residency{};   // region its data must stay in
  std::string path{};        // of a route: the ids in its path, joined by "/"; what the tokens of jobs name where `name` is empty

  static Resource of(const Principal& principal, std::string kind, std::string name = {}) {
    return {.tenant = principal.tenant, .project = principal.project, .kind = std::move(kind), .name = std::move(name)};
  }
  std::string text() const { return name.empty() ? kind : kind + " " + name; }  // for messages and the audit log
};

}  // namespace stoa::governance
