// Raw bytes: an owner, a view, and the way between them and text.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace stoa {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

inline ByteSpan as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }
inline std::string_view as_text(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace stoa
