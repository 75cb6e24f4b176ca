#include "commands/collections.h"

#include "base/json.h"
#include "commands/connect.h"
#include "commands/follow_job.h"
#include "commands/json_read.h"
#include "commands/search_settings.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

constexpr int kPage = 100, kMaxPages = 100;

const JsonObject& settings_of(const JsonObject& store) {
  static const JsonObject none;
  const JsonObject* stoa = object_of(store, "stoa");
  return stoa == nullptr ? none : *stoa;
}

std::string chunks_of(const JsonObject& settings) {
  const auto tokens = integer_of(settings, "chunk_tokens");
  return tokens == 0 ? "as the server says" : fmt::format("{} tokens at most", tokens);
}

// "mode text, decay (half_life 30d, weight 0.5)"
std::string for_people(const JsonObject& settings) {
  std::string all;
  for (const auto& [name, value] : settings) {
    std::string said = value.is_string() ? std::string(value.as_string()) : value.is_object() ? "(" + for_people(value.get_object()) + ")" : fmt::format("{}", number_of(settings, name));
    if (!said.empty()) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", std::string_view(name), said);
  }
  return all;
}

std::string searched(const JsonObject& settings) {
  const JsonObject* search = object_of(settings, "search");
  return search == nullptr || search->empty() ? "as the server says" : for_people(*search);
}

void print(const JsonObject& store) {
  const JsonObject& settings = settings_of(store);
  const std::string model = text_of(settings, "embedding_model");
  const JsonObject* counts = object_of(store, "file_counts");
  const auto count = [&](const char* name) { return counts == nullptr ? std::int64_t{0} : integer_of(*counts, name); };
  fmt::print("{}", table({{"name", text_of(store, "name")},
                          {"id", text_of(store, "id")},
                          {"documents", fmt::format("{} ({} in progress, {} failed)", count("completed"), count("in_progress"), count("failed"))},
                          {"passages", fmt::format("{}", integer_of(settings, "chunks"))},
                          {"originals", human_bytes(integer_of(store, "usage_bytes"))},
                          {"words of", text_of(settings, "language")},
                          {"passages are", chunks_of(settings)},
                          {"vectors of", model.empty() ? "the server's embedding model" : model},
                          {"searched", searched(settings)}}));
}

// Of the collection as the server has it; on an error the exit code.
int show_store(const Global& global, ApiClient& api, const std::string& id) {
  auto store = api.get("/v1/vector_stores/" + id);
  if (!store) return report(store.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*store));
  } else {
    print(*store);
  }
  return kExitOk;
}

Status reindex(ApiClient& api, const std::string& store, const CollectionOptions& options, JsonObject& job) {
  JsonObject body;
  if (!options.language.empty()) body["language"] = options.language;
  if (options.chunk_tokens >= 0) body["chunk_tokens"] = options.chunk_tokens;
  if (!options.embedding_model.empty()) body["embedding_model"] = options.embedding_model == "server" ? "" : options.embedding_model;
  STOA_TRY(started, api.post("/v1/stoa/collections/" + store + "/reindex", body));
  job = std::move(started);
  if (options.background) return {};
  Progress progress;
  STOA_TRY(ended, follow_job(api, text_of(job, "id"), progress));
  job = std::move(ended);
  return {};
}

}  // namespace

