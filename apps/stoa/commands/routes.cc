// stoa routes: names that answer as models, and what stands behind them. All on the server.
#include "commands/commands.h"

#include <algorithm>

#include "commands/connect.h"
#include "commands/input.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

std::string path_of(const RouteOptions& options) { return "/v1/stoa/model-routes/" + percent_encoded(options.name); }

int show(const Global& global, const Result<JsonObject>& found, const std::function<void(const JsonObject&)>& print) {
  if (!found) return report(found.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*found));
  else
    print(*found);
  return kExitOk;
}

std::string targets_of(const JsonObject& route, std::string_view member) {
  std::string text;
  for (const JsonObject* target : objects_of(route, member)) {
    const auto weight = integer_of(*target, "weight");
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", text_of(*target, "id"), weight == 1 ? "" : fmt::format(" x{}", weight));
  }
  return text;
}

void print_list(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"name", "version", "targets", "fallback", "description"}};
  for (const JsonObject* item : objects_of(found, "data"))
    rows.push_back({text_of(*item, "name"), std::to_string(integer_of(*item, "version")), targets_of(*item, "targets"), targets_of(*item, "fallback"), text_of(*item, "description")});
  fmt::print("{}", rows.size() == 1 ? "no routes yet: stoa routes set NAME FILE\n" : table(rows));
}

void print_history(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"version", "time", "author", "comment"}};
  for (const JsonObject* item : objects_of(found, "data")) {
    const Json* removed = find(*item, "removed");
    const bool gone = removed != nullptr && removed->is_bool() && removed->get_bool();
    rows.push_back({fmt::format("{}{}", integer_of(*item, "version"), gone ? " (removed)" : ""), text_of(*item, "time").substr(0, 16) + "Z", text_of(*item, "author"), text_of(*item, "comment")});
  }
  fmt::print("{}", table(rows));
}

void print_stored(const JsonObject& stored) { fmt::print("{} {} version {} {}\n", good("in force:"), text_of(stored, "name"), integer_of(stored, "version"), dim(text_of(stored, "digest"))); }

void print_status(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"target", "role", "requests", "failed", "under way", "first piece", "state"}};
  for (const JsonObject* item : objects_of(found, "targets")) {
    const Json *alone = find(*item, "left_alone"), *first = find(*item, "first_piece_ms");
    rows.push_back({text_of(*item, "id"), text_of(*item, "role"), std::to_string(integer_of(*item, "requests")), std::to_string(integer_of(*item, "failed")), std::to_string(integer_of(*item, "under_way")),
                    first != nullptr && first->is_number() && integer_of(*item, "requests") > 0 ? fmt::format("{:.0f} ms", first->to_number<double>()) : "-",
                    alone != nullptr && alone->is_bool() && alone->get_bool() ? bad("left alone") : good("well")});
  }
  fmt::print("{}", table(rows));
  if (const Json* percent = find(found, "canary_percent")) fmt::print("\nthe canary gets {} % of the requests\n", percent->to_number<int>());
  std::vector<std::vector<std::string>> steps{{"time", "version", "step", "decision", "reason"}};
  for (const JsonObject* item : objects_of(found, "canary"))
    steps.push_back({text_of(*item, "time").substr(0, 19) + "Z", std::to_string(integer_of(*item, "version")), std::to_string(integer_of(*item, "step")), text_of(*item, "decision"), text_of(*item, "reason")});
  if (steps.size() > 1) fmt::print("{}", table(steps));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// By the longest common subsequence of lines; a route's text has few.
void print_diff(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  std::vector<std::vector<std::size_t>> common(before.size() + 1, std::vector<std::size_t>(after.size() + 1));
  for (std::size_t i = before.size(); i-- > 0;)
    for (std::size_t j = after.size(); j-- > 0;) common[i][j] = before[i] == after[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
  std::size_t i = 0, j = 0;
  while (i < before.size() || j < after.size()) {
    if (i < before.size() && j < after.size() && before[i] == after[j]) {
      fmt::print("  {}\n", before[i]);
      ++i, ++j;
    } else if (j == after.size() || (i < before.size() && common[i + 1][j] >= common[i][j + 1])) {
      fmt::print("{} {}\n", bad("-"), before[i++]);
    } else {
      fmt::print("{} {}\n", good("+"), after[j++]);
    }
  }
}

}  // namespace

int routes_list(const Global& global, const RouteOptions&) { return show(global, connect(global).get("/v1/stoa/model-routes"), print_list); }

int routes_show(const Global& global, const RouteOptions& options) {
  return show(global, connect(global).get(path_of(options) + (options.version > 0 ? fmt::format("?version={}", options.version) : "")), [](const JsonObject& found) {
    const std::string text = text_of(found, "text");
    fmt::print("{}{}", text, text.ends_with('\n') || text.empty() ? "" : "\n");
  });
}

int routes_status(const Global& global, const RouteOptions& options) { return show(global, connect(global).get(path_of(options) + "/status"), print_status); }

int routes_set(const Global& global, const RouteOptions& options) {
  const auto text = read_text(options.file);
  if (!text) return report(text.error(), global.json);
  JsonObject body{{"text", *text}, {"comment", options.comment}};
  if (options.expected >= 0) body["expected_version"] = options.expected;
  return show(global, connect(global).put(path_of(options), body), print_stored);
}

int routes_history(const Global& global, const RouteOptions& options) { return show(global, connect(global).get(path_of(options) + "/history"), print_history); }

int routes_diff(const Global& global, const RouteOptions& options) {
  auto api = connect(global);
  const auto before = api.get(fmt::format("{}?version={}", path_of(options), options.from));
  if (!before) return report(before.error(), global.json);
  return show(global, api.get(fmt::format("{}?version={}", path_of(options), options.to)),
              [&](const JsonObject& after) { print_diff(lines_of(text_of(*before, "text")), lines_of(text_of(after, "text"))); });
}

int routes_rollback(const Global& global, const RouteOptions& options) {
  return show(global, connect(global).post(path_of(options) + "/rollback", {{"version", options.version}, {"comment", options.comment}}), print_stored);
}

int routes_remove(const Global& global, const RouteOptions& options) {
  return show(global, connect(global).remove(path_of(options) + "?comment=" + percent_encoded(options.comment)),
              [](const JsonObject& stored) { fmt::print("{} is removed; its versions stay in the history\n", text_of(stored, "name")); });
}

}  // namespace stoa::cli
