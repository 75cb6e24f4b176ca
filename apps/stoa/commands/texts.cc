// stoa routes, stoa limits, stoa cache: texts that a server keeps in versions. What holds for the whole installation is set on the data folder (--local).
#include "commands/texts.h"

#include <algorithm>
#include <memory>

#include <fmt/ranges.h>

#include "commands/connect.h"
#include "commands/input.h"
#include "commands/json_read.h"
#include "commands/terminal.h"
#include "gateway/api/admin/text_json.h"
#include "governance/limits/limits.h"
#include "wiring/installation.h"

namespace stoa::cli {
namespace {

using governance::TextOwner;

struct Texts {
  std::string_view path, object;
  bool one = false;  // there is one text, at the path itself
};

Texts texts_of(TextsOf which) {
  switch (which) {
    case TextsOf::kRoutes: return {"/v1/stoa/model-routes", "stoa.route"};
    case TextsOf::kCache: return {"/v1/stoa/cache", "stoa.cache", true};
    case TextsOf::kLimits: break;
  }
  return {"/v1/stoa/limits", "stoa.limits"};
}

// Where texts are: on a server, or in a data folder.
class TextPlace {
 public:
  virtual ~TextPlace() = default;
  virtual Result<JsonObject> list() = 0;
  virtual Result<JsonObject> show(const TextOptions& options, std::int64_t version) = 0;
  virtual Result<JsonObject> history(const TextOptions& options) = 0;
  virtual Result<JsonObject> set(const TextOptions& options, const std::string& text) = 0;
  virtual Result<JsonObject> rollback(const TextOptions& options) = 0;
  virtual Result<JsonObject> remove(const TextOptions& options) = 0;
};

class ServerTexts final : public TextPlace {
 public:
  ServerTexts(ApiClient api, Texts texts) : api_(std::move(api)), texts_(texts) {}

  Result<JsonObject> list() override { return api_.get(std::string(texts_.path)); }
  Result<JsonObject> show(const TextOptions& o, std::int64_t version) override { return api_.get(path(o) + (version > 0 ? fmt::format("?version={}", version) : "")); }
  Result<JsonObject> history(const TextOptions& o) override { return api_.get(path(o) + "/history"); }
  Result<JsonObject> set(const TextOptions& o, const std::string& text) override {
    JsonObject body{{"text", text}, {"comment", o.comment}};
    if (o.expected >= 0) body["expected_version"] = o.expected;
    return api_.put(path(o), body);
  }
  Result<JsonObject> rollback(const TextOptions& o) override { return api_.post(path(o) + "/rollback", {{"version", o.version}, {"comment", o.comment}}); }
  Result<JsonObject> remove(const TextOptions& o) override { return api_.remove(path(o) + "?comment=" + percent_encoded(o.comment)); }

 private:
  std::string path(const TextOptions& o) const { return std::string(texts_.path) + (texts_.one ? "" : "/" + percent_encoded(o.name)); }

  ApiClient api_;
  Texts texts_;
};

// Limits in a data folder: of its default project, or of the installation.
class FolderTexts final : public TextPlace {
 public:
  static Result<std::unique_ptr<TextPlace>> open(const Global& global, const TextOptions& options, Texts texts) {
    STOA_TRY(config, load_config(global));
    STOA_TRY(installation, wiring::Installation::open(config));
    STOA_TRY(actor, installation.identity->local_operator());
    auto place = std::make_unique<FolderTexts>();
    place->of_ = texts;
    place->owner_ = options.installation ? TextOwner::kInstallation : TextOwner::kProject;
    place->call_ = Call::of(std::move(actor));
    place->installation_ = std::move(installation);
    STOA_TRY(opened, governance::VersionedTexts::open(*place->installation_.database, *place->installation_.audit, *place->installation_.access, governance::limit_texts()));
    place->texts_ = std::move(opened);
    return place;
  }

