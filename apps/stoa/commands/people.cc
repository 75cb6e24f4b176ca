// stoa tenants, projects, users, groups: through a server where a key, a server or a sign-in was named, else on the data folder.
#include "commands/commands.h"

#include <algorithm>
#include <functional>
#include <map>

#include <fmt/ranges.h>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/local.h"
#include "commands/terminal.h"
#include "infra/http/url.h"

namespace stoa::cli {
namespace {

using Reply = Result<JsonObject>;
using Print = std::function<void(const JsonObject&)>;

int finish(const Reply& reply, const Global& global, const Print& print) {
  if (!reply) return report(reply.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*reply));
  else
    print(*reply);
  return kExitOk;
}

Reply on_folder(const Global& global, const std::string& tenant, const std::function<Reply(governance::Identity&, const Call&)>& work) {
  STOA_TRY(local, open_local(global, tenant));
  return work(*local.installation.identity, local.actor);
}

int act(const Global& global, const PeopleOptions& options, const std::function<Reply(ApiClient&)>& remote, const std::function<Reply(governance::Identity&, const Call&)>& local, const Print& print) {
  if (!wants_server(global)) return finish(on_folder(global, options.tenant, local), global, print);
  if (!options.tenant.empty())
    return report(error(ErrorCode::kInvalidArgument, "--tenant is for the data folder: on a server the key says which tenant it is").with_hint("add --home FOLDER to work on the folder"), global.json);
  auto api = connect(global);
  return finish(remote(api), global, print);
}

std::string path_of(std::string_view start, std::string_view name, std::string_view end = "") { return fmt::format("{}{}{}", start, infra::percent_encode(name), end); }

JsonArray texts(const std::vector<std::string>& items) { return JsonArray(items.begin(), items.end()); }
JsonObject to_json(const governance::Tenant& t) { return {{"id", t.id}, {"name", t.name}, {"created", to_rfc3339(t.created)}}; }
JsonObject to_json(const governance::Project& p) { return {{"id", p.id}, {"name", p.name}, {"created", to_rfc3339(p.created)}}; }
JsonObject to_json(const governance::User& u) { return {{"id", u.id}, {"name", u.name}, {"groups", texts(u.groups)}, {"disabled", u.disabled}, {"created", to_rfc3339(u.created)}}; }

template <class T>
Reply to_list(const Result<std::vector<T>>& found) {
  if (!found) return fail(found.error());
  JsonArray items;
  for (const auto& item : *found) items.push_back(to_json(item));
  return JsonObject{{"data", std::move(items)}};
}
template <class T>
Reply to_reply(const Result<T>& made) {
  if (!made) return fail(made.error());
  return to_json(*made);
}

std::string day(const JsonObject& object) { return text_of(object, "created").substr(0, 10); }

void print_places(const JsonObject& reply) {
  std::vector<std::vector<std::string>> rows{{"name", "id", "created"}};
  for (const JsonObject* item : objects_of(reply, "data")) rows.push_back({text_of(*item, "name"), text_of(*item, "id"), day(*item)});
  fmt::print("{}", table(rows));
}

bool is_disabled(const JsonObject& user) {
  const Json* flag = find(user, "disabled");
  return flag != nullptr && flag->is_bool() && flag->get_bool();
}

void print_users(const JsonObject& reply) {
  std::vector<std::vector<std::string>> rows{{"name", "groups", "state", "id", "created"}};
  for (const JsonObject* item : objects_of(reply, "data"))
    rows.push_back({text_of(*item, "name"), fmt::format("{}", fmt::join(strings_of(*item, "groups"), ",")), is_disabled(*item) ? "disabled" : "-", text_of(*item, "id"), day(*item)});
  fmt::print("{}", table(rows));
}

void print_groups(const JsonObject& reply) {
  std::vector<std::vector<std::string>> rows{{"group", "users"}};
  for (const JsonObject* item : objects_of(reply, "data")) rows.push_back({text_of(*item, "name"), fmt::format("{}", fmt::join(strings_of(*item, "users"), ", "))});
  fmt::print("{}", table(rows));
}

Reply groups_of(const Result<std::vector<governance::User>>& users) {
  if (!users) return fail(users.error());
  std::map<std::string, JsonArray> members;
  for (const auto& user : *users)
    for (const auto& group : user.groups) members[group].push_back(Json(user.name));
  JsonArray items;
  for (auto& [name, names] : members) items.push_back(JsonObject{{"name", name}, {"users", std::move(names)}});
  return JsonObject{{"data", std::move(items)}};
}

}  // namespace

