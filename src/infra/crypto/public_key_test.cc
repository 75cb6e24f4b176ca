#include "infra/crypto/public_key.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <memory>

namespace stoa::infra {
namespace {

// Keys of a signer, made for one test.
struct Signer {
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{nullptr, EVP_PKEY_free};

  Bytes number(const char* name) const {
    BIGNUM* found = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(key.get(), name, &found), 1);
    Bytes out(static_cast<std::size_t>(BN_num_bytes(found)));
    BN_bn2bin(found, reinterpret_cast<unsigned char*>(out.data()));
    BN_free(found);
    return out;
  }
  Bytes coordinate(const char* name, std::size_t size) const {
    Bytes out = number(name);
    out.insert(out.begin(), size - out.size(), std::byte{0});
    return out;
  }
  Bytes sign(const EVP_MD* digest, std::string_view text, bool pss = false) const {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* options = nullptr;
    EXPECT_EQ(EVP_DigestSignInit(context.get(), &options, digest, nullptr, key.get()), 1);
    if (pss) {
      EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }
    const auto* message = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t size = 0;
    EXPECT_EQ(EVP_DigestSign(context.get(), nullptr, &size, message, text.size()), 1);
    Bytes out(size);
    EXPECT_EQ(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, message, text.size()), 1);
    out.resize(size);
    return out;
  }
};

// The two numbers of a DER signature, `half` bytes each.
Bytes joined(const Bytes& der, int half) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
  Bytes out(2 * static_cast<std::size_t>(half));
  BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), reinterpret_cast<unsigned char*>(out.data()), half);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), reinterpret_cast<unsigned char*>(out.data()) + half, half);
  return out;
}

constexpr std::string_view kText = "a signed text";

// The signature holds for its text and its scheme, and for nothing else.
void check(const VerificationKey& key, SignatureScheme scheme, Bytes signature) {
  SCOPED_TRACE(scheme_name(scheme));
  EXPECT_TRUE(key.verify(scheme, as_bytes(kText), signature));
  EXPECT_FALSE(key.verify(scheme, as_bytes("a signed texT"), signature));
  for (int other = 0; other <= static_cast<int>(SignatureScheme::kEdDsa); ++other)
    EXPECT_EQ(key.verify(static_cast<SignatureScheme>(other), as_bytes(kText), signature), other == static_cast<int>(scheme));
  EXPECT_FALSE(key.verify(scheme, as_bytes(kText), ByteSpan(signature).first(signature.size() - 1)));
  EXPECT_FALSE(key.verify(scheme, as_bytes(kText), {}));
  EXPECT_FALSE(key.verify(scheme, as_bytes(kText), Bytes(signature.size())));  // all zeros: CVE-2022-21449 elsewhere
  signature[signature.size() / 2] ^= std::byte{1};
  EXPECT_FALSE(key.verify(scheme, as_bytes(kText), signature));
}

TEST(PublicKey, Rsa) {
  const Signer signer{{EVP_RSA_gen(2048), EVP_PKEY_free}};
  const Bytes n = signer.number(OSSL_PKEY_PARAM_RSA_N), e = signer.number(OSSL_PKEY_PARAM_RSA_E);
  const auto key = VerificationKey::rsa(n, e);
  ASSERT_TRUE(key) << key.error().message;
  check(*key, SignatureScheme::kRs256, signer.sign(EVP_sha256(), kText));
  check(*key, SignatureScheme::kRs384, signer.sign(EVP_sha384(), kText));
  check(*key, SignatureScheme::kRs512, signer.sign(EVP_sha512(), kText));
  check(*key, SignatureScheme::kPs256, signer.sign(EVP_sha256(), kText, true));

  const Bytes one{std::byte{1}}, even{std::byte{4}};
  for (const Bytes& exponent : {one, even, Bytes{}, Bytes(5, std::byte{255})}) EXPECT_FALSE(VerificationKey::rsa(n, exponent));
  EXPECT_FALSE(VerificationKey::rsa(ByteSpan(n).first(128), e));  // 1024 bits
  EXPECT_FALSE(VerificationKey::rsa(Bytes(2000, std::byte{255}), e));
  EXPECT_FALSE(VerificationKey::rsa({}, e));
}

TEST(PublicKey, EllipticCurves) {
  const Signer small{{EVP_EC_gen("prime256v1"), EVP_PKEY_free}}, large{{EVP_EC_gen("secp384r1"), EVP_PKEY_free}};
  Bytes x = small.coordinate(OSSL_PKEY_PARAM_EC_PUB_X, 32), y = small.coordinate(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
  const auto p256 = VerificationKey::p256(x, y);
  ASSERT_TRUE(p256);
  check(*p256, SignatureScheme::kEs256, joined(small.sign(EVP_sha256(), kText), 32));
  const auto p384 = VerificationKey::p384(large.coordinate(OSSL_PKEY_PARAM_EC_PUB_X, 48), large.coordinate(OSSL_PKEY_PARAM_EC_PUB_Y, 48));
  ASSERT_TRUE(p384);
  check(*p384, SignatureScheme::kEs384, joined(large.sign(EVP_sha384(), kText), 48));

  EXPECT_FALSE(VerificationKey::p384(x, y));
  y[31] ^= std::byte{1};  // no longer on the curve
  EXPECT_FALSE(VerificationKey::p256(x, y));
  EXPECT_FALSE(VerificationKey::p256(Bytes(32), Bytes(32)));
}

TEST(PublicKey, Names) {
  for (const std::string_view name : {"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"}) EXPECT_EQ(scheme_name(*parse_scheme(name)), name);
  for (const std::string_view name : {"none", "None", "", "HS256", "HS512", "rs256", "ES256K", "RSA1_5"}) EXPECT_EQ(parse_scheme(name).error().code, ErrorCode::kUnsupported) << name;
}

}  // namespace
}  // namespace stoa::infra
