// stoa keys: through a server where a key, a server or a sign-in was named, else on the data folder.
#include "commands/commands.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/json.h"
#include "base/time.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/local.h"
#include "commands/terminal.h"
#include "infra/http/url.h"

namespace stoa::cli {
namespace {

using governance::ApiKey;
using governance::IssuedKey;
using Reply = Result<JsonObject>;

JsonArray texts(const std::vector<std::string>& items) { return JsonArray(items.begin(), items.end()); }

JsonObject to_json(const ApiKey& key) {
  const auto time = [](const std::optional<Micros>& value) { return value ? Json(to_rfc3339(*value)) : Json(nullptr); };
  return {{"id", key.id}, {"prefix", key.prefix}, {"project", key.project}, {"user", key.user}, {"label", key.label}, {"role", key.role}, {"scopes", texts(key.scopes)},
          {"created", to_rfc3339(key.created)}, {"expires", time(key.expires)}, {"revoked", time(key.revoked)}, {"last_used", time(key.last_used)}};
}

Reply to_json(const Result<IssuedKey>& issued) {
  if (!issued) return fail(issued.error());
  JsonObject object = to_json(issued->key);
  object["key"] = issued->secret;
  return object;
}

// The user exists and is in (at least) these groups.
Status ensure_user(Local& local, const std::string& name, const std::vector<std::string>& groups) {
  auto& identity = *local.installation.identity;
  STOA_TRY(users, identity.users(local.actor));
  if (std::ranges::find(users, name, &governance::User::name) == users.end()) {
    STOA_CHECK(identity.create_user(local.actor, name, groups));
    return {};
  }
  for (const auto& group : groups) STOA_CHECK(identity.change_group(local.actor, group, name, true));
  return {};
}

Status ensure_user(ApiClient& api, const std::string& name, const std::vector<std::string>& groups) {
  const auto made = api.post("/v1/stoa/users", JsonObject{{"name", name}, {"groups", texts(groups)}});
  if (made) return {};
  if (made.error().code != ErrorCode::kConflict) return fail(made.error());
  for (const auto& group : groups) STOA_CHECK(api.post(fmt::format("/v1/stoa/groups/{}/users", infra::percent_encode(group)), JsonObject{{"user", name}}));
  return {};
}

Reply create_there(const Global& global, const KeyOptions& options, const std::optional<Micros>& expires) {
  auto api = connect(global);
  if (!options.user.empty()) STOA_CHECK(ensure_user(api, options.user, options.groups));
  JsonObject body{{"user", options.user}, {"label", options.name}, {"role", options.role}, {"scopes", texts(options.scopes)}};
  if (!options.project.empty()) body["project"] = options.project;
  if (expires) body["expires"] = to_rfc3339(*expires);
  return api.post("/v1/stoa/keys", body);
}

Reply create_here(const Global& global, const KeyOptions& options, const std::optional<Micros>& expires) {
  STOA_TRY(local, open_local(global, options.tenant));
  if (!options.user.empty()) STOA_CHECK(ensure_user(local, options.user, options.groups));
  return to_json(local.installation.identity->issue_key(local.actor, {options.project, options.user, options.name, options.role, expires, options.scopes}));
}

Reply create(const Global& global, const KeyOptions& options) {
  std::optional<Micros> expires;
  if (!options.expires.empty()) {
    STOA_TRY(life, parse_duration(options.expires));
    expires = Clock::system().now() + life;
  }
  if (options.user.empty() && !options.groups.empty()) return fail(ErrorCode::kInvalidArgument, "--group needs --user: a service account has no groups");
  return wants_server(global) ? create_there(global, options, expires) : create_here(global, options, expires);
}

Reply list_here(const Global& global, const KeyOptions& options) {
  STOA_TRY(local, open_local(global, options.tenant));
  STOA_TRY(projects, local.installation.identity->projects(local.actor));
  const std::string wanted = options.project.empty() ? "default" : options.project;
  const auto found = std::ranges::find_if(projects, [&](const auto& item) { return item.name == wanted || item.id == wanted; });
  if (found == projects.end()) return fail(error(ErrorCode::kNotFound, "there is no project '{}'", wanted).with_hint("`stoa projects list` shows them"));
  local.actor.principal.project = found->id;
  STOA_TRY(keys, local.installation.identity->keys(local.actor));
  JsonArray items;
  for (const auto& key : keys) items.push_back(to_json(key));
  return JsonObject{{"data", std::move(items)}};
}

Reply list_there(const Global& global, const KeyOptions& options) {
  if (!options.project.empty()) return fail(error(ErrorCode::kInvalidArgument, "a server lists the keys of the project that the key you use is for").with_hint("leave --project out, or add --home FOLDER to work on the data folder"));
  auto api = connect(global);
  return api.get("/v1/stoa/keys");
}

Reply rotate(const Global& global, const std::string& id, const std::string& overlap) {
  Micros length = 0;
  if (overlap != "0") {
    STOA_TRY(parsed, parse_duration(overlap));
    length = parsed;
  }
  if (wants_server(global)) {
    auto api = connect(global);
    return api.post(fmt::format("/v1/stoa/keys/{}/rotate", infra::percent_encode(id)), JsonObject{{"overlap_seconds", length / 1'000'000}});
  }
  STOA_TRY(local, open_local(global, ""));
  return to_json(local.installation.identity->rotate_key(local.actor, id, length));
}

Reply revoke(const Global& global, const std::string& id) {
  if (wants_server(global)) {
    auto api = connect(global);
    return api.remove("/v1/stoa/keys/" + infra::percent_encode(id));
  }
  STOA_TRY(local, open_local(global, ""));
  STOA_CHECK(local.installation.identity->revoke_key(local.actor, id));
  return JsonObject{{"id", id}, {"revoked", true}};
}

std::string minute_of(const JsonObject& object, std::string_view key) {
  const std::string time = text_of(object, key);
  return time.empty() ? "-" : time.substr(0, 16) + "Z";
}

std::string or_dash(std::string text) { return text.empty() ? "-" : text; }

int show(const Reply& issued, const Global& global) {
  if (!issued) return report(issued.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*issued));
    return kExitOk;
  }
  const auto scopes = strings_of(*issued, "scopes");
  const std::string user = text_of(*issued, "user");
  fmt::print("{}\n{}\n", text_of(*issued, "key"),
             dim(fmt::format("{} for {}, role {}{}, expires {}. It is shown this once: keep it safe.", text_of(*issued, "id"), user.empty() ? "a service account" : user, text_of(*issued, "role"),
                             scopes.empty() ? "" : fmt::format(", limited to {}", fmt::join(scopes, ", ")), minute_of(*issued, "expires"))));
  return kExitOk;
}

}  // namespace

