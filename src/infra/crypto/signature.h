// Ed25519 signatures (RFC 8032).
#pragma once

#include <array>
#include <cstddef>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

using PublicKey = std::array<std::byte, 32>;
using Signature = std::array<std::byte, 64>;

// A private key. Copies hold the same secret; they are wiped when destroyed. Thread-safe once made.
class SigningKey {
 public:
  static constexpr std::size_t kSeedBytes = 32;

  // The key that `seed` (32 secret random bytes) stands for. kInvalidArgument for another length.
  static Result<SigningKey> from_seed(ByteSpan seed);
  SigningKey(const SigningKey&) = default;
  ~SigningKey();

  const PublicKey& public_key() const { return public_; }
  Signature sign(ByteSpan message) const;

 private:
  SigningKey() = default;
  std::array<std::byte, kSeedBytes> seed_{};
  PublicKey public_{};
};

// False for anything but the signature of this message by this key.
bool verify_signature(const PublicKey& key, ByteSpan message, ByteSpan signature);

}  // namespace stoa::infra
