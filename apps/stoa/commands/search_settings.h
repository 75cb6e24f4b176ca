// How searches are done, as the API has it.
#pragma once

#include "base/json.h"
#include "commands/commands.h"

namespace stoa::cli {

// What is said in `options` of what a collection can keep, too: how, not what is looked for.
JsonObject search_settings(const SearchOptions& options);

}  // namespace stoa::cli
