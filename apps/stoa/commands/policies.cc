// stoa policies, stoa roles: what holds on the server, and how it came to be. Policies are the server's business, but for --local, which acts
// on the data folder of this machine: for what holds for all tenants, and for when nobody else can get in.
#include "commands/commands.h"

#include <memory>

#include "commands/connect.h"
#include "commands/input.h"
#include "commands/json_read.h"
#include "commands/terminal.h"
#include "gateway/api/admin/policy_json.h"
#include "wiring/installation.h"

namespace stoa::cli {
namespace {

using namespace gateway::admin;

// Where policies are: on a server, or in a data folder.
class PolicyPlace {
 public:
  virtual ~PolicyPlace() = default;
  virtual Result<JsonObject> list() = 0;
  virtual Result<JsonObject> show(const PolicyOptions& options) = 0;
  virtual Result<JsonObject> set(const PolicyOptions& options, const std::string& text) = 0;
  virtual Result<JsonObject> history(const PolicyOptions& options) = 0;
  virtual Result<JsonObject> diff(const PolicyOptions& options) = 0;
  virtual Result<JsonObject> rollback(const PolicyOptions& options) = 0;
  virtual Result<JsonObject> remove(const PolicyOptions& options) = 0;
  virtual Result<JsonObject> dry_run(const std::string& name, const std::string& text) = 0;
};

class ServerPlace final : public PolicyPlace {
 public:
  explicit ServerPlace(ApiClient api) : api_(std::move(api)) {}

  Result<JsonObject> list() override { return api_.get("/v1/stoa/policies"); }
  Result<JsonObject> show(const PolicyOptions& o) override { return api_.get(path(o.name) + (o.version > 0 ? fmt::format("?version={}", o.version) : "")); }
  Result<JsonObject> set(const PolicyOptions& o, const std::string& text) override {
    JsonObject body{{"text", text}, {"comment", o.comment}};
    if (o.expected >= 0) body["expected_version"] = o.expected;
    return api_.put(path(o.name), body);
  }
  Result<JsonObject> history(const PolicyOptions& o) override { return api_.get(path(o.name) + "/history"); }
  Result<JsonObject> diff(const PolicyOptions& o) override { return api_.get(fmt::format("{}/diff?from={}&to={}", path(o.name), o.from, o.to)); }
  Result<JsonObject> rollback(const PolicyOptions& o) override { return api_.post(path(o.name) + "/rollback", {{"version", o.version}, {"comment", o.comment}}); }
  Result<JsonObject> remove(const PolicyOptions& o) override { return api_.remove(path(o.name) + "?comment=" + percent_encoded(o.comment)); }
  Result<JsonObject> dry_run(const std::string& name, const std::string& text) override { return api_.post("/v1/stoa/policies/dry-run", {{"name", name}, {"text", text}}); }

 private:
  static std::string path(const std::string& name) { return "/v1/stoa/policies/" + percent_encoded(name); }
  ApiClient api_;
};

class FolderPlace final : public PolicyPlace {
 public:
  static Result<std::unique_ptr<PolicyPlace>> open(const Global& global, const PolicyOptions& options) {
    STOA_TRY(config, load_config(global));
    STOA_TRY(installation, wiring::Installation::open(config));
    STOA_TRY(actor, installation.identity->local_operator(options.tenant));
    auto place = std::make_unique<FolderPlace>();
    place->scope_ = {options.installation ? "" : actor.tenant};
    place->call_ = Call::of(std::move(actor));
    place->installation_ = std::move(installation);
    return place;
  }

