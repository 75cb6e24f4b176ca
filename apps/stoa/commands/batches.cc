// stoa batches: files of requests that the server runs when there is time for them.
#include "commands/batches.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/time.h"
#include "commands/connect.h"
#include "commands/input.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

constexpr std::string_view kPath = "/v1/batches", kWindow = "/v1/stoa/batches/window";
constexpr std::chrono::milliseconds kLook{500};

std::string path_of(const std::string& id, std::string_view rest = "") { return fmt::format("{}/{}{}", kPath, percent_encoded(id), rest); }

std::string time_of(const JsonObject& batch, std::string_view key) {
  const auto seconds = integer_of(batch, key);
  return seconds == 0 ? "" : to_rfc3339(seconds * 1'000'000).substr(0, 16) + "Z";
}

bool has_ended(std::string_view status) { return status == "completed" || status == "failed" || status == "expired" || status == "cancelled"; }

std::string counts_of(const JsonObject& batch) {
  const JsonObject* counts = object_of(batch, "request_counts");
  if (counts == nullptr) return {};
  const auto failed = integer_of(*counts, "failed");
  return fmt::format("{} of {}{}", integer_of(*counts, "completed") + failed, integer_of(*counts, "total"), failed > 0 ? fmt::format(", {} failed", failed) : "");
}

void print_batch(const JsonObject& batch) {
  fmt::print("{}  {}  {}  {}\n", bold(text_of(batch, "id")), text_of(batch, "status"), counts_of(batch), dim(text_of(batch, "endpoint")));
  for (const std::string_view file : {"input_file_id", "output_file_id", "error_file_id"})
    if (const std::string id = text_of(batch, file); !id.empty()) fmt::print("  {:<15} {}\n", file.substr(0, file.size() - 3), id);
  for (const std::string_view time : {"created_at", "expires_at", "completed_at", "failed_at", "expired_at", "cancelled_at"})
    if (const std::string text = time_of(batch, time); !text.empty()) fmt::print("  {:<15} {}\n", time, text);
  if (const JsonObject* errors = object_of(batch, "errors"))
    for (const JsonObject* problem : objects_of(*errors, "data"))
      fmt::print("  {} {}{}: {}\n", bad("error"), text_of(*problem, "code"), integer_of(*problem, "line") > 0 ? fmt::format(", line {}", integer_of(*problem, "line")) : "", text_of(*problem, "message"));
}

int show(const Global& global, const Result<JsonObject>& batch) {
  if (!batch) return report(batch.error(), global.json);
  if (global.json) fmt::print("{}\n", dump_json_pretty(*batch));
  else print_batch(*batch);
  return text_of(*batch, "status") == "failed" ? kExitFailure : kExitOk;
}

// Until the batch has ended; how far it is on standard error.
Result<JsonObject> wait(ApiClient& api, JsonObject batch) {
  Progress progress;
  while (!has_ended(text_of(batch, "status"))) {
    progress.show(fmt::format("{}  {}  {}", text_of(batch, "id"), text_of(batch, "status"), counts_of(batch)));
    std::this_thread::sleep_for(kLook);
    STOA_TRY(now, api.get(path_of(text_of(batch, "id"))));
    batch = std::move(now);
  }
  progress.finish();
  return batch;
}

}  // namespace

int batches_create(const Global& global, const BatchArguments& options) {
  auto lines = read_text(options.file);
  if (!lines) return report(lines.error(), global.json);
  JsonObject metadata;
  for (const std::string& text : options.metadata) {
    const auto mark = text.find('=');
    if (mark == std::string::npos) return report(error(ErrorCode::kInvalidArgument, "--metadata {}: there is no '='", text).with_hint("NAME=VALUE"), global.json);
    metadata[text.substr(0, mark)] = text.substr(mark + 1);
  }
  auto api = connect(global);
  const std::string name = options.file == "-" ? "batch.jsonl" : std::filesystem::path(options.file).filename().string();
  const auto file = api.upload(name, "batch", *lines);
  if (!file) return report(file.error(), global.json);
  JsonObject body{{"input_file_id", text_of(*file, "id")}, {"endpoint", options.endpoint}, {"completion_window", "24h"}};
  if (!metadata.empty()) body["metadata"] = std::move(metadata);
  auto batch = api.post(kPath, body);
  if (batch && options.wait) batch = wait(api, std::move(*batch));
  return show(global, batch);
}

int batches_list(const Global& global, const BatchArguments& options) {
  const auto found = connect(global).get(fmt::format("{}?limit={}", kPath, options.count));
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{"id", "status", "requests", "endpoint", "created"}};
  for (const JsonObject* batch : objects_of(*found, "data"))
    rows.push_back({text_of(*batch, "id"), text_of(*batch, "status"), counts_of(*batch), text_of(*batch, "endpoint"), time_of(*batch, "created_at")});
  fmt::print("{}", rows.size() == 1 ? "no batches yet: stoa batches create FILE\n" : table(rows));
  return kExitOk;
}

int batches_show(const Global& global, const BatchArguments& options) {
  auto api = connect(global);
  auto batch = api.get(path_of(options.id));
  if (batch && options.wait) batch = wait(api, std::move(*batch));
  return show(global, batch);
}

int batches_results(const Global& global, const BatchArguments& options) {
  auto api = connect(global);
  const auto batch = api.get(path_of(options.id));
  if (!batch) return report(batch.error(), global.json);
  const std::string file = text_of(*batch, options.errors ? "error_file_id" : "output_file_id");
  if (file.empty()) {
    if (has_ended(text_of(*batch, "status"))) return kExitOk;
    return report(error(ErrorCode::kConflict, "the batch {} is {}", text_of(*batch, "id"), text_of(*batch, "status")).with_hint("stoa batches show --wait"), global.json);
  }
  const auto text = api.get_text(fmt::format("/v1/files/{}/content", file));
  if (!text) return report(text.error(), global.json);
  fmt::print("{}", *text);
  return kExitOk;
}

int batches_cancel(const Global& global, const BatchArguments& options) { return show(global, connect(global).post(path_of(options.id, "/cancel"), {})); }

int batches_window(const Global& global, const BatchArguments& options) {
  auto api = connect(global);
  const auto found = options.window.empty() && !options.always ? api.get(kWindow) : api.put(kWindow, {{"windows", options.window}});
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  const std::string windows = text_of(*found, "windows");
  const Json* open = find(*found, "open");
  if (windows.empty()) fmt::print("batches of this project run at any time\n");
  else fmt::print("batches of this project run {} (UTC); {}\n", windows, open != nullptr && open->is_bool() && open->get_bool() ? "now" : "next " + text_of(*found, "next").substr(0, 16) + "Z");
  return kExitOk;
}

}  // namespace stoa::cli
