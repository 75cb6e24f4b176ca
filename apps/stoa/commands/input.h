// Texts that people name on the command line.
#pragma once

#include <string>

#include "base/result.h"

namespace stoa::cli {

// The whole of a file, or of standard input for "-". kNotFound, kTooLarge (16 MiB).
Result<std::string> read_text(const std::string& file);

}  // namespace stoa::cli
