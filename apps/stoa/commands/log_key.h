// The public key of an audit log, as people hand it over.
#pragma once

#include <string>

#include "governance/audit/checkpoint.h"

namespace stoa::cli {

// The text of a key, or of a file that holds one.
Result<governance::CheckpointKey> read_log_key(const std::string& text);

}  // namespace stoa::cli
