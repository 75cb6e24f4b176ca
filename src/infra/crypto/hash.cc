#include "infra/crypto/hash.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>
#include <new>

#include "infra/crypto/encoding.h"

namespace stoa::infra {
namespace {

// OpenSSL's digest calls fail only when memory runs out or the library is broken; there is nothing a caller could do.
void require(bool ok) {
  if (!ok) throw std::bad_alloc();
}

// Asking OpenSSL for an algorithm by name takes longer than hashing a short text: once is enough.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  require(algorithm != nullptr);
  return algorithm;
}

// HMAC-SHA-256 without a key, to be copied.
const EVP_MAC_CTX* hmac_algorithm() {
  static const EVP_MAC_CTX* const algorithm = [] {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    require(mac != nullptr);
    EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    char name[] = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
    require(context != nullptr && EVP_MAC_CTX_set_params(context, parameters) == 1);
    return context;
  }();
  return algorithm;
}

unsigned char* out_bytes(Sha256Digest& digest) { return reinterpret_cast<unsigned char*>(digest.data()); }

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() {
    require(context != nullptr);
    restart();
  }
  ~State() { EVP_MD_CTX_free(context); }
  void restart() { require(EVP_DigestInit_ex(context, sha256_algorithm(), nullptr) == 1); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteSpan bytes) { require(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1); }

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  require(EVP_DigestFinal_ex(state_->context, out_bytes(digest), nullptr) == 1);
  state_->restart();
  return digest;
}

Sha256Digest sha256(ByteSpan bytes) {
  Sha256Digest digest;
  require(EVP_Digest(bytes.data(), bytes.size(), out_bytes(digest), nullptr, sha256_algorithm(), nullptr) == 1);
  return digest;
}

std::string sha256_hex(std::string_view text) { return to_hex(sha256(text)); }

Sha256Digest hmac_sha256(ByteSpan key, ByteSpan message) {
  // A null key pointer means "keep the last key" to OpenSSL: an empty key needs an address.
  static constexpr unsigned char kNothing = 0;
  const auto* key_data = key.empty() ? &kNothing : reinterpret_cast<const unsigned char*>(key.data());
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(EVP_MAC_CTX_dup(hmac_algorithm()), &EVP_MAC_CTX_free);
  Sha256Digest digest;
  std::size_t size = 0;
  require(context != nullptr && EVP_MAC_init(context.get(), key_data, key.size(), nullptr) == 1 &&
          EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(message.data()), message.size()) == 1 &&
          EVP_MAC_final(context.get(), out_bytes(digest), &size, digest.size()) == 1 && size == digest.size());
  return digest;
}

bool constant_time_equal(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace stoa::infra
