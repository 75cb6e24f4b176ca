#include "gateway/api/openai/models.h"

#include "gateway/api/openai/errors.h"

namespace stoa::gateway::openai {
namespace {

JsonObject model_json(const ServedModel& model) {
  JsonObject stoa, out;
  stoa["kind"] = !model.base.empty() ? "adapter" : model.kind();
  if (model.generator != nullptr) stoa["context_length"] = model.generator->context_length();
  if (model.embedder != nullptr) stoa["dimensions"] = model.embedder->dimensions();
  if (model.reranker != nullptr) stoa["max_tokens"] = model.reranker->max_tokens();
  out["id"] = model.id;
  out["object"] = "model";
  out["created"] = model.created;
  out["owned_by"] = model.owner;
  if (!model.base.empty()) out["parent"] = model.base;
  out["stoa"] = std::move(stoa);
  return out;
}

Reply list(const ServedModels& models, const Principal& caller) {
  JsonArray data;
  for (const ServedModel& model : models.all(caller.project)) data.emplace_back(model_json(model));
  JsonObject out;
  out["object"] = "list";
  out["data"] = std::move(data);
  return ok_json(out);
}

Reply show(const ServedModels& models, const Principal& caller, std::string_view id) {
  STOA_TRY(model, models.find(id, caller.project));
  return ok_json(model_json(model));
}

}  // namespace

Status register_models(infra::Router& router, const Dependencies& dependencies) {

  STOA_CHECK(dependencies.pipeline.route(router, "GET", "/v1/models", governance::Action::kModelList, "model", error_response,
                            [&models = dependencies.models](RequestScope& scope) { return list(models, scope.principal()); }));
  return dependencies.pipeline.route(router, "GET", "/v1/models/{model...}", governance::Action::kModelList, "model", error_response,
                        [&models = dependencies.models](RequestScope& scope) { return show(models, scope.principal(), scope.request().path_param("model")); });
}

}  // namespace stoa::gateway::openai