int collections_list(const Global& global) {
  auto api = connect(global);
  JsonArray all;
  std::vector<std::vector<std::string>> rows{{"NAME", "DOCUMENTS", "PASSAGES", "ORIGINALS", "WORDS OF", "ID"}};
  std::string after;
  for (int page = 0; page < kMaxPages; ++page) {
    auto list = api.get(fmt::format("/v1/vector_stores?limit={}{}{}", kPage, after.empty() ? "" : "&after=", after));
    if (!list) return report(list.error(), global.json);
    for (const JsonObject* store : objects_of(*list, "data")) {
      const JsonObject* counts = object_of(*store, "file_counts");
      rows.push_back({text_of(*store, "name"), fmt::format("{}", counts == nullptr ? 0 : integer_of(*counts, "completed")), fmt::format("{}", integer_of(settings_of(*store), "chunks")),
                      human_bytes(integer_of(*store, "usage_bytes")), text_of(settings_of(*store), "language"), text_of(*store, "id")});
      all.push_back(*store);
    }
    const Json* more = find(*list, "has_more");
    if (more == nullptr || !more->is_bool() || !more->get_bool()) break;
    after = text_of(*list, "last_id");
  }
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(JsonObject{{"data", std::move(all)}}));
  } else {
    fmt::print("{}", rows.size() == 1 ? "no collections yet: stoa ingest FOLDER --store NAME\n" : table(rows));
  }
  return kExitOk;
}

int collections_show(const Global& global, const CollectionOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.name, false);
  return store ? show_store(global, api, *store) : report(store.error(), global.json);
}

int collections_create(const Global& global, const CollectionOptions& options) {
  auto api = connect(global);
  JsonObject body{{"name", options.name}};
  if (options.expires_after_days > 0) body["expires_after"] = JsonObject{{"anchor", "last_active_at"}, {"days", options.expires_after_days}};
  auto made = api.post("/v1/vector_stores", body);
  if (!made) return report(made.error(), global.json);
  const std::string id = text_of(*made, "id");
  if (!options.language.empty() || options.chunk_tokens >= 0 || !options.embedding_model.empty()) {
    JsonObject job;
    if (const Status set = reindex(api, id, options, job); !set) {
      (void)api.remove("/v1/vector_stores/" + id);
      return report(set.error(), global.json);
    }
  }
  return show_store(global, api, id);
}

int collections_reindex(const Global& global, const CollectionOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.name, false);
  if (!store) return report(store.error(), global.json);
  JsonObject job;
  if (const Status done = reindex(api, *store, options, job); !done) return report(done.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(job));
  } else if (options.background) {
    fmt::print("{} makes it anew; searches go on meanwhile\n", text_of(job, "id"));
  } else {
    fmt::print("{} documents made anew, {} passages; {} kept as they were\n", integer_of(job, "done") - integer_of(job, "failed"), integer_of(job, "chunks"), integer_of(job, "failed"));
    for (const JsonObject* error : objects_of(job, "errors")) fmt::print(stderr, "{} {}: {}\n", bad("kept"), text_of(*error, "path"), text_of(*error, "message"));
  }
  return text_of(job, "status") == "cancelled" ? kExitFailure : kExitOk;
}

int collections_defaults(const Global& global, const CollectionOptions& options, const SearchOptions& search) {
  auto api = connect(global);
  auto store = resolve_store(api, options.name, false);
  if (!store) return report(store.error(), global.json);
  const JsonObject said = search_settings(search);
  if (!said.empty() || options.clear) {
    JsonObject all;
    if (!options.clear) {
      auto now = api.get("/v1/vector_stores/" + *store);
      if (!now) return report(now.error(), global.json);
      if (const JsonObject* kept = object_of(settings_of(*now), "search")) all = *kept;
    }
    for (const auto& [key, value] : said) all[key] = value;
    auto set = api.put("/v1/stoa/collections/" + *store + "/search", all);
    if (!set) return report(set.error(), global.json);
  }
  return show_store(global, api, *store);
}

int collections_remove(const Global& global, const CollectionOptions& options) {
  auto api = connect(global);
  auto store = resolve_store(api, options.name, false);
  if (!store) return report(store.error(), global.json);
  auto removed = api.remove("/v1/vector_stores/" + *store);
  if (!removed) return report(removed.error(), global.json);
  fmt::print("{}\n", global.json ? dump_json_pretty(*removed) : "removed, with all its documents");
  return kExitOk;
}

}  // namespace stoa::cli
