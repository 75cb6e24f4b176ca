// Opens what a command works on: the server named by options and environment, or the data folder of this machine.
#pragma once

#include <string>

#include "base/result.h"
#include "commands/api_client.h"
#include "commands/commands.h"
#include "infra/config/config.h"

namespace stoa::cli {

ApiClient connect(const Global& global);

// The configuration file that applies: --config, else stoa.yaml in the data folder where it exists, else empty.
std::string config_file(const Global& global);

// Defaults, that file, the environment, and --home over all.
Result<infra::Config> load_config(const Global& global);

}  // namespace stoa::cli
