// Opens what a command works on: the server named by options and environment, or the data folder of this machine.
#pragma once

#include <string>

#include "base/result.h"
#include "commands/api_client.h"
#include "commands/commands.h"
#include "infra/config/config.h"

namespace stoa::cli {

// --url, else STOA_URL, else http://127.0.0.1:8080; without a trailing "/" or "/v1".
std::string server_url(const Global& global);

// With --key, else STOA_API_KEY, else the token of who is signed in there (stoa login).
ApiClient connect(const Global& global);

// Whether a verb that can do both works through a server: a key, a server or a sign-in was named. With --home it works on that folder.
bool wants_server(const Global& global);

// The configuration file that applies: --config, else stoa.yaml in the data folder where it exists, else empty.
std::string config_file(const Global& global);

// Defaults, that file, the environment, and --home over all.
Result<infra::Config> load_config(const Global& global);

}  // namespace stoa::cli
