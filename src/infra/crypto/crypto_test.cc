#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"

namespace stoa::infra {
namespace {

std::string text_of(const Bytes& bytes) { return std::string(as_text(bytes)); }

// FIPS 180-4 examples.
TEST(Hash, Sha256Vectors) {
  const struct { std::string input, digest; } table[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  Sha256 streaming;
  for (const auto& [input, digest] : table) {
    EXPECT_EQ(sha256_hex(input), digest);
    for (std::size_t at = 0; at < input.size(); at += 7) streaming.update(std::string_view(input).substr(at, 7));
    EXPECT_EQ(to_hex(streaming.finish()), digest) << "in pieces, from an object used before";
  }
}

// RFC 4231, cases 1, 2, 4, 6; and an empty key and message.
TEST(Hash, HmacVectors) {
  std::string counting;
  for (int i = 1; i <= 25; ++i) counting += static_cast<char>(i);
  const struct { std::string key, message, digest; } table[] = {
      {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {counting, std::string(50, '\xcd'), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {"", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
  };
  for (const auto& [key, message, digest] : table) EXPECT_EQ(to_hex(hmac_sha256(as_bytes(key), as_bytes(message))), digest);
}

TEST(Hash, ConstantTimeEqual) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("abc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "abd"));
  EXPECT_FALSE(constant_time_equal("abc", "ab"));
}

// RFC 4648, section 10, and the two letters in which the alphabets differ.
TEST(Encoding, Base64Vectors) {
  const struct { std::string bytes, padded, url; } table[] = {
      {"", "", ""},       {"f", "Zg==", "Zg"},           {"fo", "Zm8=", "Zm8"},           {"foo", "Zm9v", "Zm9v"},
      {"foob", "Zm9vYg==", "Zm9vYg"}, {"fooba", "Zm9vYmE=", "Zm9vYmE"}, {"foobar", "Zm9vYmFy", "Zm9vYmFy"}, {"\xfb\xff", "+/8=", "-_8"},
  };
  for (const auto& [bytes, padded, url] : table) {
    EXPECT_EQ(to_base64(as_bytes(bytes)), padded);
    EXPECT_EQ(to_base64url(as_bytes(bytes)), url);
    EXPECT_EQ(text_of(*from_base64(padded)), bytes);
    EXPECT_EQ(text_of(*from_base64url(url)), bytes);
  }
}

TEST(Encoding, RefusesEverySecondSpelling) {
  for (const auto* text : {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Z===", "====", "=", "Z", "-_8=", "Zm9v=", "Zg==Zg=="})
    EXPECT_EQ(from_base64(text).error().code, ErrorCode::kInvalidArgument) << text;
  for (const auto* text : {"Zg==", "Zh", "+/8", "Z", "Zm9 "})
    EXPECT_EQ(from_base64url(text).error().code, ErrorCode::kInvalidArgument) << text;
  for (const auto* text : {"a", "0g", "0x00", " 00"}) EXPECT_EQ(from_hex(text).error().code, ErrorCode::kInvalidArgument) << text;
}

TEST(Encoding, RandomRoundTrips) {
  for (std::size_t size = 0; size < 100; ++size) {
    const Bytes bytes = *random_bytes(size);
    ASSERT_EQ(bytes.size(), size);
    EXPECT_EQ(*from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(*from_base64url(to_base64url(bytes)), bytes);
    EXPECT_EQ(*from_hex(to_hex(bytes)), bytes);
  }
  EXPECT_NE(*random_bytes(32), *random_bytes(32));
}

}  // namespace
}  // namespace stoa::infra
