// MD5 (RFC 1321): for checksums that protocols ask for, against accidents; proof of nothing.
#pragma once

#include <string>

#include "base/bytes.h"

namespace stoa::infra {

std::string md5_hex(ByteSpan bytes);  // 32 lower-case hexadecimal digits

}  // namespace stoa::infra
