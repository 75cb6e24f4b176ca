// The models a server runs: what is in the data folder is mapped and served; what is not is said, and Stoa goes on without it.
#pragma once

#include <filesystem>
#include <memory>

#include "base/metrics.h"
#include "infra/config/config.h"
#include "models/compute/thread_pool.h"
#include "models/engine/local_embedder.h"
#include "models/engine/local_generator.h"

namespace stoa::wiring {

struct Models {
  std::unique_ptr<models::ThreadPool> threads;
  std::unique_ptr<models::LocalGenerator> generator;  // null: answers quote
  std::unique_ptr<models::LocalEmbedder> embedder;    // null: search is by text only
};

// Errors only for a model that is there and cannot be used. `metrics` outlives the models.
Result<Models> load_models(const infra::Config& config, Metrics& metrics);

}  // namespace stoa::wiring
