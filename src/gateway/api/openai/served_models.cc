#include "gateway/api/openai/served_models.h"

#include <algorithm>

#include "gateway/api/openai/errors.h"
#include "gateway/api/pipeline.h"
#include "gateway/cache/cache.h"

namespace stoa::gateway::openai {
namespace {

struct Work {
  std::string_view makes, where;
};

Work work_of(std::string_view kind) {
  if (kind == "generator") return {"text", "/v1/chat/completions"};
  if (kind == "embedder") return {"embeddings", "/v1/embeddings"};
  return {"scores of documents", "/v1/rerank"};
}

ServedModel adapted(const ServedModel& base, const models::NamedAdapter& adapter) {
  ServedModel model = base;
  model.id = base.id + ":" + adapter.name;
  model.adapter_artifact = adapter.artifact;
  model.base = base.id;
  return model;
}

}  // namespace

std::string_view ServedModel::kind() const { return generator != nullptr ? "generator" : embedder != nullptr ? "embedder" : "reranker"; }

std::vector<ServedModel> ServedModels::all(std::string_view project) const {
  std::vector<ServedModel> all;
  for (const ServedModel& model : models_) {
    all.push_back(model);
    if (model.generator == nullptr) continue;
    for (const auto& adapter : model.generator->adapters(project)) all.push_back(adapted(model, adapter));
  }
  if (directory_ == nullptr) return all;
  for (const std::string& name : directory_->names(project)) {
    const auto found = find(name, project);
    if (!found) continue;  // nothing would answer
    std::erase_if(all, [&](const ServedModel& model) { return model.id == name; });
    all.push_back(*found);
  }
  return all;
}

Result<ServedModel> ServedModels::find(std::string_view id, std::string_view project) const {
  if (directory_ != nullptr) {
    STOA_TRY(routed, directory_->find(project, id));
    if (routed != nullptr) return ServedModel{.id = std::string(id), .generator = std::move(routed)};
  }
  if (auto own = find_own(id, project)) return std::move(*own);
  return fail(unknown_model(id));
}

Result<std::shared_ptr<models::Generator>> ServedModels::own_generator(std::string_view id, std::string_view project) const {
  const auto own = find_own(id, project);
  if (own && own->generator != nullptr) return own->generator;
  return fail(ErrorCode::kNotFound, "this server has no model '{}' that makes text", id.substr(0, 200));
}

std::optional<ServedModel> ServedModels::find_own(std::string_view id, std::string_view project) const {
  if (const auto found = std::ranges::find(models_, id, &ServedModel::id); found != models_.end()) return *found;
  for (const ServedModel& model : models_) {
    if (model.generator == nullptr) continue;
    const bool qualified = id.size() > model.id.size() && id.starts_with(model.id) && id[model.id.size()] == ':';
    const std::string_view wanted = qualified ? id.substr(model.id.size() + 1) : id;
    for (const auto& adapter : model.generator->adapters(project))
      if (adapter.name == wanted) return adapted(model, adapter);
  }
  return std::nullopt;
}

const ServedModel* ServedModels::default_generator() const {
  const auto found = std::ranges::find_if(models_, [](const ServedModel& model) { return model.generator != nullptr; });
  return found == models_.end() ? nullptr : &*found;
}

Result<ServedModel> ServedModels::need(std::string_view id, std::string_view kind, std::string_view project) const {
  STOA_TRY(model, find(id, project));
  if (model.kind() == kind) return model;
  const auto [makes, where] = work_of(model.kind());
  return fail(error(ErrorCode::kInvalidArgument, "the model '{}' makes {}, not {}", id, makes, work_of(kind).makes).with_param("model").with_hint(fmt::format("use it on {}", where)));
}

Result<std::shared_ptr<models::Generator>> ServedModels::generator(std::string_view id, std::string_view project) const {
  STOA_TRY(model, need(id, "generator", project));
  return model.generator;
}

Result<std::shared_ptr<models::Generator>> ServedModels::generator(std::string_view id, const RequestScope& scope) const {
  const std::string& project = scope.principal().project;
  STOA_TRY(model, need(id, "generator", project));
  return cache_ == nullptr ? model.generator : cache_->wrap(model.generator, project, model.adapter_artifact, scope.cache());
}

Result<data::Embedder*> ServedModels::embedder(std::string_view id, std::string_view project) const {
  STOA_TRY(model, need(id, "embedder", project));
  return model.embedder;
}

Result<data::Reranker*> ServedModels::reranker(std::string_view id, std::string_view project) const {
  STOA_TRY(model, need(id, "reranker", project));
  return model.reranker;
}

}  // namespace stoa::gateway::openai
