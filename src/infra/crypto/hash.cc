#include "infra/crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <new>

#include "infra/crypto/encoding.h"

namespace stoa::infra {
namespace {

// OpenSSL's digest calls fail only when memory runs out or the library is broken; there is nothing a caller could do.
void require(bool ok) {
  if (!ok) throw std::bad_alloc();
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
  void restart() { require(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
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
  require(EVP_Digest(bytes.data(), bytes.size(), out_bytes(digest), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

std::string sha256_hex(std::string_view text) { return to_hex(sha256(text)); }

Sha256Digest hmac_sha256(ByteSpan key, ByteSpan message) {
  // A null key pointer means "keep the last key" to OpenSSL: an empty key needs an address.
  static constexpr unsigned char kNothing = 0;
  const void* key_data = key.empty() ? static_cast<const void*>(&kNothing) : key.data();
  Sha256Digest digest;
  unsigned int size = 0;
  require(HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()),
               message.size(), out_bytes(digest), &size) != nullptr && size == digest.size());
  return digest;
}

bool constant_time_equal(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace stoa::infra
