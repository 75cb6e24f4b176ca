#include "infra/crypto/secret.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "infra/crypto/random.h"

namespace stoa::infra {

void wipe(std::span<std::byte> memory) {
  if (!memory.empty()) OPENSSL_cleanse(memory.data(), memory.size());
}

Result<SecretKey> SecretKey::random() {
  STOA_TRY(bytes, random_bytes(kBytes));
  auto key = from(bytes);
  wipe(bytes);
  return key;
}

Result<SecretKey> SecretKey::from(ByteSpan bytes) {
  if (bytes.size() != kBytes) return fail(ErrorCode::kInvalidArgument, "a key has {} bytes, not {}", kBytes, bytes.size());
  SecretKey key;
  std::ranges::copy(bytes, key.bytes_.begin());
  return key;
}

}  // namespace stoa::infra
