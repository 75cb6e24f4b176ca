// Signing with RSA keys that others issued, as Google's service accounts have them. For keys of our own: signature.h.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// RS256 (RFC 7518, 3.3) with a private key in PEM (PKCS#8 or PKCS#1, not encrypted). kInvalidArgument for what is no RSA key of 2048 to 8192 bits; the
// error tells nothing of it.
Result<Bytes> sign_rs256(std::string_view pem, ByteSpan message);

}  // namespace stoa::infra
