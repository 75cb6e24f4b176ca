// Key material: 256 bits that are wiped when they are no longer needed.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// Overwrites memory in a way that no compiler leaves out.
void wipe(std::span<std::byte> memory);
inline void wipe(Bytes& bytes) { wipe(std::span(bytes)); }

// A symmetric key. Copies hold the same secret; each is wiped when destroyed. Never logged, never compared with ==.
class SecretKey {
 public:
  static constexpr std::size_t kBytes = 32;

  SecretKey() = default;                            // all zero: a place to put a key
  static Result<SecretKey> random();                // errors of random_bytes
  static Result<SecretKey> from(ByteSpan bytes);    // kInvalidArgument for another length
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey() { wipe(bytes_); }

  ByteSpan bytes() const { return bytes_; }
  std::span<std::byte, kBytes> writable() { return bytes_; }

 private:
  std::array<std::byte, kBytes> bytes_{};
};

}  // namespace stoa::infra
