// The data folder of this machine, opened by a verb that works on it without a server, as its operator.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "commands/commands.h"
#include "contracts/call.h"
#include "wiring/installation.h"

namespace stoa::cli {

struct Local {
  wiring::Installation installation;
  Call actor;
};
// `tenant`: whose operator; empty: "default".
Result<Local> open_local(const Global& global, const std::string& tenant);

// "90d", "12h", "30m", "45s".
Result<Micros> parse_duration(const std::string& text);

}  // namespace stoa::cli
