#include "gateway/api/openai/served_models.h"

#include <algorithm>

#include "gateway/api/openai/errors.h"

namespace stoa::gateway::openai {

const ServedModel* ServedModels::find(std::string_view id) const {
  const auto found = std::ranges::find(models_, id, &ServedModel::id);
  return found == models_.end() ? nullptr : &*found;
}

const ServedModel* ServedModels::default_generator() const {
  const auto found = std::ranges::find_if(models_, [](const ServedModel& model) { return model.generator != nullptr; });
  return found == models_.end() ? nullptr : &*found;
}

Result<models::Generator*> ServedModels::generator(std::string_view id) const {
  const ServedModel* model = find(id);
  if (model == nullptr) return fail(unknown_model(id));
  if (model->generator == nullptr)
    return fail(error(ErrorCode::kInvalidArgument, "the model '{}' makes embeddings, not text", id).with_param("model").with_hint("use it on /v1/embeddings"));
  return model->generator;
}

Result<data::Embedder*> ServedModels::embedder(std::string_view id) const {
  const ServedModel* model = find(id);
  if (model == nullptr) return fail(unknown_model(id));
  if (model->embedder == nullptr)
    return fail(error(ErrorCode::kInvalidArgument, "the model '{}' makes text, not embeddings", id).with_param("model").with_hint("use it on /v1/chat/completions"));
  return model->embedder;
}

}  // namespace stoa::gateway::openai
