// Images in requests: what callers may send of them, the same in every dialect.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::gateway {

// A link to fetch (https:// or http://), or the image itself ("data:image/png;base64,..."). kInvalidArgument with `param`.
Result<ChatImage> image_of_url(std::string_view url, std::string_view param);
// png, jpeg, gif or webp, in base64. kInvalidArgument with `param`.
Result<ChatImage> image_of_data(std::string_view media_type, std::string_view base64, std::string_view param);

}  // namespace stoa::gateway