  Result<JsonObject> list() override {
    STOA_TRY(found, texts_->list(call_, owner_));
    return gateway::admin::text_versions_json(of_.object, found, true);
  }
  Result<JsonObject> show(const TextOptions& o, std::int64_t version) override { return json(texts_->get(call_, o.name, version > 0 ? std::optional(version) : std::nullopt, owner_)); }
  Result<JsonObject> history(const TextOptions& o) override {
    STOA_TRY(found, texts_->history(call_, o.name, owner_));
    return gateway::admin::text_versions_json(of_.object, found, false);
  }
  Result<JsonObject> set(const TextOptions& o, const std::string& text) override {
    return json(texts_->set(call_, {.name = o.name, .text = text, .comment = o.comment, .expected = o.expected >= 0 ? std::optional(o.expected) : std::nullopt}, owner_));
  }
  Result<JsonObject> rollback(const TextOptions& o) override { return json(texts_->rollback(call_, o.name, o.version, o.comment, owner_)); }
  Result<JsonObject> remove(const TextOptions& o) override { return json(texts_->remove(call_, o.name, o.comment, owner_)); }

 private:
  Result<JsonObject> json(Result<governance::TextVersion> version) const {
    if (!version) return fail(std::move(version).error());
    return gateway::admin::text_version_json(of_.object, *version, true);
  }

  Texts of_;
  wiring::Installation installation_;
  Call call_;
  TextOwner owner_ = TextOwner::kProject;
  std::unique_ptr<governance::VersionedTexts> texts_;
};

Result<std::unique_ptr<TextPlace>> place_of(const Global& global, TextsOf which, const TextOptions& options) {
  if (options.installation && !options.local)
    return fail(error(ErrorCode::kInvalidArgument, "what holds for all projects is set on the server's machine").with_hint("add --local there"));
  if (options.local) return FolderTexts::open(global, options, texts_of(which));
  return std::make_unique<ServerTexts>(connect(global), texts_of(which));
}

int show(const Global& global, const Result<JsonObject>& found, const std::function<void(const JsonObject&)>& print) {
  if (!found) return report(found.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*found));
  else
    print(*found);
  return kExitOk;
}

int with_place(const Global& global, TextsOf which, const TextOptions& options, const std::function<Result<JsonObject>(TextPlace&)>& work, const std::function<void(const JsonObject&)>& print) {
  auto place = place_of(global, which, options);
  if (!place) return report(place.error(), global.json);
  return show(global, work(**place), print);
}

std::string targets_of(const JsonObject& route, std::string_view member) {
  std::string text;
  for (const JsonObject* target : objects_of(route, member)) {
    const auto weight = integer_of(*target, "weight");
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", text_of(*target, "id"), weight == 1 ? "" : fmt::format(" x{}", weight));
  }
  return text;
}

void print_routes(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"name", "version", "targets", "fallback", "description"}};
  for (const JsonObject* item : objects_of(found, "data"))
    rows.push_back({text_of(*item, "name"), std::to_string(integer_of(*item, "version")), targets_of(*item, "targets"), targets_of(*item, "fallback"), text_of(*item, "description")});
  fmt::print("{}", rows.size() == 1 ? "no routes yet: stoa routes set NAME FILE\n" : table(rows));
}

void print_limits(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"name", "version", "limits", "description"}};
  for (const JsonObject* item : objects_of(found, "data"))
    rows.push_back({text_of(*item, "name"), std::to_string(integer_of(*item, "version")), fmt::format("{}", fmt::join(strings_of(*item, "limits"), ", ")), text_of(*item, "description")});
  fmt::print("{}", rows.size() == 1 ? "no limits yet: stoa limits set NAME FILE\n" : table(rows));
}

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

void print_standings(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"limits", "who", "limit", "used", "free again in"}};
  for (const JsonObject* item : objects_of(found, "data")) {
    const bool money = text_of(*item, "unit").starts_with("money");
    const auto used = integer_of(*item, "used");
    rows.push_back({fmt::format("{} #{}", text_of(*item, "limits"), integer_of(*item, "rule")), text_of(*item, "who"), text_of(*item, "text"), money ? fmt::format("{:.6g}", static_cast<double>(used) / 1e6) : std::to_string(used),
                    fmt::format("{:.0f} s", number_of(*item, "reset_seconds"))});
  }
  fmt::print("{}", rows.size() == 1 ? "nobody has used anything that is limited lately\n" : table(rows));
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

