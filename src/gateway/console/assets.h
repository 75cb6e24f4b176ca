// The files of web/ inside the binary; the definition is generated while building.
#pragma once

#include "base/embedded.h"

namespace stoa::gateway {

std::span<const EmbeddedFile> console_assets();  // index.html, console.css, console.js

}  // namespace stoa::gateway
