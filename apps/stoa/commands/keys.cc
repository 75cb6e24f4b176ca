#include "commands/commands.h"

#include <algorithm>
#include <charconv>

#include <fmt/ranges.h>

#include "base/json.h"
#include "base/time.h"
#include "commands/connect.h"
#include "commands/terminal.h"
#include "wiring/installation.h"

namespace stoa::cli {
namespace {

using governance::ApiKey;

struct Local {
  wiring::Installation installation;
  Call actor;
};

Result<Local> open_local(const Global& global) {
  STOA_TRY(config, load_config(global));
  STOA_TRY(installation, wiring::Installation::open(config));
  STOA_TRY(actor, installation.identity->local_operator());
  return Local{std::move(installation), Call::of(std::move(actor))};
}

// "90d", "12h", "30m".
Result<Micros> parse_duration(const std::string& text) {
  std::int64_t count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, text.data() + text.size());
  const std::int64_t seconds = unit == "d" ? 86400 : unit == "h" ? 3600 : unit == "m" ? 60 : unit == "s" ? 1 : 0;
  if (code != std::errc() || count <= 0 || count > 100'000 || seconds == 0)
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no length of time", text).with_hint("use a number and d, h, m or s, such as 90d"));
  return count * seconds * 1'000'000;
}

// The user exists and is in (at least) these groups.
Status ensure_user(Local& local, const std::string& name, const std::vector<std::string>& groups) {
  STOA_TRY(users, local.installation.identity->users(local.actor));
  const auto found = std::ranges::find(users, name, &governance::User::name);
  if (found == users.end()) {
    STOA_CHECK(local.installation.identity->create_user(local.actor, name, groups));
    return {};
  }
  std::vector<std::string> all = found->groups;
  all.insert(all.end(), groups.begin(), groups.end());
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (all != found->groups) STOA_CHECK(local.installation.identity->set_groups(local.actor, name, std::move(all)));
  return {};
}

std::string time_text(const std::optional<Micros>& time) { return time ? to_rfc3339(*time).substr(0, 16) + "Z" : "-"; }

JsonObject to_json(const ApiKey& key) {
  const auto time = [](const std::optional<Micros>& value) { return value ? Json(to_rfc3339(*value)) : Json(nullptr); };
  JsonArray scopes;
  for (const auto& scope : key.scopes) scopes.push_back(Json(scope));
  return {{"id", key.id},         {"prefix", key.prefix}, {"project", key.project},       {"user", key.user},
          {"label", key.label},   {"role", key.role}, {"scopes", std::move(scopes)}, {"created", to_rfc3339(key.created)}, {"expires", time(key.expires)},
          {"revoked", time(key.revoked)}, {"last_used", time(key.last_used)}};
}

Result<governance::IssuedKey> create(Local& local, const KeyOptions& options) {
  governance::NewKey key;
  key.project = options.project;
  key.user = options.user;
  key.label = options.name;
  key.role = options.role;
  key.scopes = options.scopes;
  if (!options.expires.empty()) {
    STOA_TRY(life, parse_duration(options.expires));
    key.expires = Clock::system().now() + life;
  }
  if (!options.user.empty())
    STOA_CHECK(ensure_user(local, options.user, options.groups));
  else if (!options.groups.empty())
    return fail(ErrorCode::kInvalidArgument, "--group needs --user: a service account has no groups");
  return local.installation.identity->issue_key(local.actor, key);
}

int show(const governance::IssuedKey& issued, const Global& global) {
  if (global.json) {
    JsonObject object = to_json(issued.key);
    object["key"] = issued.secret;
    fmt::print("{}\n", dump_json_pretty(object));
  } else {
    fmt::print("{}\n{}\n", issued.secret, dim(fmt::format("{} for {}, role {}{}, expires {}. It is shown this once: keep it safe.", issued.key.id,
                                                         issued.key.user.empty() ? "a service account" : issued.key.user, issued.key.role,
                                                         issued.key.scopes.empty() ? "" : fmt::format(", limited to {}", fmt::join(issued.key.scopes, ", ")),
                                                         time_text(issued.key.expires))));
  }
  return kExitOk;
}

}  // namespace

int keys_create(const Global& global, const KeyOptions& options) {
  auto local = open_local(global);
  if (!local) return report(local.error(), global.json);
  const auto issued = create(*local, options);
  return issued ? show(*issued, global) : report(issued.error(), global.json);
}

int keys_rotate(const Global& global, const std::string& id, const std::string& overlap) {
  auto local = open_local(global);
  if (!local) return report(local.error(), global.json);
  const auto length = overlap == "0" ? Result<Micros>(0) : parse_duration(overlap);
  if (!length) return report(length.error(), global.json);
  const auto issued = local->installation.identity->rotate_key(local->actor, id, *length);
  return issued ? show(*issued, global) : report(issued.error(), global.json);
}

int keys_list(const Global& global, const std::string& project) {
  auto local = open_local(global);
  if (!local) return report(local.error(), global.json);
  const auto projects = local->installation.identity->projects(local->actor);
  if (!projects) return report(projects.error(), global.json);
  const auto found = std::ranges::find_if(*projects, [&](const auto& item) { return item.name == project || item.id == project; });
  if (found == projects->end()) return report(error(ErrorCode::kNotFound, "there is no project '{}'", project), global.json);
  local->actor.principal.project = found->id;
  const auto keys = local->installation.identity->keys(local->actor);
  if (!keys) return report(keys.error(), global.json);
  if (global.json) {
    JsonArray array;
    for (const auto& key : *keys) array.push_back(to_json(key));
    fmt::print("{}\n", dump_json_pretty(JsonObject{{"data", array}}));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{"id", "prefix", "user", "role", "scopes", "created", "expires", "revoked", "last used", "label"}};
  for (const auto& key : *keys)
    rows.push_back({key.id, key.prefix, key.user.empty() ? "-" : key.user, key.role, key.scopes.empty() ? "-" : fmt::format("{}", fmt::join(key.scopes, ",")), time_text(key.created),
                    time_text(key.expires), time_text(key.revoked), time_text(key.last_used), key.label});
  fmt::print("{}", table(rows));
  return kExitOk;
}

int keys_revoke(const Global& global, const std::string& id) {
  auto local = open_local(global);
  if (!local) return report(local.error(), global.json);
  if (const Status revoked = local->installation.identity->revoke_key(local->actor, id); !revoked) return report(revoked.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json(JsonObject{{"id", id}, {"revoked", true}}));
  else
    fmt::print("{} is revoked\n", id);
  return kExitOk;
}

}  // namespace stoa::cli
