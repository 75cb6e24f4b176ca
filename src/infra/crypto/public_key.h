// Public keys of others, and the signatures that JSON Web Algorithms name (RFC 7518, RFC 8037). For keys of our own: signature.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

enum class SignatureScheme : std::uint8_t { kRs256, kRs384, kRs512, kPs256, kEs256, kEs384, kEdDsa };
std::string_view scheme_name(SignatureScheme scheme);  // "RS256"
// kUnsupported for any other name: "none" and the HMACs are not here, so no token can ask for them.
Result<SignatureScheme> parse_scheme(std::string_view name);

// A key that checks signatures. Immutable; copies share it; thread-safe.
class VerificationKey {
 public:
  // Numbers are big-endian, as in a JSON Web Key. kInvalidArgument: a modulus outside 2048 to 8192 bits, an even or huge exponent, a point
  // that is not on the curve, a wrong length.
  static Result<VerificationKey> rsa(ByteSpan modulus, ByteSpan exponent);
  static Result<VerificationKey> p256(ByteSpan x, ByteSpan y);
  static Result<VerificationKey> p384(ByteSpan x, ByteSpan y);
  static Result<VerificationKey> ed25519(ByteSpan x);

  // Whether keys of this kind make such signatures.
  bool fits(SignatureScheme scheme) const;
  // False for anything but the signature of this message by this key. ECDSA signatures are the two numbers one after the other.
  bool verify(SignatureScheme scheme, ByteSpan message, ByteSpan signature) const;

 private:
  struct State;
  explicit VerificationKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace stoa::infra
