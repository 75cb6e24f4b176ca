// Shell scripts that complete verbs and options by asking the binary itself.
#pragma once

#include <string_view>

namespace stoa::cli {

std::string_view completion_script(std::string_view shell);  // bash or zsh

}  // namespace stoa::cli
