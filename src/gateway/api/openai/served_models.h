// The models that callers can name, and what answers for each.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/index/embedder.h"
#include "data/index/reranker.h"
#include "gateway/routing/directory.h"
#include "models/engine/generator.h"

namespace stoa::gateway {
class Cache;
class RequestScope;
}

namespace stoa::gateway::openai {

// Exactly one of the ports is set; embedders and rerankers outlive the server.
struct ServedModel {
  std::string id;                // "smollm2-135m-instruct"
  std::int64_t created = 0;      // seconds
  std::string owner = "stoa";
  std::shared_ptr<models::Generator> generator{};
  data::Embedder* embedder = nullptr;
  std::string base{};            // of an adapter: the model it adapts, whose generator answers
  data::Reranker* reranker = nullptr;
  std::shared_future<std::string> artifact{};  // digest of its weights, "sha256:..."; not valid, or an empty text: not known
  std::string adapter_artifact{};              // of an adapter: digest of its own weights; `artifact` is the base's

  std::string_view kind() const;  // "generator", "embedder" or "reranker"
};

// The server's own models are fixed once it runs; adapters of their generators, routes and providers come and go. `project` is the caller's: it finds its
// own routes, models of its providers ("provider/model"), its own adapters and the installation's; those of others are not there. A route stands before
// a model of its name.
class ServedModels {
 public:
  // `directory` (null: there are no routes and providers) and `cache` (null: nothing is kept) outlive the object.
  explicit ServedModels(std::vector<ServedModel> models, RouteDirectory* directory = nullptr, Cache* cache = nullptr) : models_(std::move(models)), directory_(directory), cache_(cache) {}

  std::vector<ServedModel> all(std::string_view project) const;  // each model, then its adapters as "<model>:<adapter>"; then the routes
  // Adapters are found under their own names as well. kNotFound with the parameter "model" (code model_not_found).
  Result<ServedModel> find(std::string_view id, std::string_view project) const;
  // Of this server alone, for targets of routes.
  std::optional<ServedModel> find_own(std::string_view id, std::string_view project) const;
  // kNotFound.
  Result<std::shared_ptr<models::Generator>> own_generator(std::string_view id, std::string_view project) const;
  // What answers when the caller names no model: the first generator; null when there is none.
  const ServedModel* default_generator() const;
  // Errors: kNotFound with the parameter "model" (code model_not_found), kInvalidArgument for a model of another kind.
  Result<std::shared_ptr<models::Generator>> generator(std::string_view id, std::string_view project) const;
  // The same, with the project's cache before it: what answers one request of a caller.
  Result<std::shared_ptr<models::Generator>> generator(std::string_view id, const RequestScope& scope) const;
  Result<data::Embedder*> embedder(std::string_view id, std::string_view project) const;
  Result<data::Reranker*> reranker(std::string_view id, std::string_view project) const;

 private:
  Result<ServedModel> need(std::string_view id, std::string_view kind, std::string_view project) const;

  std::vector<ServedModel> models_;
  RouteDirectory* const directory_;
  Cache* const cache_;
};

}  // namespace stoa::gateway::openai
