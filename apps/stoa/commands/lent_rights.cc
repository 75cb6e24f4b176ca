// stoa tokens, break-glass: rights lent for minutes, through a server. stoa nodes: the machines of the installation, on its data folder.
#include "commands/commands.h"

#include <functional>
#include <memory>

#include <fmt/ranges.h>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/local.h"
#include "commands/terminal.h"
#include "governance/identity/nodes.h"
#include "infra/http/url.h"

namespace stoa::cli {
namespace {

std::string minute_of(const JsonObject& object, std::string_view key) {
  const std::string time = text_of(object, key);
  return time.empty() ? "-" : time.substr(0, 16) + "Z";
}

int show(const Result<JsonObject>& reply, const Global& global, const std::vector<std::string>& header, const std::function<std::vector<std::string>(const JsonObject&)>& row) {
  if (!reply) return report(reply.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*reply));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{header};
  for (const JsonObject* item : objects_of(*reply, "data")) rows.push_back(row(*item));
  fmt::print("{}", table(rows));
  return kExitOk;
}

// One thing done: its JSON, or a line.
int done(const Result<JsonObject>& reply, const Global& global, std::string_view line) {
  if (!reply) return report(reply.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json_pretty(*reply));
  else
    fmt::print("{}\n", line);
  return kExitOk;
}

// A secret alone on standard output, so that a script can take it; what it is goes beside.
int secret(const Result<JsonObject>& reply, const Global& global, const std::function<std::string(const JsonObject&)>& about) {
  if (reply && !global.json) {
    fmt::print("{}\n", text_of(*reply, "token"));
    fmt::print(stderr, "{}\n", about(*reply));
    return kExitOk;
  }
  return done(reply, global, "");
}

// Nodes are the installation's: managed on its data folder, beside a running server too.
struct LocalNodes {
  Local local;
  std::unique_ptr<governance::Nodes> nodes;
  Call actor;
};

Result<LocalNodes> open_nodes(const Global& global) {
  STOA_TRY(local, open_local(global, ""));
  auto& installation = local.installation;
  STOA_TRY(nodes, governance::Nodes::open(*installation.database, *installation.audit, *installation.access));
  Call actor = local.actor;
  return LocalNodes{std::move(local), std::move(nodes), std::move(actor)};
}

JsonObject node_json(const governance::Node& node) {
  return {{"id", node.id}, {"object", "stoa.node"}, {"name", node.name}, {"fingerprint", node.fingerprint}, {"identity", node.identity},
          {"created", to_rfc3339(node.created)}, {"revoked", node.revoked ? Json(to_rfc3339(*node.revoked)) : Json(nullptr)}};
}

}  // namespace

int tokens_create(const Global& global, const TokenOptions& options) {
  JsonObject body{{"name", options.name}, {"grants", JsonArray(options.grants.begin(), options.grants.end())}};
  if (!options.expires.empty()) {
    const auto life = parse_duration(options.expires);
    if (!life) return report(life.error(), global.json);
    body["seconds"] = *life / 1'000'000;
  }
  auto api = connect(global);
  return secret(api.post("/v1/stoa/tokens", body), global, [](const JsonObject& made) {
    return fmt::format("{} may {} until {}, and nothing else. It is shown this once.", text_of(made, "id"), fmt::join(strings_of(made, "grants"), "; "), minute_of(made, "expires"));
  });
}

int tokens_list(const Global& global) {
  auto api = connect(global);
  return show(api.get("/v1/stoa/tokens"), global, {"id", "name", "may", "until"}, [](const JsonObject& item) -> std::vector<std::string> {
    return {text_of(item, "id"), text_of(item, "name"), fmt::format("{}", fmt::join(strings_of(item, "grants"), "; ")), minute_of(item, "expires")};
  });
}

int tokens_revoke(const Global& global, const std::string& id) {
  auto api = connect(global);
  return done(api.remove("/v1/stoa/tokens/" + infra::percent_encode(id)), global, id + " is revoked");
}

int break_glass_begin(const Global& global, const std::string& reason, int minutes) {
  auto api = connect(global);
  return secret(api.post("/v1/stoa/break-glass", JsonObject{{"reason", reason}, {"minutes", minutes}}), global, [](const JsonObject& made) {
    return fmt::format("{} is in force until {}. An alarm has gone out, and all that you do with it is recorded under it.\nUse it: STOA_API_KEY=<the token> stoa ...   End it: stoa break-glass end {}",
                       text_of(made, "id"), minute_of(made, "expires"), text_of(made, "id"));
  });
}

int break_glass_list(const Global& global) {
  auto api = connect(global);
  return show(api.get("/v1/stoa/break-glass"), global, {"id", "who", "begun", "until", "ended", "reason"}, [](const JsonObject& item) -> std::vector<std::string> {
    return {text_of(item, "id"), text_of(item, "user").empty() ? text_of(item, "principal") : text_of(item, "user"), minute_of(item, "created"), minute_of(item, "expires"), minute_of(item, "ended"), text_of(item, "reason")};
  });
}

int break_glass_end(const Global& global, const std::string& id) {
  auto api = connect(global);
  return done(api.remove("/v1/stoa/break-glass/" + infra::percent_encode(id)), global, id + " has ended");
}

int nodes_add(const Global& global, const NodeOptions& options) {
  auto local = open_nodes(global);
  if (!local) return report(local.error(), global.json);
  const auto made = local->nodes->add(local->actor, {options.name, options.fingerprint, options.identity});
  if (!made) return report(made.error(), global.json);
  return done(node_json(*made), global, fmt::format("{} {}", made->name, made->id));
}

int nodes_list(const Global& global) {
  auto local = open_nodes(global);
  if (!local) return report(local.error(), global.json);
  const auto nodes = local->nodes->list(local->actor);
  if (!nodes) return report(nodes.error(), global.json);
  JsonArray items;
  for (const auto& node : *nodes) items.push_back(node_json(node));
  return show(JsonObject{{"object", "list"}, {"data", std::move(items)}}, global, {"name", "id", "known by", "added", "revoked"}, [](const JsonObject& item) -> std::vector<std::string> {
    return {text_of(item, "name"), text_of(item, "id"), text_of(item, "identity").empty() ? text_of(item, "fingerprint").substr(0, 16) + "..." : text_of(item, "identity"), minute_of(item, "created"), minute_of(item, "revoked")};
  });
}

int nodes_revoke(const Global& global, const std::string& name) {
  auto local = open_nodes(global);
  if (!local) return report(local.error(), global.json);
  if (const Status revoked = local->nodes->revoke(local->actor, name); !revoked) return report(revoked.error(), global.json);
  return done(JsonObject{{"name", name}, {"revoked", true}}, global, name + " is revoked");
}

}  // namespace stoa::cli
