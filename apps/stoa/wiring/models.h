// The models a server runs: what is in the data folder is mapped and served; what is not is said, and Stoa goes on without it.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <string_view>

#include "base/metrics.h"
#include "data/index/embedders.h"
#include "infra/config/config.h"
#include "models/compute/backend.h"
#include "models/compute/thread_pool.h"
#include "models/engine/late_interaction.h"
#include "models/engine/local_embedder.h"
#include "models/engine/local_generator.h"
#include "models/engine/local_reranker.h"

namespace stoa::wiring {

struct Models {
  std::unique_ptr<models::ThreadPool> threads;
  std::unique_ptr<models::Backend> backend;
  std::unique_ptr<models::LocalGenerator> generator;  // null: answers quote
  std::shared_future<std::string> generator_artifact; // digest of its weights, "sha256:..."; computed behind where they came without one
  std::filesystem::path folder;                       // of the generator; its adapters are NAME.gguf files and PEFT folders NAME in there:
                                                      // adapters/ for the installation's, project-adapters/PROJECT_ID/ for a project's own
  std::unique_ptr<models::LocalEmbedder> embedder;    // null: search is by text only
  std::unique_ptr<models::LocalReranker> reranker;    // null: none is configured
  std::unique_ptr<models::LateInteraction> late_interaction;  // of the embedder, where there is no reranker

  // What reranks passages; null: nothing does.
  data::Reranker* passage_reranker() const { return reranker ? static_cast<data::Reranker*>(reranker.get()) : late_interaction.get(); }
};

// What computes models, with the kernels of that name (`auto` for the best). `threads` outlives it. kInvalidArgument names those there are.
Result<std::unique_ptr<models::Backend>> make_backend(models::ThreadPool& threads, std::string_view kernels);

// Errors only for a model that is there and cannot be used. `metrics` outlives the models.
Result<Models> load_models(const infra::Config& config, Metrics& metrics);
// The standard embedding model, and others from the data folder when they are asked for. All three outlive it.
data::Embedders embedders_of(const Models& models, const infra::Config& config, Metrics& metrics);

// Of `models` with a generator. Takes all adapters into use that lie in its folders and are not yet. One that cannot be used is told and left
// out: the model itself is whole.
void load_adapters(const Models& models);
// Whose the adapter is that a caller of `project` means: the project's own, or the installation's (empty). `loaded`: of those in use, otherwise
// of the files. kNotFound says where it was looked for, or that the model is not the one that is served.
Result<std::string> adapter_owner(const Models& models, const std::string& model, const std::string& adapter, const std::string& project, bool loaded);
// Takes the adapter of that name and owner into use.
Status load_adapter(const Models& models, const std::string& adapter, const std::string& owner);

}  // namespace stoa::wiring
