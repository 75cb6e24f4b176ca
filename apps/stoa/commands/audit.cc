// Verbs of the audit log: list, check, checkpoint, export from a server; verify of an export, without one.
#include <fstream>
#include <iostream>

#include "base/json.h"
#include "commands/commands.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/log_key.h"
#include "commands/terminal.h"
#include "governance/audit/export.h"

namespace stoa::cli {
namespace {

constexpr std::int64_t kPage = 10'000;

Status write_export(ApiClient& api, const AuditExportOptions& options, std::ostream& out, Progress& progress) {
  STOA_TRY(point, api.get("/v1/stoa/audit/checkpoint"));
  const std::int64_t entries = integer_of(point, "entries");
  for (std::int64_t after = options.after; after < entries || after == options.after; after += kPage) {
    STOA_TRY(page, api.get_text(fmt::format("/v1/stoa/audit/export?after={}&limit={}&format={}", after, kPage, options.format)));
    out << page << std::flush;
    if (!out) return fail(ErrorCode::kUnavailable, "{}: cannot be written", options.file);
    progress.show(fmt::format("{} of {} entries", std::min(after + kPage, entries), entries));
  }
  return {};
}

// Ids of the documents that were shown, and what let the reader in: "doc_1 (group:hr), doc_2 (public)".
std::string shown(const JsonObject& entry) {
  std::string out;
  for (const JsonObject* document : objects_of(entry, "documents")) out += fmt::format("{}{} ({})", out.empty() ? "" : ", ", text_of(*document, "id"), text_of(*document, "readers"));
  return out;
}

}  // namespace

int audit_list(const Global& global, const AuditListOptions& options) {
  auto api = connect(global);
  std::string path = fmt::format("/v1/stoa/audit?limit={}&after={}", options.count, options.after);
  for (const auto& [name, value] : {std::pair{"principal", &options.principal}, {"action", &options.action}, {"resource", &options.resource}, {"trace", &options.trace}})
    if (!value->empty()) path += fmt::format("&{}={}", name, percent_encoded(*value));
  const auto found = api.get(path);
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{"entry", "time", "principal", "action", "resource", "outcome", "reason", "documents"}};
  for (const JsonObject* entry : objects_of(*found, "data")) {
    rows.push_back({fmt::format("{}", integer_of(*entry, "sequence")), text_of(*entry, "time"), text_of(*entry, "principal"), text_of(*entry, "action"),
                    text_of(*entry, "resource"), text_of(*entry, "outcome"), text_of(*entry, "reason"), shown(*entry)});
  }
  fmt::print("{}", table(rows));
  return kExitOk;
}

int audit_check(const Global& global) {
  auto api = connect(global);
  const auto found = api.get("/v1/stoa/audit/check");
  if (!found) return report(found.error(), global.json);
  const auto* intact = find(*found, "intact");
  const bool good = intact != nullptr && intact->is_bool() && intact->get_bool();
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
  } else if (good) {
    fmt::print("{} entries, all as they were written and signed\n", integer_of(*found, "entries"));
  } else {
    fmt::print("{}\n", bad(fmt::format("broken at entry {}: {}", integer_of(*found, "broken_at"), text_of(*found, "reason"))));
  }
  return good ? kExitOk : kExitFailure;
}

int audit_checkpoint(const Global& global) {
  auto api = connect(global);
  const auto found = api.get("/v1/stoa/audit/checkpoint");
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
  } else {
    fmt::print("{}\nkey {}\n", text_of(*found, "checkpoint"), text_of(*found, "key"));
  }
  return kExitOk;
}

int audit_export(const Global& global, const AuditExportOptions& options) {
  auto api = connect(global);
  Progress progress;
  if (options.file == "-") {
    const auto done = write_export(api, options, std::cout, progress);
    return done ? kExitOk : report(done.error(), global.json);
  }
  std::ofstream out(options.file, std::ios::binary | std::ios::trunc);
  if (!out) return report(error(ErrorCode::kUnavailable, "{}: cannot be written", options.file), global.json);
  const auto done = write_export(api, options, out, progress);
  return done ? kExitOk : report(done.error(), global.json);
}

int audit_verify(const Global& global, const std::string& file, const std::string& key_text) {
  const auto key = read_log_key(key_text);
  if (!key) return report(key.error(), global.json);
  std::ifstream in(file, std::ios::binary);
  if (!in) return report(error(ErrorCode::kNotFound, "{}: cannot be opened", file), global.json);
  auto found = governance::verify_export(in, *key);
  if (!found) return report(std::move(found.error()).in(file), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(JsonObject{{"intact", true}, {"first", found->first}, {"last", found->last}, {"entries", found->entries},
                                                   {"log", found->checkpoint.log}, {"signed_entries", found->checkpoint.size}}));
  } else {
    fmt::print("entries {} to {} are what was written ({} with their text); {} has signed {} entries\n", found->first, found->last, found->entries, found->checkpoint.log,
               found->checkpoint.size);
  }
  return kExitOk;
}

}  // namespace stoa::cli
