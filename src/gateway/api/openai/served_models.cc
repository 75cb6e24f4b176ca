#include "gateway/api/openai/served_models.h"

#include <algorithm>

#include "gateway/api/openai/errors.h"

namespace stoa::gateway::openai {

namespace {

ServedModel adapted(const ServedModel& base, const std::string& adapter) {
  ServedModel model = base;
  model.id = base.id + ":" + adapter;
  model.base = base.id;
  return model;
}

}  // namespace

std::vector<ServedModel> ServedModels::all() const {
  std::vector<ServedModel> all;
  for (const ServedModel& model : models_) {
    all.push_back(model);
    if (model.generator == nullptr) continue;
    for (const std::string& adapter : model.generator->adapters()) all.push_back(adapted(model, adapter));
  }
  return all;
}

std::optional<ServedModel> ServedModels::find(std::string_view id) const {
  if (const auto found = std::ranges::find(models_, id, &ServedModel::id); found != models_.end()) return *found;
  for (const ServedModel& model : models_) {
    if (model.generator == nullptr) continue;
    const bool qualified = id.size() > model.id.size() && id.starts_with(model.id) && id[model.id.size()] == ':';
    const std::string_view wanted = qualified ? id.substr(model.id.size() + 1) : id;
    for (const std::string& adapter : model.generator->adapters())
      if (adapter == wanted) return adapted(model, adapter);
  }
  return std::nullopt;
}

const ServedModel* ServedModels::default_generator() const {
  const auto found = std::ranges::find_if(models_, [](const ServedModel& model) { return model.generator != nullptr; });
  return found == models_.end() ? nullptr : &*found;
}

Result<models::Generator*> ServedModels::generator(std::string_view id) const {
  const auto model = find(id);
  if (!model) return fail(unknown_model(id));
  if (model->generator == nullptr)
    return fail(error(ErrorCode::kInvalidArgument, "the model '{}' makes embeddings, not text", id).with_param("model").with_hint("use it on /v1/embeddings"));
  return model->generator;
}

Result<data::Embedder*> ServedModels::embedder(std::string_view id) const {
  const auto model = find(id);
  if (!model) return fail(unknown_model(id));
  if (model->embedder == nullptr)
    return fail(error(ErrorCode::kInvalidArgument, "the model '{}' makes text, not embeddings", id).with_param("model").with_hint("use it on /v1/chat/completions"));
  return model->embedder;
}

}  // namespace stoa::gateway::openai
