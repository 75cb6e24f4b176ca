// Authenticated encryption: AES-256-GCM (NIST SP 800-38D), keys derived with HKDF-SHA-256 (RFC 5869), and XAES-256-GCM
// (C2SP, "XAES-256-GCM"), which takes 192-bit nonces by deriving a key for each message (SP 800-108 with AES-CMAC).
//
// Which one: seal_small() for values without a natural counter: its nonce is random, and one key may seal 2^64 values before an equal
// nonce becomes as likely as 2^-64, so no count has to be kept. aead_seal() where the caller numbers the parts of one object under a key
// that belongs to that object alone.
// Thread-safe. Small values cost about two microseconds. Memory running out throws std::bad_alloc, as everywhere.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "infra/crypto/secret.h"

namespace stoa::infra {

inline constexpr std::size_t kAeadNonceBytes = 12, kAeadTagBytes = 16;
inline constexpr std::size_t kSmallNonceBytes = 24, kSmallOverhead = kSmallNonceBytes + kAeadTagBytes;
using AeadNonce = std::span<const std::byte, kAeadNonceBytes>;

// Ciphertext and tag. Never use a nonce twice with one key.
Bytes aead_seal(const SecretKey& key, AeadNonce nonce, ByteSpan aad, ByteSpan plain);
// kDataLoss for anything but what aead_seal made with the same key, nonce and aad.
Result<Bytes> aead_open(const SecretKey& key, AeadNonce nonce, ByteSpan aad, ByteSpan sealed);

// XAES-256-GCM with a nonce of 24 bytes that the caller gives.
Bytes xaes_seal(const SecretKey& key, std::span<const std::byte, kSmallNonceBytes> nonce, ByteSpan aad, ByteSpan plain);

// XAES-256-GCM with a random nonce, which stands before the ciphertext: kSmallOverhead bytes more than `plain`.
Result<Bytes> seal_small(const SecretKey& key, ByteSpan aad, ByteSpan plain);
Result<Bytes> open_small(const SecretKey& key, ByteSpan aad, ByteSpan sealed);
// The same into `plain`, which has kSmallOverhead bytes less than `sealed`; it is wiped where what is sealed was changed.
Status open_small(const SecretKey& key, ByteSpan aad, ByteSpan sealed, std::span<std::byte> plain);

// HKDF-SHA-256: a key of 32 bytes for the purpose that `info` names.
SecretKey hkdf(ByteSpan secret, ByteSpan salt, std::string_view info);

}  // namespace stoa::infra
