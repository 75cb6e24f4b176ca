// The files of web/ inside the binary; the definitions are generated while building.
#pragma once

#include <span>
#include <string_view>

namespace stoa::gateway {

struct ConsoleAsset {
  std::string_view name;   // "index.html", "console.css", "console.js"
  std::string_view bytes;
};

std::span<const ConsoleAsset> console_assets();

}  // namespace stoa::gateway
