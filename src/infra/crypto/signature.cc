#include "infra/crypto/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <new>

namespace stoa::infra {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Context = std::unique_ptr<EVP_MD_CTX, Free>;

const unsigned char* bytes_of(ByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// With a key of the right length these calls fail only when memory runs out.
void require(bool ok) {
  if (!ok) throw std::bad_alloc();
}

Key private_key(ByteSpan seed) {
  Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes_of(seed), seed.size()));
  require(key != nullptr);
  return key;
}

}  // namespace

Result<SigningKey> SigningKey::from_seed(ByteSpan seed) {
  if (seed.size() != kSeedBytes) return fail(ErrorCode::kInvalidArgument, "a signing key is made from {} bytes, not {}", kSeedBytes, seed.size());
  SigningKey key;
  std::ranges::copy(seed, key.seed_.begin());
  std::size_t size = key.public_.size();
  require(EVP_PKEY_get_raw_public_key(private_key(seed).get(), reinterpret_cast<unsigned char*>(key.public_.data()), &size) == 1 && size == key.public_.size());
  return key;
}

SigningKey::~SigningKey() { OPENSSL_cleanse(seed_.data(), seed_.size()); }

Signature SigningKey::sign(ByteSpan message) const {
  const Key key = private_key(seed_);
  const Context context(EVP_MD_CTX_new());
  Signature signature;
  std::size_t size = signature.size();
  require(context != nullptr && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
          EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes_of(message), message.size()) == 1 && size == signature.size());
  return signature;
}

bool verify_signature(const PublicKey& key, ByteSpan message, ByteSpan signature) {
  const Key public_key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(ByteSpan(key)), key.size()));
  const Context context(EVP_MD_CTX_new());
  return public_key != nullptr && context != nullptr && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, public_key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
}

}  // namespace stoa::infra
