// LoRA adapters of a served model: taken from the model's folder into use, and out of it.
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

Reply change(const std::function<Status(const std::string&, const std::string&)>& hook, RequestScope& scope, bool loaded) {
  const std::string model(scope.request().path_param("model")), adapter(scope.request().path_param("adapter"));
  if (!hook) return fail(error(ErrorCode::kNotFound, "no model is loaded that could take an adapter").with_hint("stoa pull"));
  STOA_CHECK(hook(model, adapter));
  return ok_json({{"id", model + ":" + adapter}, {"object", "stoa.adapter"}, {"loaded", loaded}});
}

}  // namespace

Status add_adapter_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "adapter");
  STOA_CHECK(routes.add("PUT", "/v1/stoa/models/{model}/adapters/{adapter}", Action::kModelManage,
                        [&parts](RequestScope& scope) { return change(parts.load_adapter, scope, true); }));
  return routes.add("DELETE", "/v1/stoa/models/{model}/adapters/{adapter}", Action::kModelManage,
                    [&parts](RequestScope& scope) { return change(parts.unload_adapter, scope, false); });
}

}  // namespace stoa::gateway::admin