void print_text(const JsonObject& found) {
  const std::string text = text_of(found, "text");
  fmt::print("{}{}", text, text.ends_with('\n') || text.empty() ? "" : "\n");
}

void print_stored(const JsonObject& stored) { fmt::print("{} {} version {} {}\n", good("in force:"), text_of(stored, "name"), integer_of(stored, "version"), dim(text_of(stored, "digest"))); }

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

// By the longest common subsequence of lines; such texts have few.
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

int texts_list(const Global& global, TextsOf which, const TextOptions& options) {
  return with_place(global, which, options, [](TextPlace& place) { return place.list(); }, which == TextsOf::kRoutes ? print_routes : print_limits);
}

int texts_show(const Global& global, TextsOf which, const TextOptions& options) {
  return with_place(global, which, options, [&](TextPlace& place) { return place.show(options, options.version); }, print_text);
}

int texts_set(const Global& global, TextsOf which, const TextOptions& options) {
  const auto text = read_text(options.file);
  if (!text) return report(text.error(), global.json);
  return with_place(global, which, options, [&](TextPlace& place) { return place.set(options, *text); }, print_stored);
}

int texts_history(const Global& global, TextsOf which, const TextOptions& options) {
  return with_place(global, which, options, [&](TextPlace& place) { return place.history(options); }, print_history);
}

int texts_diff(const Global& global, TextsOf which, const TextOptions& options) {
  std::string before;
  return with_place(global, which, options,
                    [&](TextPlace& place) -> Result<JsonObject> {
                      STOA_TRY(found, place.show(options, options.from));
                      before = text_of(found, "text");
                      return place.show(options, options.to);
                    },
                    [&](const JsonObject& after) { print_diff(lines_of(before), lines_of(text_of(after, "text"))); });
}

int texts_rollback(const Global& global, TextsOf which, const TextOptions& options) {
  return with_place(global, which, options, [&](TextPlace& place) { return place.rollback(options); }, print_stored);
}

int texts_remove(const Global& global, TextsOf which, const TextOptions& options) {
  return with_place(global, which, options, [&](TextPlace& place) { return place.remove(options); },
                    [](const JsonObject& stored) { fmt::print("{} is removed; its versions stay in the history\n", text_of(stored, "name")); });
}

int routes_status(const Global& global, const TextOptions& options) {
  return show(global, connect(global).get(fmt::format("{}/{}/status", texts_of(TextsOf::kRoutes).path, percent_encoded(options.name))), print_status);
}

int limits_usage(const Global& global) { return show(global, connect(global).get("/v1/stoa/limit-standings"), print_standings); }

int cache_stats(const Global& global) {
  return show(global, connect(global).get("/v1/stoa/cache/stats"), [](const JsonObject& found) {
    const auto n = [&](std::string_view name) { return integer_of(found, name); };
    fmt::print("answers     {} of {} bytes; requests: {} hits, {} semantic, {} shared, {} misses\n", n("answers"), n("answer_bytes"), n("hits"), n("semantic"), n("shared"), n("misses"));
    fmt::print("embeddings  {} of {} bytes; texts: {} hits, {} misses\n", n("embeddings"), n("embedding_bytes"), n("embedding_hits"), n("embedding_misses"));
  });
}

int cache_purge(const Global& global, const PurgeOptions& options) {
  const JsonObject body{{"key", options.key}, {"tag", options.tag}, {"document", options.document}, {"model", options.model}, {"all", options.all}};
  return show(global, connect(global).post("/v1/stoa/cache/purge", body), [](const JsonObject& found) { fmt::print("{} entries are forgotten\n", integer_of(found, "purged")); });
}

}  // namespace stoa::cli
