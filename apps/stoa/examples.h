// Examples at the end of the verbs' help.
#pragma once

#include <string>
#include <string_view>

namespace stoa::cli {

// `path` is the verb with its subverb: "keys create". Every verb has an example; a test compares.
std::string help_footer(std::string_view path);

}  // namespace stoa::cli
