// Inside the module: the routes that versioned texts of one kind have: list, show, history, set, rollback, remove.
#pragma once

#include <functional>
#include <string>

#include "gateway/api/admin/routes.h"
#include "governance/versions/versioned_texts.h"

namespace stoa::gateway::admin {

struct TextRoutes {
  std::string path;    // "/v1/stoa/model-routes": names stand below it
  std::string object;  // "stoa.route"
  std::string name{};  // there is one text, of this name, at `path` itself; empty: many, by name
  std::function<void(const governance::TextVersion& version, JsonObject& out)> describe{};  // adds what the text says; may be empty
};

// `texts` outlives the server.
Status add_text_routes(infra::Router& router, const AdminParts& parts, governance::VersionedTexts& texts, const TextRoutes& routes);

}  // namespace stoa::gateway::admin
