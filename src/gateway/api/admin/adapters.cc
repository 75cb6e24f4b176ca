// LoRA adapters of a served model: taken from their folder into use, and out of it. A project's own are managed by its members who may; the
// installation's by who works on its folder.
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

Reply change(const AdapterHooks& hooks, RequestScope& scope, bool load) {
  const std::string model(scope.request().path_param("model")), adapter(scope.request().path_param("adapter"));
  if (!hooks.owner) return fail(error(ErrorCode::kNotFound, "no model is loaded that could take an adapter").with_hint("stoa pull"));
  STOA_TRY(owner, hooks.owner(model, adapter, scope.principal().project, !load));
  if (owner.empty()) STOA_CHECK(scope.allow(Action::kModelManage, {.tenant = {}, .project = {}, .kind = "adapter", .name = adapter}));
  STOA_CHECK((load ? hooks.load : hooks.unload)(adapter, owner));
  return ok_json({{"id", model + ":" + adapter}, {"object", "stoa.adapter"}, {"loaded", load}});
}

}  // namespace

Status add_adapter_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "adapter");
  STOA_CHECK(routes.add("PUT", "/v1/stoa/models/{model}/adapters/{adapter}", Action::kModelManage, [&parts](RequestScope& scope) { return change(parts.adapters, scope, true); }));
  return routes.add("DELETE", "/v1/stoa/models/{model}/adapters/{adapter}", Action::kModelManage, [&parts](RequestScope& scope) { return change(parts.adapters, scope, false); });
}

}  // namespace stoa::gateway::admin