int keys_create(const Global& global, const KeyOptions& options) { return show(create(global, options), global); }

int keys_rotate(const Global& global, const std::string& id, const std::string& overlap) { return show(rotate(global, id, overlap), global); }

int keys_list(const Global& global, const KeyOptions& options) {
  const auto reply = wants_server(global) ? list_there(global, options) : list_here(global, options);
  if (!reply) return report(reply.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*reply));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{"id", "prefix", "user", "role", "scopes", "created", "expires", "revoked", "last used", "label"}};
  for (const JsonObject* key : objects_of(*reply, "data"))
    rows.push_back({text_of(*key, "id"), text_of(*key, "prefix"), or_dash(text_of(*key, "user")), text_of(*key, "role"), or_dash(fmt::format("{}", fmt::join(strings_of(*key, "scopes"), ","))),
                    minute_of(*key, "created"), minute_of(*key, "expires"), minute_of(*key, "revoked"), minute_of(*key, "last_used"), text_of(*key, "label")});
  fmt::print("{}", table(rows));
  return kExitOk;
}

int keys_revoke(const Global& global, const std::string& id) {
  const auto reply = revoke(global, id);
  if (!reply) return report(reply.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json(*reply));
  else
    fmt::print("{} is revoked\n", id);
  return kExitOk;
}

}  // namespace stoa::cli
