#include "gateway/api/admin/admin.h"

#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {

Status register_admin(infra::Router& router, const AdminParts& parts) {
  for (const auto add : {add_system_routes, add_observe_routes, add_audit_routes, add_passport_routes, add_feedback_routes, add_document_routes, add_ingest_routes, add_collection_routes, add_key_routes, add_people_routes, add_lent_rights_routes, add_protection_routes, add_policy_routes, add_provider_routes, add_batch_routes, add_adapter_routes, add_model_route_routes, add_limit_routes, add_cache_routes})
    STOA_CHECK(add(router, parts));
  return {};
}

}  // namespace stoa::gateway::admin
