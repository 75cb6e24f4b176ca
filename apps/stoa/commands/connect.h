// Opens what a command works on: the server named by options and environment, or the data folder of this machine.
#pragma once

#include <string>

#include "base/result.h"
#include "commands/api_client.h"
#include "commands/commands.h"

namespace stoa::cli {

ApiClient connect(const Global& global);

// --home, else STOA_HOME, else ~/.local/share/stoa.
std::string home_folder(const Global& global);

}  // namespace stoa::cli
