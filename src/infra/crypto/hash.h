// SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104) and comparison of secrets in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace stoa::infra {

using Sha256Digest = std::array<std::byte, 32>;

// A hash fed piece by piece. Movable; one thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteSpan bytes);
  void update(std::string_view text) { update(as_bytes(text)); }
  // The digest of everything fed so far; the object then starts afresh.
  Sha256Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Sha256Digest sha256(ByteSpan bytes);
inline Sha256Digest sha256(std::string_view text) { return sha256(as_bytes(text)); }
std::string sha256_hex(std::string_view text);  // 64 lower-case hexadecimal digits

Sha256Digest hmac_sha256(ByteSpan key, ByteSpan message);

// Takes the same time wherever the two differ; texts of different lengths are unequal (their lengths are not secret).
bool constant_time_equal(ByteSpan a, ByteSpan b);
inline bool constant_time_equal(std::string_view a, std::string_view b) { return constant_time_equal(as_bytes(a), as_bytes(b)); }

}  // namespace stoa::infra
