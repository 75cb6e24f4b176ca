// Inside the module: how its files add their routes, and what their handlers share.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "gateway/api/admin/admin.h"
#include "gateway/api/fields.h"
#include "gateway/api/openai/reply.h"

namespace stoa::gateway::admin {

using openai::ok_json;
using openai::Reply;

Status add_system_routes(infra::Router& router, const AdminParts& parts);    // health, metrics, status
Status add_observe_routes(infra::Router& router, const AdminParts& parts);   // traces, usage
Status add_audit_routes(infra::Router& router, const AdminParts& parts);     // the audit log and its proofs
Status add_passport_routes(infra::Router& router, const AdminParts& parts);  // passports of answers
Status add_feedback_routes(infra::Router& router, const AdminParts& parts);  // ratings, datasets
Status add_document_routes(infra::Router& router, const AdminParts& parts);  // search, documents
Status add_ingest_routes(infra::Router& router, const AdminParts& parts);
Status add_collection_routes(infra::Router& router, const AdminParts& parts);  // made anew
Status add_key_routes(infra::Router& router, const AdminParts& parts);
Status add_policy_routes(infra::Router& router, const AdminParts& parts);    // policies, roles, explanations of decisions
Status add_protection_routes(infra::Router& router, const AdminParts& parts);  // the project's key
Status add_people_routes(infra::Router& router, const AdminParts& parts);       // who is who: sign-in, projects, users, groups
Status add_lent_rights_routes(infra::Router& router, const AdminParts& parts);  // tokens of jobs, break-glass
Status add_provider_routes(infra::Router& router, const AdminParts& parts);     // other places that serve models
Status add_batch_routes(infra::Router& router, const AdminParts& parts);        // when batches run
Status add_adapter_routes(infra::Router& router, const AdminParts& parts);
Status add_model_route_routes(infra::Router& router, const AdminParts& parts);  // names that answer as models
Status add_cache_routes(infra::Router& router, const AdminParts& parts);        // answers that need not be made again
Status add_limit_routes(infra::Router& router, const AdminParts& parts);        // what callers may use over time

// Adds routes of one kind of thing whose errors have the common shape.
class Routes {
 public:
  Routes(infra::Router& router, const AdminParts& parts, std::string resource) : router_(router), parts_(parts), resource_(std::move(resource)) {}
  Status add(std::string method, std::string pattern, governance::Action action, ApiHandler handler, infra::RouteOptions options = {}) {
    return parts_.pipeline.route(router_, std::move(method), std::move(pattern), action, resource_, openai::error_response, std::move(handler), options);
  }

 private:
  infra::Router& router_;
  const AdminParts& parts_;
  std::string resource_;
};

// The permit for what the route was entered for: proof for the stores below.
inline Result<governance::Permit> permit_for(RequestScope& scope, governance::Action action, std::string_view kind) {
  return scope.allow(action, governance::Resource::of(scope.principal(), std::string(kind)));
}

// Query parameters; errors name them. Times are RFC 3339.
std::string query_text(const infra::HttpRequest& request, std::string_view name);
Result<std::int64_t> query_int(const infra::HttpRequest& request, std::string_view name, std::int64_t min, std::int64_t max, std::int64_t fallback);
Result<Micros> query_time(const infra::HttpRequest& request, std::string_view name, Micros fallback);

// {"object": "list", "data": [...]}
JsonObject list_json(JsonArray items);
inline double millis(Micros duration) { return static_cast<double>(duration) / 1000.0; }
Json time_json(const std::optional<Micros>& time);
JsonObject usage_json(const Usage& usage);

}  // namespace stoa::gateway::admin
