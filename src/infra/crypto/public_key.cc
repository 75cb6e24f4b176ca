#include "infra/crypto/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <utility>

namespace stoa::infra {
namespace {

enum class Family { kRsa, kP256, kP384, kEd25519 };

struct SchemeInfo {
  SignatureScheme scheme;
  std::string_view name;
  Family family;
};
constexpr std::array kSchemes{
    SchemeInfo{SignatureScheme::kRs256, "RS256", Family::kRsa},   SchemeInfo{SignatureScheme::kRs384, "RS384", Family::kRsa},
    SchemeInfo{SignatureScheme::kRs512, "RS512", Family::kRsa},   SchemeInfo{SignatureScheme::kPs256, "PS256", Family::kRsa},
    SchemeInfo{SignatureScheme::kEs256, "ES256", Family::kP256},  SchemeInfo{SignatureScheme::kEs384, "ES384", Family::kP384},
    SchemeInfo{SignatureScheme::kEdDsa, "EdDSA", Family::kEd25519},
};
const SchemeInfo& info(SignatureScheme scheme) { return kSchemes[static_cast<std::size_t>(scheme)]; }

constexpr int kMinModulusBits = 2048, kMaxModulusBits = 8192;
constexpr std::size_t kMaxExponentBytes = 4;  // a huge exponent would make every check slow

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
  void operator()(OSSL_PARAM* params) const { OSSL_PARAM_free(params); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

const unsigned char* bytes_of(ByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
Owned<BIGNUM> number_of(ByteSpan bytes) { return Owned<BIGNUM>(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr)); }

std::unexpected<Error> unusable(std::string_view what) { return fail(ErrorCode::kInvalidArgument, "the public key cannot be used: {}", what); }

// A key of `type` from what the builder holds; null when OpenSSL refuses it.
Owned<EVP_PKEY> build(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  Owned<EVP_PKEY> key(made);
  const Owned<EVP_PKEY_CTX> check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1) return nullptr;
  return key;
}

Owned<EVP_PKEY> elliptic(const char* curve, std::size_t size, ByteSpan x, ByteSpan y) {
  if (x.size() != size || y.size() != size) return nullptr;
  Bytes point{std::byte{4}};  // uncompressed
  point.insert(point.end(), x.begin(), x.end());
  point.insert(point.end(), y.begin(), y.end());
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return nullptr;
  return build("EC", builder.get());
}

const EVP_MD* digest_of(SignatureScheme scheme) {
  switch (scheme) {
    case SignatureScheme::kRs256:
    case SignatureScheme::kPs256:
    case SignatureScheme::kEs256: return EVP_sha256();
    case SignatureScheme::kRs384:
    case SignatureScheme::kEs384: return EVP_sha384();
    case SignatureScheme::kRs512: return EVP_sha512();
    case SignatureScheme::kEdDsa: return nullptr;  // part of the scheme itself
  }
  return nullptr;
}

// RFC 7518, 3.4: r and s with leading zeros, into the DER that OpenSSL reads. Empty when it is not that.
Bytes to_der(ByteSpan signature, std::size_t half) {
  if (signature.size() != 2 * half) return {};
  Owned<BIGNUM> r = number_of(signature.first(half)), s = number_of(signature.subspan(half));
  const Owned<ECDSA_SIG> pair(ECDSA_SIG_new());
  if (r == nullptr || s == nullptr || pair == nullptr || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return {};
  const auto* begin = reinterpret_cast<const std::byte*>(der);
  Bytes out(begin, begin + size);
  OPENSSL_free(der);
  return out;
}

}  // namespace

struct VerificationKey::State {
  Family family;
  Owned<EVP_PKEY> key;
};

std::string_view scheme_name(SignatureScheme scheme) { return info(scheme).name; }

Result<SignatureScheme> parse_scheme(std::string_view name) {
  const auto found = std::ranges::find(kSchemes, name, &SchemeInfo::name);
  if (found == kSchemes.end()) return fail(ErrorCode::kUnsupported, "signatures of this kind are not accepted: RS256, RS384, RS512, PS256, ES256, ES384 and EdDSA are");
  return found->scheme;
}

Result<VerificationKey> VerificationKey::rsa(ByteSpan modulus, ByteSpan exponent) {
  if (modulus.size() > kMaxModulusBits / 8 + 1 || exponent.empty() || exponent.size() > kMaxExponentBytes) return unusable("its numbers are too long");
  const Owned<BIGNUM> n = number_of(modulus), e = number_of(exponent);
  if (n == nullptr || e == nullptr || BN_num_bits(n.get()) < kMinModulusBits || BN_num_bits(n.get()) > kMaxModulusBits)
    return unusable("an RSA modulus has 2048 to 8192 bits");
  if (!BN_is_odd(n.get()) || !BN_is_odd(e.get()) || BN_is_one(e.get())) return unusable("its numbers are not those of an RSA key");
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return unusable("it cannot be read");
  auto key = build("RSA", builder.get());
  if (key == nullptr) return unusable("its numbers are not those of an RSA key");
  return VerificationKey(std::make_shared<const State>(State{Family::kRsa, std::move(key)}));
}

Result<VerificationKey> VerificationKey::p256(ByteSpan x, ByteSpan y) {
  auto key = elliptic("prime256v1", 32, x, y);
  if (key == nullptr) return unusable("it is no point of the curve P-256");
  return VerificationKey(std::make_shared<const State>(State{Family::kP256, std::move(key)}));
}

Result<VerificationKey> VerificationKey::p384(ByteSpan x, ByteSpan y) {
  auto key = elliptic("secp384r1", 48, x, y);
  if (key == nullptr) return unusable("it is no point of the curve P-384");
  return VerificationKey(std::make_shared<const State>(State{Family::kP384, std::move(key)}));
}

Result<VerificationKey> VerificationKey::ed25519(ByteSpan x) {
  Owned<EVP_PKEY> key(x.size() == 32 ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()) : nullptr);
  if (key == nullptr) return unusable("an Ed25519 key has 32 bytes");
  return VerificationKey(std::make_shared<const State>(State{Family::kEd25519, std::move(key)}));
}

bool VerificationKey::fits(SignatureScheme scheme) const { return info(scheme).family == state_->family; }

bool VerificationKey::verify(SignatureScheme scheme, ByteSpan message, ByteSpan signature) const {
  if (!fits(scheme)) return false;
  Bytes der;
  if (state_->family == Family::kP256 || state_->family == Family::kP384) {
    der = to_der(signature, state_->family == Family::kP256 ? 32 : 48);
    if (der.empty()) return false;
    signature = der;
  }
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;  // the context's
  if (context == nullptr || EVP_DigestVerifyInit(context.get(), &options, digest_of(scheme), nullptr, state_->key.get()) != 1) return false;
  if (scheme == SignatureScheme::kPs256 && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
                                            EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  return EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
}

}  // namespace stoa::infra
