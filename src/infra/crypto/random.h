// Bytes no one can guess, from the operating system's generator.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// kUnavailable when the generator cannot be read (then nothing secret must be made).
Result<Bytes> random_bytes(std::size_t count);

}  // namespace stoa::infra
