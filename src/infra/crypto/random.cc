#include "infra/crypto/random.h"

#include <openssl/rand.h>

#include <climits>

namespace stoa::infra {

Result<Bytes> random_bytes(std::size_t count) {
  Bytes bytes(count);
  if (count > INT_MAX || RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1)
    return fail(ErrorCode::kUnavailable, "the system's random generator gave no {} bytes", count);
  return bytes;
}

}  // namespace stoa::infra
