// A file that was built into the binary (cmake/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace stoa {

struct EmbeddedFile {
  std::string_view name;   // without its folder
  std::string_view bytes;
};

}  // namespace stoa