  Result<JsonObject> list() override {
    STOA_TRY(found, policies().list(call_, scope_));
    return policies_json(found);
  }
  Result<JsonObject> show(const PolicyOptions& o) override {
    STOA_TRY(found, policies().get(call_, scope_, o.name, o.version > 0 ? std::optional(o.version) : std::nullopt));
    return policy_json(found, true);
  }
  Result<JsonObject> set(const PolicyOptions& o, const std::string& text) override {
    STOA_TRY(stored, policies().set(call_, scope_, {.name = o.name, .text = text, .comment = o.comment, .expected = o.expected >= 0 ? std::optional(o.expected) : std::nullopt}));
    return policy_json(stored, false);
  }
  Result<JsonObject> history(const PolicyOptions& o) override {
    STOA_TRY(found, policies().history(call_, scope_, o.name));
    return policies_json(found);
  }
  Result<JsonObject> diff(const PolicyOptions& o) override {
    STOA_TRY(changes, policies().diff(call_, scope_, o.name, o.from, o.to));
    return rule_changes_json(changes);
  }
  Result<JsonObject> rollback(const PolicyOptions& o) override {
    STOA_TRY(stored, policies().rollback(call_, scope_, o.name, o.version, o.comment));
    return policy_json(stored, false);
  }
  Result<JsonObject> remove(const PolicyOptions& o) override {
    STOA_TRY(stored, policies().remove(call_, scope_, o.name, o.comment));
    return policy_json(stored, false);
  }
  Result<JsonObject> dry_run(const std::string& name, const std::string& text) override {
    STOA_TRY(run, policies().dry_run(call_, scope_, name, text));
    return dry_run_json(run);
  }

 private:
  governance::Policies& policies() { return *installation_.policies; }

  wiring::Installation installation_;
  Call call_;
  governance::PolicyScope scope_;
};

Result<std::unique_ptr<PolicyPlace>> place_of(const Global& global, const PolicyOptions& options) {
  if (options.installation && !options.local)
    return fail(error(ErrorCode::kInvalidArgument, "what holds for all tenants is set on the server's machine").with_hint("add --local there, or put files into the folder that policies.folder names"));
  if (options.local) return FolderPlace::open(global, options);
  return std::make_unique<ServerPlace>(connect(global));
}

// "./rules/office-hours.policy" names office-hours.
std::string name_of(const std::string& file) { return std::filesystem::path(file).stem().string(); }

// Runs `work` on the place; prints its JSON, or hands it to `print`.
int with_place(const Global& global, const PolicyOptions& options, const std::function<Result<JsonObject>(PolicyPlace&)>& work, const std::function<void(const JsonObject&)>& print) {
  auto place = place_of(global, options);
  if (!place) return report(place.error(), global.json);
  const auto done = work(**place);
  if (!done) return report(done.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*done));
  else
    print(*done);
  return kExitOk;
}

void print_versions(const JsonObject& found) {
  std::vector<std::vector<std::string>> rows{{"name", "version", "scope", "time", "author", "comment"}};
  for (const JsonObject* item : objects_of(found, "data")) {
    const std::string file = text_of(*item, "file");
    const Json* removed = find(*item, "removed");
    const bool gone = removed != nullptr && removed->is_bool() && removed->get_bool();
    rows.push_back({file.empty() ? text_of(*item, "name") : file, file.empty() ? fmt::format("{}{}", integer_of(*item, "version"), gone ? " (removed)" : "") : "-", text_of(*item, "scope"),
                    file.empty() ? text_of(*item, "time").substr(0, 16) + "Z" : "-", file.empty() ? text_of(*item, "author") : "-", text_of(*item, "comment")});
  }
  fmt::print("{}", table(rows));
}

void print_stored(const JsonObject& stored) {
  fmt::print("{} {} version {} {}\n", good("in force:"), text_of(stored, "name"), integer_of(stored, "version"), dim(text_of(stored, "digest")));
}

void print_dry_run(const JsonObject& run) {
  const JsonObject* tests = object_of(run, "tests");
  if (tests != nullptr)
    for (const JsonObject* failure : objects_of(*tests, "failures"))
      fmt::print("{}: {} \"{}\": {}\n", text_of(*failure, "where"), bad("failed"), text_of(*failure, "test"), text_of(*failure, "message"));
  for (const JsonObject* change : objects_of(run, "changes")) {
    const JsonObject *from = object_of(*change, "from"), *to = object_of(*change, "to");
    if (from == nullptr || to == nullptr) continue;
    const std::string user = text_of(*change, "user"), kind = text_of(*change, "kind");
    fmt::print("{:>6} x {} ({}) {}{}: {} {}, then {} {}\n", integer_of(*change, "count"), user.empty() ? text_of(*change, "principal") : user, text_of(*change, "role"),
               bold(text_of(*change, "action")), kind.empty() ? "" : " on " + kind, text_of(*from, "decision"), dim("by " + text_of(*from, "rule")),
               text_of(*to, "decision") == "permit" ? good("permit") : bad("deny"), dim("by " + text_of(*to, "rule")));
    fmt::print("         {}\n", dim(text_of(*to, "reason")));
  }
  fmt::print("{} of {} kinds of decisions, recorded of {} requests, would come out otherwise\n", integer_of(run, "changed"), integer_of(run, "decisions"), integer_of(run, "requests"));
}

void print_role(const JsonObject& role) { fmt::print("{} {}\n  {}\n", bold(text_of(role, "name")), dim(text_of(role, "where")), fmt::join(strings_of(role, "actions"), ", ")); }

}  // namespace

