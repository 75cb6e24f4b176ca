#include "wiring/models.h"

#include <algorithm>
#include <set>
#include <thread>

#include "base/log.h"
#include "infra/config/yaml.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/registry/store.h"
#include "wiring/defaults.h"

namespace stoa::wiring {
namespace {

constexpr int kRerankTokens = 512;  // of a query and a document; what cross-encoders are trained with

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

Status check_served(const Models& models, const std::string& model) {
  if (models.generator && models.generator->report().name == model) return {};
  return fail(error(ErrorCode::kNotFound, "the model '{}' is not served, so it takes no adapters", model).with_param("model"));
}

std::filesystem::path adapters_of(const Models& models, const std::string& owner) {
  return owner.empty() ? models.folder / "adapters" : models.folder / "project-adapters" / owner;
}

// The file or folder of an adapter, where there is one.
std::optional<std::filesystem::path> adapter_path(const Models& models, const std::string& adapter, const std::string& owner) {
  // The name becomes part of a path: nothing that leaves the folder.
  if (adapter.empty() || adapter.front() == '.' || adapter.find_first_of("/\\") != std::string::npos) return std::nullopt;
  std::error_code problem;
  const auto file = adapters_of(models, owner) / (adapter + ".gguf"), folder = adapters_of(models, owner) / adapter;
  if (std::filesystem::is_regular_file(file, problem)) return file;
  if (std::filesystem::is_directory(folder, problem)) return folder;
  return std::nullopt;
}

std::unexpected<Error> no_adapter(const Models& models, const std::string& adapter, const std::string& project) {
  return fail(error(ErrorCode::kNotFound, "there is no adapter '{}' for '{}'", adapter, models.generator->report().name)
                  .with_hint(fmt::format("Put {}.gguf or a PEFT folder of that name into {}.", adapter, adapters_of(models, project).string()))
                  .with_param("adapter"));
}

void load_adapters_of(const Models& models, const std::string& owner) {
  std::error_code problem;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(adapters_of(models, owner), problem)) {
    const bool file = entry.path().extension() == ".gguf";
    if (file || entry.is_directory(problem)) names.insert((file ? entry.path().stem() : entry.path().filename()).string());
  }
  for (const auto& name : names) {
    if (models.generator->has_adapter(name, owner)) continue;
    const auto loaded = load_adapter(models, name, owner);
    if (!loaded) log_error("adapter not loaded", loaded.error(), {{"adapter", name}, {"owner", owner}});
  }
}

// Of what was pulled, the digest it was checked against; a file that was put there by hand is read once, behind everything else.
std::shared_future<std::string> artifact_digest(const models::StoredModel& model, const std::filesystem::path& weights) {
  const auto file = std::ranges::find(model.files, weights.filename().string(), &models::StoredFile::name);
  if (file != model.files.end() && !file->sha256.empty()) {
    std::promise<std::string> known;
    known.set_value("sha256:" + file->sha256);
    return known.get_future();
  }
  return std::async(std::launch::async, [weights] {
    const auto digest = models::file_sha256(weights);
    if (!digest) log_error("no digest of the model's weights", digest.error(), {{"file", weights.string()}});
    return digest ? "sha256:" + *digest : std::string();
  });
}

}  // namespace

void load_adapters(const Models& models) {
  load_adapters_of(models, "");
  std::error_code problem;
  std::set<std::string> projects;
  for (const auto& entry : std::filesystem::directory_iterator(models.folder / "project-adapters", problem))
    if (entry.is_directory(problem)) projects.insert(entry.path().filename().string());
  for (const auto& project : projects) load_adapters_of(models, project);
}

Result<std::string> adapter_owner(const Models& models, const std::string& model, const std::string& adapter, const std::string& project, bool loaded) {
  STOA_CHECK(check_served(models, model));
  const auto has = [&](const std::string& owner) { return loaded ? models.generator->has_adapter(adapter, owner) : adapter_path(models, adapter, owner).has_value(); };
  if (!project.empty() && has(project)) return project;
  if (has("")) return std::string();
  return no_adapter(models, adapter, project);
}

Status load_adapter(const Models& models, const std::string& adapter, const std::string& owner) {
  const auto path = adapter_path(models, adapter, owner);
  if (!path) return no_adapter(models, adapter, owner);
  std::error_code problem;
  const bool folder = std::filesystem::is_directory(*path, problem);
  // Without a digest it is not what it should be; who reads it says why.
  const auto digest = models::file_sha256(folder ? *path / "adapter_model.safetensors" : *path);
  return models.generator->load_adapter({.name = adapter, .owner = owner, .path = *path, .artifact = digest ? "sha256:" + *digest : ""});
}

Result<std::unique_ptr<models::Backend>> make_backend(models::ThreadPool& threads, std::string_view kernels) {
  STOA_TRY(isa, models::choose_isa(kernels));
  return std::make_unique<models::CpuBackend>(threads, isa);
}

Result<Models> load_models(const infra::Config& config, Metrics& metrics) {
  Models loaded;
  loaded.threads = std::make_unique<models::ThreadPool>(thread_count(config));
  STOA_TRY(backend, make_backend(*loaded.threads, "auto"));
  loaded.backend = std::move(backend);
  const models::ModelStore store(config.home);
  if (const auto model = stored(store, config.models.generator, "answers quote passages instead of being written")) {
    STOA_TRY(weights, model->weights());
    models::EngineOptions options;
    options.kv_bytes = static_cast<std::size_t>(config.engine.kv_bytes);
    options.kv_type = config.engine.kv_type == "q8" ? models::KvType::kQ8 : models::KvType::kF16;
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
    STOA_TRY(generator, models::LocalGenerator::load(weights, model->name, options, *loaded.backend, metrics));
    loaded.generator = std::move(generator);
    loaded.folder = model->folder;
    loaded.generator_artifact = artifact_digest(*model, weights);
    load_adapters(loaded);
  }
  if (const auto model = stored(store, config.models.embedder, "search is by words only")) {
    STOA_TRY(embedder, models::LocalEmbedder::load(model->folder, model->name, {}, *loaded.backend, metrics));
    loaded.embedder = std::move(embedder);
  }
  if (const auto model = stored(store, config.models.reranker, "passages are reranked by the embedding model")) {
    STOA_TRY(reranker, models::LocalReranker::load(model->folder, model->name, {.max_tokens = kRerankTokens}, *loaded.backend, metrics));
    loaded.reranker = std::move(reranker);
  } else if (loaded.embedder) {
    loaded.late_interaction = std::make_unique<models::LateInteraction>(loaded.embedder->encoder());
  }
  return loaded;
}

data::Embedders embedders_of(const Models& models, const infra::Config& config, Metrics& metrics) {
  return {models.embedder.get(), [&models, &config, &metrics](const std::string& name) -> Result<std::unique_ptr<data::Embedder>> {
            STOA_TRY(model, models::ModelStore(config.home).find(name));
            if (model.kind != "embedder") return fail(error(ErrorCode::kInvalidArgument, "'{}' is a {}, not an embedding model", name, model.kind).with_hint("stoa models shows the kind of each"));
            log(LogLevel::kInfo, "an embedding model is loaded", {{"model", name}});
            return models::LocalEmbedder::load(model.folder, model.name, {}, *models.backend, metrics);
          }};
}

}  // namespace stoa::wiring
