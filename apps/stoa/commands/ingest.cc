#include "commands/commands.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>

#include <fnmatch.h>

#include "base/json.h"
#include "commands/attributes.h"
#include "commands/connect.h"
#include "commands/follow_job.h"
#include "commands/json_read.h"
#include "commands/terminal.h"
#include "data/sources/walk.h"

namespace stoa::cli {
namespace {

struct Totals {
  std::int64_t total = 0, done = 0, failed = 0, unchanged = 0, removed = 0, chunks = 0, bytes = 0;
  JsonArray errors;
  void add(const JsonObject& progress) {
    total += integer_of(progress, "total");
    failed += integer_of(progress, "failed");
    unchanged += integer_of(progress, "unchanged");
    // The server counts a file as done whatever became of it; here it means: new or changed, and now searchable.
    done += integer_of(progress, "done") - integer_of(progress, "failed") - integer_of(progress, "unchanged");
    removed += integer_of(progress, "removed");
    chunks += integer_of(progress, "chunks");
    bytes += integer_of(progress, "bytes");
    for (const JsonObject* error : objects_of(progress, "errors")) errors.push_back(*error);
  }
};

bool included(const std::string& path, const std::vector<std::string>& patterns) {
  const std::string name = std::filesystem::path(path).filename().string();
  return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  if (!in) return fail(ErrorCode::kUnavailable, "cannot read {}", path.string());
  return bytes;
}

// Sends the contents that the server lacks.
Status upload(ApiClient& api, const std::string& job, const std::vector<std::string>& missing, const std::vector<data::WalkedFile>& files, Progress& progress) {
  std::map<std::string, const data::WalkedFile*> by_digest;
  for (const auto& file : files) by_digest[file.file.digest] = &file;
  std::size_t sent = 0;
  for (const auto& digest : missing) {
    progress.show(fmt::format("uploading {}/{}", ++sent, missing.size()));
    const auto found = by_digest.find(digest);
    if (found == by_digest.end()) return fail(ErrorCode::kInternal, "the server asks for {}, which is not among the files", digest);
    STOA_TRY(bytes, read_file(found->second->path));
    if (auto put = api.put_bytes(fmt::format("/v1/stoa/ingest/jobs/{}/blobs/{}", job, digest), std::move(bytes)); !put)
      return fail(std::move(put).error().in(found->second->path.string()));
  }
  return {};
}

Status ingest_one(ApiClient& api, const std::string& store, const std::string& path, const IngestOptions& options, const JsonObject& attributes, Totals& totals) {
  Progress progress;
  progress.show("reading " + path);
  STOA_TRY(folder, data::walk_folder(path));
  std::erase_if(folder.files, [&](const auto& file) { return !included(file.file.path, options.include); });
  JsonArray files;
  for (const auto& walked : folder.files)
    files.push_back(JsonObject{{"path", walked.file.path}, {"digest", walked.file.digest}, {"bytes", walked.file.bytes}, {"content_type", walked.file.content_type}});
  std::error_code problem;
  const std::string source = std::filesystem::weakly_canonical(path, problem).string();
  STOA_TRY(job, api.post("/v1/stoa/ingest/jobs", JsonObject{{"collection", store}, {"source", source}, {"files", files}, {"access", options.access}, {"attributes", attributes}, {"prune", options.prune}}));
  const std::string id = text_of(job, "id");
  STOA_CHECK(upload(api, id, strings_of(job, "missing"), folder.files, progress));
  STOA_TRY(started, api.post("/v1/stoa/ingest/jobs/" + id + "/start", JsonObject{}));
  static_cast<void>(started);
  STOA_TRY(state, follow_job(api, id, progress));
  totals.add(state);
  for (const auto& skipped : folder.skipped)
    if (included(skipped.path, options.include)) {
      ++totals.total;
      ++totals.failed;
      totals.errors.push_back(JsonObject{{"path", skipped.path}, {"message", skipped.message}});
    }
  return {};
}

void print(const Totals& totals, double seconds) {
  fmt::print("{} files: {} new or changed, {} unchanged, {} removed, {} failed; {} passages from {} in {:.1f} s\n", totals.total, totals.done,
             totals.unchanged, totals.removed, totals.failed, totals.chunks, human_bytes(totals.bytes), seconds);
  for (const auto& error : totals.errors)
    fmt::print(stderr, "{} {}: {}\n", bad("failed"), text_of(error.get_object(), "path"), text_of(error.get_object(), "message"));
}

}  // namespace

int ingest(const Global& global, const IngestOptions& options) {
  const auto attributes = parse_attributes(options.attributes);
  if (!attributes) return report(attributes.error(), global.json);
  auto api = connect(global);
  auto store = resolve_store(api, options.store, true);
  if (!store) return report(store.error(), global.json);
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  for (const auto& path : options.paths)
    if (const Status done = ingest_one(api, *store, path, options, *attributes, totals); !done) return report(done.error(), global.json);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(JsonObject{{"store", *store}, {"total", totals.total}, {"done", totals.done}, {"unchanged", totals.unchanged},
                                                   {"removed", totals.removed}, {"failed", totals.failed}, {"chunks", totals.chunks},
                                                   {"bytes", totals.bytes}, {"seconds", seconds}, {"errors", totals.errors}}));
  else
    print(totals, seconds);
  return totals.failed == 0 ? kExitOk : kExitFailure;
}

}  // namespace stoa::cli
