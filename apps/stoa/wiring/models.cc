#include "wiring/models.h"

#include <thread>

#include "base/log.h"
#include "infra/config/yaml.h"
#include "models/registry/store.h"
#include "wiring/defaults.h"

namespace stoa::wiring {
namespace {

int thread_count(const infra::Config& config) {
  return config.engine.threads > 0 ? static_cast<int>(config.engine.threads) : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// The stored model, or nothing when none is configured or it is not on this machine.
std::optional<models::StoredModel> stored(const models::ModelStore& store, const std::string& name, std::string_view without) {
  if (name.empty()) return std::nullopt;
  auto model = store.find(name);
  if (model) return std::move(*model);
  log(LogLevel::kWarning, "model is not on this machine", {{"model", name}, {"consequence", std::string(without)}, {"hint", "stoa pull " + name}});
  return std::nullopt;
}

// How models are told of tools whose template knows none.
Result<std::string> tool_pattern(const infra::Config& config) {
  STOA_TRY(prompts, data_file(config.answers.prompts, "prompts.yaml"));
  STOA_TRY(document, infra::parse_yaml(prompts.text, prompts.name));
  STOA_TRY(section, document.at("tools"));
  STOA_TRY(system, section->at("system"));
  STOA_TRY(text, system->text());
  if (!text.contains("{tools}")) return fail(system->wrong("'system' must contain {tools}"));
  return text;
}

}  // namespace

Result<Models> load_models(const infra::Config& config, Metrics& metrics) {
  Models loaded;
  loaded.threads = std::make_unique<models::ThreadPool>(thread_count(config));
  const models::ModelStore store(config.home);
  if (const auto model = stored(store, config.models.generator, "answers quote passages instead of being written")) {
    STOA_TRY(weights, model->weights());
    models::EngineOptions options;
    options.kv_bytes = static_cast<std::size_t>(config.engine.kv_bytes);
    options.context_length = static_cast<int>(config.engine.context);
    STOA_TRY(pattern, tool_pattern(config));
    options.tool_pattern = std::move(pattern);
    options.scheduler.slots = static_cast<int>(config.engine.slots);
    options.draft_model = config.engine.draft_model;
    options.scheduler.queue = static_cast<int>(config.engine.queue);
    options.scheduler.max_wait = std::chrono::seconds(config.engine.max_wait_seconds);
    options.scheduler.step_target = std::chrono::milliseconds(config.engine.step_milliseconds);
    options.scheduler.cached_share = config.engine.prefix_cache ? 1 : 0;
    options.scheduler.guess_rows = static_cast<int>(config.engine.guess_rows);
    STOA_TRY(generator, models::LocalGenerator::load(weights, model->name, options, *loaded.threads, metrics));
    loaded.generator = std::move(generator);
  }
  if (const auto model = stored(store, config.models.embedder, "search is by words only")) {
    STOA_TRY(embedder, models::LocalEmbedder::load(model->folder, model->name, {}, *loaded.threads, metrics));
    loaded.embedder = std::move(embedder);
  }
  return loaded;
}

}  // namespace stoa::wiring