int tenants_list(const Global& global) {
  return finish(on_folder(global, "", [](governance::Identity& identity, const Call& actor) { return to_list(identity.tenants(actor)); }), global, print_places);
}

int tenants_create(const Global& global, const PeopleOptions& options) {
  return finish(on_folder(global, "", [&](governance::Identity& identity, const Call& actor) { return to_reply(identity.create_tenant(actor, options.name)); }), global, [&](const JsonObject& made) {
    fmt::print("{} {}\n{}\n", text_of(made, "name"), text_of(made, "id"), dim(fmt::format("It has a project 'default'. Its first key: stoa keys create --tenant {} --user NAME --role admin", options.name)));
  });
}

int projects_list(const Global& global, const PeopleOptions& options) {
  return act(global, options, [](ApiClient& api) { return api.get("/v1/stoa/projects"); },
             [](governance::Identity& identity, const Call& actor) { return to_list(identity.projects(actor)); }, print_places);
}

int projects_create(const Global& global, const PeopleOptions& options) {
  return act(global, options, [&](ApiClient& api) { return api.post("/v1/stoa/projects", JsonObject{{"name", options.name}}); },
             [&](governance::Identity& identity, const Call& actor) { return to_reply(identity.create_project(actor, options.name)); },
             [](const JsonObject& made) { fmt::print("{} {}\n", text_of(made, "name"), text_of(made, "id")); });
}

int users_list(const Global& global, const PeopleOptions& options) {
  return act(global, options, [](ApiClient& api) { return api.get("/v1/stoa/users"); },
             [](governance::Identity& identity, const Call& actor) { return to_list(identity.users(actor)); }, print_users);
}

int users_create(const Global& global, const PeopleOptions& options) {
  return act(global, options, [&](ApiClient& api) { return api.post("/v1/stoa/users", JsonObject{{"name", options.name}, {"groups", texts(options.groups)}}); },
             [&](governance::Identity& identity, const Call& actor) { return to_reply(identity.create_user(actor, options.name, options.groups)); },
             [](const JsonObject& made) { fmt::print("{} {}\n", text_of(made, "name"), text_of(made, "id")); });
}

int users_disable(const Global& global, const PeopleOptions& options, bool disabled) {
  return act(global, options, [&](ApiClient& api) { return api.post(path_of("/v1/stoa/users/", options.name, disabled ? "/disable" : "/enable"), JsonObject{}); },
             [&](governance::Identity& identity, const Call& actor) -> Reply {
               STOA_CHECK(identity.disable_user(actor, options.name, disabled));
               return JsonObject{{"name", options.name}, {"disabled", disabled}};
             },
             [&](const JsonObject&) { fmt::print("{} is {}\n", options.name, disabled ? "disabled: no key and no sign-in of this user works any more" : "enabled again"); });
}

int groups_list(const Global& global, const PeopleOptions& options) {
  return act(global, options, [](ApiClient& api) { return api.get("/v1/stoa/groups"); },
             [](governance::Identity& identity, const Call& actor) { return groups_of(identity.users(actor)); }, print_groups);
}

int groups_change(const Global& global, const PeopleOptions& options, bool member) {
  const auto each = [&](const std::function<Reply(const std::string&)>& change) -> Reply {
    for (const auto& user : options.users) STOA_CHECK(change(user));
    return JsonObject{{"group", options.name}, {"users", texts(options.users)}, {"members", member}};
  };
  return act(global, options,
             [&](ApiClient& api) {
               const std::string path = path_of("/v1/stoa/groups/", options.name, "/users");
               return each([&](const std::string& user) { return member ? api.post(path, JsonObject{{"user", user}}) : api.remove(path_of(path + "/", user)); });
             },
             [&](governance::Identity& identity, const Call& actor) { return each([&](const std::string& user) { return to_reply(identity.change_group(actor, options.name, user, member)); }); },
             [&](const JsonObject&) { fmt::print("{} {} {}\n", fmt::join(options.users, ", "), member ? "now in" : "no longer in", options.name); });
}

}  // namespace stoa::cli
