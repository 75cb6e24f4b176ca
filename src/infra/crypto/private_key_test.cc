#include "infra/crypto/private_key.h"

#include <gtest/gtest.h>

#include "infra/crypto/public_key.h"
#include "infra/crypto/test_rsa.h"

namespace stoa::infra {
namespace {

TEST(PrivateKey, SignsWhatThePublicKeyVerifies) {
  const TestRsaKey pair;
  const auto signature = sign_rs256(pair.private_pem, as_bytes("a message"));
  ASSERT_TRUE(signature) << signature.error().message;
  const auto key = *VerificationKey::rsa(pair.modulus, pair.exponent);
  EXPECT_TRUE(key.verify(SignatureScheme::kRs256, as_bytes("a message"), *signature));
  EXPECT_FALSE(key.verify(SignatureScheme::kRs256, as_bytes("another"), *signature));
}

TEST(PrivateKey, RefusesWhatIsNoKey) {
  const std::string locked = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
  for (const std::string& pem : {std::string(), std::string("none"), std::string(100'000, 'a'), locked, TestRsaKey(1024).private_pem}) {
    const auto refused = sign_rs256(pem, as_bytes("m"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace stoa::infra
