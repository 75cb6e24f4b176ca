// The models a server runs: what is in the data folder is mapped and served; what is not is said, and Stoa goes on without it.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <string_view>

#include "base/metrics.h"
#include "infra/config/config.h"
#include "models/compute/backend.h"
#include "models/compute/thread_pool.h"
#include "models/engine/local_embedder.h"
#include "models/engine/local_generator.h"
#include "models/engine/local_reranker.h"

namespace stoa::wiring {

struct Models {
  std::unique_ptr<models::ThreadPool> threads;
  std::unique_ptr<models::Backend> backend;
  std::unique_ptr<models::LocalGenerator> generator;  // null: answers quote
  std::shared_future<std::string> generator_artifact; // digest of its weights, "sha256:..."; computed behind where they came without one
  std::filesystem::path adapters;                     // the folder of its adapters: NAME.gguf files and PEFT folders NAME
  std::unique_ptr<models::LocalEmbedder> embedder;    // null: search is by text only
  std::unique_ptr<models::LocalReranker> reranker;    // null: nothing is reranked
};

// What computes models, with the kernels of that name (`auto` for the best). `threads` outlives it. kInvalidArgument names those there are.
Result<std::unique_ptr<models::Backend>> make_backend(models::ThreadPool& threads, std::string_view kernels);

// Errors only for a model that is there and cannot be used. `metrics` outlives the models.
Result<Models> load_models(const infra::Config& config, Metrics& metrics);

// Takes the adapter of that name from the folder into use, or out of it. kNotFound says where it was looked for, or that the model is not
// the one that is served.
Status load_adapter(const Models& models, const std::string& model, const std::string& adapter);
Status unload_adapter(const Models& models, const std::string& model, const std::string& adapter);

}  // namespace stoa::wiring
