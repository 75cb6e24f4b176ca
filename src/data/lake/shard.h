// Shards of rows: JSON Lines under zstd. Internal to this folder; the one place that names zstd.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::data {

// Deterministic: the same text gives the same bytes with the same zstd release.
Result<Bytes> compress(std::string_view text);
// Streams the text out in pieces; kDataLoss when the bytes are broken, kTooLarge beyond `max_bytes` of text.
Status decompress(ByteSpan bytes, std::uint64_t max_bytes, const std::function<Result<bool>(std::string_view)>& take);

}  // namespace stoa::data
