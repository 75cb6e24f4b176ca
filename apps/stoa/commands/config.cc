#include "commands/commands.h"

#include "base/json.h"
#include "commands/connect.h"
#include "commands/terminal.h"
#include "infra/config/config.h"

namespace stoa::cli {

int config_check(const Global& global) {
  const auto config = load_config(global);
  if (!config) return report(config.error(), global.json);
  const std::string file = config_file(global);
  if (global.json)
    fmt::print("{}\n", dump_json(JsonObject{{"ok", true}, {"file", file}}));
  else
    fmt::print("{}: {}\n", file.empty() ? "no configuration file; defaults and environment" : file, good("ok"));
  return kExitOk;
}

int config_show(const Global& global) {
  const auto config = load_config(global);
  if (!config) return report(config.error(), global.json);
  if (!global.json) {
    fmt::print("{}", infra::config_as_yaml(*config));
    return kExitOk;
  }
  JsonArray keys;
  for (const auto& key : infra::describe_config())
    keys.push_back(JsonObject{{"key", key.key}, {"type", key.type}, {"default", key.fallback}, {"env", key.env}, {"limits", key.limits}, {"meaning", key.meaning}});
  fmt::print("{}\n", dump_json_pretty(JsonObject{{"file", config_file(global)}, {"keys", keys}, {"in_force", infra::config_as_yaml(*config)}}));
  return kExitOk;
}

}  // namespace stoa::cli
