// RFC 4648 base64, for the binary fields of tokenizer.json.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa::models {

// Standard alphabet, padding optional. kDataLoss names the offset of a character outside of it.
Result<std::string> decode_base64(std::string_view text);

}  // namespace stoa::models
