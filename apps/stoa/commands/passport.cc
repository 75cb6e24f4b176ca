// Verbs of passports of answers: fetched from a server, and verified without one.
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "commands/commands.h"
#include "commands/connect.h"
#include "commands/input.h"
#include "commands/json_read.h"
#include "commands/log_key.h"
#include "commands/terminal.h"
#include "gateway/passport/page.h"
#include "wiring/defaults.h"

namespace stoa::cli {
namespace {

Result<std::string> page_of(const governance::PassportCheck& check) {
  STOA_TRY(page_template, wiring::data_file("", "passport.html"));
  return gateway::passport_page(page_template.text, check);
}

std::string short_id(const std::string& text) { return text.size() <= 26 ? text : text.substr(0, 26) + "…"; }

void print_line(std::string_view name, const std::string& text) {
  if (!text.empty()) fmt::print("{:<11} {}\n", name, text);
}

void print_asked(const JsonObject& asked) {
  const std::string user = text_of(asked, "user");
  print_line("asked by", fmt::format("{}{} ({})", user.empty() ? "" : user + ", ", text_of(asked, "role"), text_of(asked, "principal")));
  print_line("project", fmt::format("{} of {}", text_of(asked, "project"), text_of(asked, "tenant")));
  print_line("purpose", text_of(asked, "purpose"));
  for (const JsonObject* decision : objects_of(asked, "decisions"))
    print_line("allowed", fmt::format("{} on {} by {} {}", text_of(*decision, "action"), text_of(*decision, "resource"), text_of(*decision, "rule"), dim(text_of(*decision, "place"))));
}

void print_record(const governance::PassportCheck& check) {
  const JsonObject& record = check.record;
  const JsonObject none;
  const auto part = [&](const char* name) -> const JsonObject& {
    const JsonObject* found = object_of(record, name);
    return found == nullptr ? none : *found;
  };
  fmt::print("{}\n\n", bold("Passport of " + text_of(record, "id")));
  print_line("time", text_of(record, "time"));
  print_asked(part("asked_by"));
  print_line("model", fmt::format("{} {}", text_of(part("model"), "name"), dim(short_id(text_of(part("model"), "artifact")))));
  if (!text_of(part("model"), "target").empty()) print_line("answered by", text_of(part("model"), "target"));
  if (const JsonObject* adapter = object_of(part("model"), "adapter"); adapter != nullptr && !text_of(*adapter, "base").empty())
    print_line("adapter of", fmt::format("{} {}", text_of(*adapter, "base"), dim(short_id(text_of(*adapter, "artifact")))));
  const JsonObject& grounds = part("grounds");
  const auto sources = objects_of(grounds, "sources"), citations = objects_of(grounds, "citations");
  print_line("grounds", sources.empty() ? "none" : fmt::format("{}: {} passages, {} citations", text_of(grounds, "mode"), sources.size(), citations.size()));
  for (const JsonObject* citation : citations) {
    const auto index = static_cast<std::size_t>(integer_of(*citation, "source"));
    if (index >= sources.size()) continue;
    const JsonObject& source = *sources[index];
    fmt::print("  [{}..{}] {} {}, let through by {}\n", integer_of(*citation, "begin"), integer_of(*citation, "end"), text_of(source, "document"),
               dim(short_id(text_of(source, "version"))), text_of(source, "readers"));
  }
  print_line("tokens", fmt::format("{} in ({} from cache), {} out", integer_of(part("usage"), "prompt_tokens"), integer_of(part("cache"), "prompt_tokens_reused"),
                                   integer_of(part("usage"), "completion_tokens")));
  print_line("cost", human_cost(integer_of(part("cost"), "micros")));
  print_line("took", fmt::format("{:.3f} s", static_cast<double>(integer_of(part("duration"), "total_micros")) / 1e6));
  fmt::print("\n{} entry {} of {}, signed at {} entries\n", good("verified:"), check.entry.sequence, check.checkpoint.log, check.checkpoint.size);
}

// Prints or writes what was checked, as asked.
int show(const Global& global, const PassportOptions& options, const std::string& text, const governance::PassportCheck& check) {
  if (!options.html.empty()) {
    const auto page = page_of(check);
    if (!page) return report(page.error(), global.json);
    if (const auto written = write_text(options.html, *page); !written) return report(written.error(), global.json);
    if (options.html == "-") return kExitOk;
  }
  if (global.json) {
    fmt::print("{}\n", text);
  } else {
    print_record(check);
    if (!options.html.empty()) fmt::print("{}\n", dim(fmt::format("page in {}", options.html)));
  }
  return kExitOk;
}

}  // namespace

int passport(const Global& global, const PassportOptions& options) {
  if (options.id.empty()) return report(error(ErrorCode::kInvalidArgument, "no answer was named").with_hint("stoa passport resp_..."), global.json);
  auto api = connect(global);
  const auto found = api.get("/v1/stoa/passports/" + options.id);
  if (!found) return report(found.error(), global.json);
  const std::string text = dump_json(*found);
  const auto key = governance::CheckpointKey::parse(text_of(*found, "key"));
  if (!key) return report(key.error(), global.json);
  const auto check = governance::verify_passport(text, *key);
  if (!check) return report(check.error(), global.json);
  if (!options.file.empty()) {
    if (const auto written = write_text(options.file, text + "\n"); !written) return report(written.error(), global.json);
  }
  return show(global, options, text, *check);
}

int passport_verify(const Global& global, const PassportOptions& options) {
  const auto key = read_log_key(options.key);
  if (!key) return report(key.error(), global.json);
  std::ifstream in(options.file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in) return report(error(ErrorCode::kNotFound, "{}: cannot be read", options.file), global.json);
  auto check = governance::verify_passport(text, *key);
  if (!check) return report(std::move(check.error()).in(options.file), global.json);
  return show(global, options, dump_json(JsonObject{{"verified", true}, {"answer", text_of(check->record, "id")}, {"entry", check->entry.sequence},
                                                    {"log", check->checkpoint.log}, {"signed_entries", check->checkpoint.size}}), *check);
}

}  // namespace stoa::cli
