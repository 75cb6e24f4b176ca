// Texts that people name on the command line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa::cli {

// The whole of a file, or of standard input for "-". kNotFound, kTooLarge (16 MiB).
Result<std::string> read_text(const std::string& file);
// Into the file, in place of what is there; "-" is standard output, and an empty name is nowhere.
Status write_text(const std::string& file, std::string_view text);

}  // namespace stoa::cli
