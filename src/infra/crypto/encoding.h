// Bytes as text: hexadecimal, base64 and base64url (RFC 4648). Decoding is strict: no white space, no missing or surplus
// padding, no non-zero bits after the last byte; each text has one spelling.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

std::string to_hex(ByteSpan bytes);                    // lower case
Result<Bytes> from_hex(std::string_view text);         // either case

std::string to_base64(ByteSpan bytes);                 // with padding
Result<Bytes> from_base64(std::string_view text);      // padding required
std::string to_base64url(ByteSpan bytes);              // without padding
Result<Bytes> from_base64url(std::string_view text);   // padding refused

}  // namespace stoa::infra
