#include "infra/crypto/aead.h"

#include <gtest/gtest.h>

#include <random>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::infra {
namespace {

Bytes hex(std::string_view text) { return *from_hex(text); }
SecretKey key_of(std::string_view text) { return *SecretKey::from(hex(text)); }
AeadNonce nonce_of(const Bytes& bytes) { return AeadNonce(bytes.data(), kAeadNonceBytes); }

// Test cases 13 to 16 of the GCM specification (McGrew and Viega), which NIST's validation suite carries as well.
TEST(Aead, PublishedVectors) {
  const std::string zeros(64, '0'), key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce = "cafebabefacedbaddecaf888";
  const std::string plain =
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
  const std::string cipher =
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
  const struct { std::string key, nonce, aad, plain, sealed; } table[] = {
      {zeros, std::string(24, '0'), "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
      {zeros, std::string(24, '0'), "", std::string(32, '0'), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
      {key, nonce, "", plain, cipher + "b094dac5d93471bdec1a502270e3cc6c"},
      {key, nonce, "feedfacedeadbeeffeedfacedeadbeefabaddad2", plain.substr(0, 120), cipher.substr(0, 120) + "76fc6ece0f4e1768cddf8853bb2d551b"}};
  for (const auto& row : table) {
    const Bytes iv = hex(row.nonce);
    EXPECT_EQ(to_hex(aead_seal(key_of(row.key), nonce_of(iv), hex(row.aad), hex(row.plain))), row.sealed);
    const auto opened = aead_open(key_of(row.key), nonce_of(iv), hex(row.aad), hex(row.sealed));
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_hex(*opened), row.plain);
  }
}

// The vectors of C2SP's specification: with a subkey whose first bit is clear, and set.
TEST(Aead, ExtendedNonceVectors) {
  const Bytes nonce(as_bytes("ABCDEFGHIJKLMNOPQRSTUVWX").begin(), as_bytes("ABCDEFGHIJKLMNOPQRSTUVWX").end());
  const std::span<const std::byte, kSmallNonceBytes> fixed(nonce.data(), kSmallNonceBytes);
  const struct { std::string key, aad, sealed; } table[] = {
      {"0101010101010101010101010101010101010101010101010101010101010101", "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
      {"0303030303030303030303030303030303030303030303030303030303030303", "c2sp.org/XAES-256-GCM",
       "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"}};
  for (const auto& row : table) {
    EXPECT_EQ(to_hex(xaes_seal(key_of(row.key), fixed, as_bytes(row.aad), as_bytes("XAES-256-GCM"))), row.sealed);
    Bytes whole = nonce;
    const Bytes sealed = hex(row.sealed);
    whole.insert(whole.end(), sealed.begin(), sealed.end());
    const auto opened = open_small(key_of(row.key), as_bytes(row.aad), whole);
    ASSERT_TRUE(opened);
    EXPECT_EQ(as_text(*opened), "XAES-256-GCM");
  }
}

// RFC 5869, test case 1: the first 32 of its 42 bytes.
TEST(Aead, DerivedKeys) {
  const Bytes info = hex("f0f1f2f3f4f5f6f7f8f9");
  const SecretKey key = hkdf(hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), hex("000102030405060708090a0b0c"), as_text(info));
  EXPECT_EQ(to_hex(key.bytes()), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

TEST(Aead, AnyChangeIsNoticed) {
  std::mt19937 random(7);
  const SecretKey key = *SecretKey::random();
  for (const std::size_t size : {0, 1, 15, 16, 17, 1000, 70'000}) {
    Bytes plain(size);
    for (auto& byte : plain) byte = static_cast<std::byte>(random());
    const auto sealed = seal_small(key, as_bytes("table:row"), plain);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->size(), size + kSmallOverhead);
    EXPECT_EQ(*open_small(key, as_bytes("table:row"), *sealed), plain);
    Bytes longer(size + 1);
    EXPECT_EQ(open_small(key, as_bytes("table:row"), *sealed, longer).error().code, ErrorCode::kDataLoss);
    EXPECT_NE(*seal_small(key, as_bytes("table:row"), plain), *sealed) << "equal values look different";
    EXPECT_EQ(open_small(key, as_bytes("table:row2"), *sealed).error().code, ErrorCode::kDataLoss);
    EXPECT_FALSE(open_small(*SecretKey::random(), as_bytes("table:row"), *sealed));
    for (int i = 0; i < 50; ++i) {
      Bytes changed = *sealed;
      changed[random() % changed.size()] ^= static_cast<std::byte>(1u << (random() % 8));
      EXPECT_FALSE(open_small(key, as_bytes("table:row"), changed));
    }
    for (const std::size_t left : {std::size_t{0}, std::size_t{5}, kSmallOverhead - 1, sealed->size() - 1})
      EXPECT_FALSE(open_small(key, as_bytes("table:row"), ByteSpan(*sealed).first(std::min(left, sealed->size() - 1))));
  }
}

TEST(SecretKey, IsWipedAndHasOneLength) {
  alignas(SecretKey) std::byte place[sizeof(SecretKey)];
  auto* key = new (place) SecretKey(*SecretKey::from(Bytes(32, std::byte{0xab})));
  key->~SecretKey();
  for (const std::byte byte : place) EXPECT_EQ(byte, std::byte{0});
  EXPECT_EQ(SecretKey::from(Bytes(31)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(constant_time_equal(SecretKey::random()->bytes(), SecretKey::random()->bytes()));
}

}  // namespace
}  // namespace stoa::infra