int policies_list(const Global& global, const PolicyOptions& options) {
  return with_place(global, options, [](PolicyPlace& place) { return place.list(); }, print_versions);
}

int policies_show(const Global& global, const PolicyOptions& options) {
  return with_place(global, options, [&](PolicyPlace& place) { return place.show(options); }, [](const JsonObject& found) {
    const std::string text = text_of(found, "text");
    fmt::print("{}{}", text, text.ends_with('\n') || text.empty() ? "" : "\n");
  });
}

int policies_set(const Global& global, const PolicyOptions& options) {
  const auto text = read_text(options.file);
  if (!text) return report(text.error(), global.json);
  return with_place(global, options, [&](PolicyPlace& place) { return place.set(options, *text); }, print_stored);
}

int policies_history(const Global& global, const PolicyOptions& options) {
  return with_place(global, options, [&](PolicyPlace& place) { return place.history(options); }, print_versions);
}

int policies_diff(const Global& global, const PolicyOptions& options) {
  return with_place(global, options, [&](PolicyPlace& place) { return place.diff(options); }, [](const JsonObject& found) {
    for (const JsonObject* change : objects_of(found, "data")) {
      fmt::print("{} {} \"{}\"\n", text_of(*change, "change"), text_of(*change, "kind"), text_of(*change, "name"));
      if (!text_of(*change, "before").empty()) fmt::print("{} {}", bad("-"), text_of(*change, "before"));
      if (!text_of(*change, "after").empty()) fmt::print("{} {}", good("+"), text_of(*change, "after"));
    }
  });
}

int policies_rollback(const Global& global, const PolicyOptions& options) {
  return with_place(global, options, [&](PolicyPlace& place) { return place.rollback(options); }, print_stored);
}

int policies_remove(const Global& global, const PolicyOptions& options) {
  return with_place(global, options, [&](PolicyPlace& place) { return place.remove(options); },
                    [](const JsonObject& stored) { fmt::print("{} is removed; its versions stay in the history\n", text_of(stored, "name")); });
}

int policies_dry_run(const Global& global, const PolicyOptions& options) {
  const auto text = read_text(options.file);
  if (!text) return report(text.error(), global.json);
  const std::string name = options.name.empty() ? name_of(options.file) : options.name;
  return with_place(global, options, [&](PolicyPlace& place) { return place.dry_run(name, *text); }, print_dry_run);
}

int roles_list(const Global& global) {
  auto api = connect(global);
  const auto found = api.get("/v1/stoa/roles");
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  for (const JsonObject* role : objects_of(*found, "data")) print_role(*role);
  return kExitOk;
}

int roles_show(const Global& global, const std::string& name) {
  auto api = connect(global);
  const auto found = api.get("/v1/stoa/roles/" + percent_encoded(name));
  if (!found) return report(found.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*found));
  else
    print_role(*found);
  return kExitOk;
}

}  // namespace stoa::cli
