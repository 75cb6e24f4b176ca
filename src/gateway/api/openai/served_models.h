// The models that callers can name, and what answers for each.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/index/embedder.h"
#include "data/index/reranker.h"
#include "models/engine/generator.h"

namespace stoa::gateway::openai {

// Exactly one of the ports is set; they outlive the server.
struct ServedModel {
  std::string id;                // "smollm2-135m-instruct"
  std::int64_t created = 0;      // seconds
  std::string owner = "stoa";
  models::Generator* generator = nullptr;
  data::Embedder* embedder = nullptr;
  std::string base{};            // of an adapter: the model it adapts, whose generator answers
  data::Reranker* reranker = nullptr;
  std::shared_future<std::string> artifact{};  // digest of its weights, "sha256:..."; not valid, or an empty text: not known
  std::string adapter_artifact{};              // of an adapter: digest of its own weights; `artifact` is the base's

  std::string_view kind() const;  // "generator", "embedder" or "reranker"
};

// Models are fixed once the server runs; adapters of their generators come and go. `project` is the caller's: it finds its own adapters and the
// installation's; those of others are not there.
class ServedModels {
 public:
  explicit ServedModels(std::vector<ServedModel> models) : models_(std::move(models)) {}

  std::vector<ServedModel> all(std::string_view project) const;  // each model, then its adapters as "<model>:<adapter>"
  // Adapters are found under their own names as well.
  std::optional<ServedModel> find(std::string_view id, std::string_view project) const;
  // What answers when the caller names no model: the first generator; null when there is none.
  const ServedModel* default_generator() const;
  // Errors: kNotFound with the parameter "model" (code model_not_found), kInvalidArgument for a model of another kind.
  Result<models::Generator*> generator(std::string_view id, std::string_view project) const;
  Result<data::Embedder*> embedder(std::string_view id, std::string_view project) const;
  Result<data::Reranker*> reranker(std::string_view id, std::string_view project) const;

 private:
  Result<ServedModel> need(std::string_view id, std::string_view kind, std::string_view project) const;

  std::vector<ServedModel> models_;
};

}  // namespace stoa::gateway::openai
