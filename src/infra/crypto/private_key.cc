#include "infra/crypto/private_key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>

namespace stoa::infra {
namespace {

constexpr std::size_t kMaxPem = 32u << 10;
constexpr int kMinBits = 2048, kMaxBits = 8192;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// Without it OpenSSL would ask at the terminal for the password of an encrypted key.
int no_password(char*, int, int, void*) { return -1; }

}  // namespace

Result<Bytes> sign_rs256(std::string_view pem, ByteSpan message) {
  const auto unusable = [] { return fail(ErrorCode::kInvalidArgument, "the private key is no RSA key of {} to {} bits in PEM without a password", kMinBits, kMaxBits); };
  if (pem.empty() || pem.size() > kMaxPem) return unusable();
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Owned<EVP_PKEY> key(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key.get()) < kMinBits || EVP_PKEY_get_bits(key.get()) > kMaxBits) return unusable();
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key.get()));
  Bytes signature(size);
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, reinterpret_cast<const unsigned char*>(message.data()), message.size()) != 1)
    return unusable();
  signature.resize(size);
  return signature;
}

}  // namespace stoa::infra
