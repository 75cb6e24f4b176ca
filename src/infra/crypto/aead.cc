#include "infra/crypto/aead.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <new>

#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"

namespace stoa::infra {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::array<unsigned char, SecretKey::kBytes> kNoKey{};

void require(bool ok) {
  if (!ok) throw std::bad_alloc();
}

const unsigned char* raw(ByteSpan bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

// A cipher and its context, kept by each thread: making them costs more than sealing a small value.
struct Context {
  std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> cipher;
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free};

  explicit Context(const char* name) : cipher(EVP_CIPHER_fetch(nullptr, name, nullptr), EVP_CIPHER_free) {
    require(cipher != nullptr && context != nullptr);
    require(EVP_CipherInit_ex(context.get(), cipher.get(), nullptr, kNoKey.data(), nullptr, 1) == 1);
  }
  EVP_CIPHER_CTX* get() { return context.get(); }
};

// Puts another key in the place of the one that was used, so that none stays behind in an idle thread.
struct Forget {
  Context& context;
  ~Forget() { (void)EVP_CipherInit_ex(context.get(), nullptr, nullptr, kNoKey.data(), nullptr, 1); }
};

Context& gcm() {
  thread_local Context context("AES-256-GCM");
  return context;
}

// Feeds everything in steps that fit the library's int.
template <class Step>
void in_steps(std::size_t size, Step step) {
  constexpr std::size_t kMost = 1u << 30;
  for (std::size_t done = 0; done < size;) {
    const std::size_t length = std::min(kMost, size - done);
    step(done, static_cast<int>(length));
    done += length;
  }
}

void start(EVP_CIPHER_CTX* context, const SecretKey& key, AeadNonce nonce, ByteSpan aad, int sealing) {
  require(EVP_CipherInit_ex(context, nullptr, nullptr, raw(key.bytes()), raw(nonce), sealing) == 1);
  in_steps(aad.size(), [&](std::size_t at, int length) {
    int moved = 0;
    require(EVP_CipherUpdate(context, nullptr, &moved, raw(aad) + at, length) == 1);
  });
}

void update(EVP_CIPHER_CTX* context, ByteSpan in, std::byte* out) {
  in_steps(in.size(), [&](std::size_t at, int length) {
    int moved = 0;
    require(EVP_CipherUpdate(context, reinterpret_cast<unsigned char*>(out) + at, &moved, raw(in) + at, length) == 1);
  });
}

// The message key of XAES-256-GCM: two blocks of CMAC in counter mode over the first half of the nonce.
SecretKey message_key(const SecretKey& key, std::span<const std::byte, kAeadNonceBytes> half) {
  thread_local Context ecb("AES-256-ECB");
  const Forget forget{ecb};
  require(EVP_CipherInit_ex(ecb.get(), nullptr, nullptr, raw(key.bytes()), nullptr, 1) == 1);
  std::array<unsigned char, kBlock> subkey{};
  int moved = 0;
  require(EVP_CipherUpdate(ecb.get(), subkey.data(), &moved, subkey.data(), static_cast<int>(kBlock)) == 1);
  unsigned char carry = 0;
  for (std::size_t i = kBlock; i-- > 0;) {
    const auto top = static_cast<unsigned char>(subkey[i] >> 7);
    subkey[i] = static_cast<unsigned char>((subkey[i] << 1) | carry);
    carry = top;
  }
  if (carry != 0) subkey[kBlock - 1] ^= 0x87;
  SecretKey out;
  auto* key_bytes = reinterpret_cast<unsigned char*>(out.writable().data());
  for (unsigned char counter = 1; counter <= 2; ++counter) {
    std::array<unsigned char, kBlock> block{0, counter, 'X', 0};
    std::copy_n(raw(half), half.size(), block.begin() + 4);
    for (std::size_t i = 0; i < kBlock; ++i) block[i] ^= subkey[i];
    require(EVP_CipherUpdate(ecb.get(), key_bytes + (counter - 1) * kBlock, &moved, block.data(), static_cast<int>(kBlock)) == 1);
  }
  return out;
}

// Seals into `out`, which has room for the plain bytes and the tag.
void seal_into(const SecretKey& key, AeadNonce nonce, ByteSpan aad, ByteSpan plain, std::byte* out) {
  Context& context = gcm();
  const Forget forget{context};
  start(context.get(), key, nonce, aad, 1);
  update(context.get(), plain, out);
  int moved = 0;
  std::array<unsigned char, kBlock> nothing{};
  require(EVP_CipherFinal_ex(context.get(), nothing.data(), &moved) == 1);
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kAeadTagBytes), out + plain.size()) == 1);
}

std::unexpected<Error> refused() { return fail(ErrorCode::kDataLoss, "sealed bytes were changed, or belong elsewhere"); }

// Opens into `out`, which has room for all but the tag.
Status open_into(const SecretKey& key, AeadNonce nonce, ByteSpan aad, ByteSpan sealed, std::span<std::byte> out) {
  const ByteSpan body = sealed.first(sealed.size() - kAeadTagBytes);
  std::array<std::byte, kAeadTagBytes> tag{};
  std::ranges::copy(sealed.last(kAeadTagBytes), tag.begin());
  Context& context = gcm();
  const Forget forget{context};
  start(context.get(), key, nonce, aad, 0);
  update(context.get(), body, out.data());
  require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag.size()), tag.data()) == 1);
  int moved = 0;
  std::array<unsigned char, kBlock> nothing{};
  if (EVP_CipherFinal_ex(context.get(), nothing.data(), &moved) == 1) return {};
  wipe(out);
  return refused();
}

}  // namespace

Bytes aead_seal(const SecretKey& key, AeadNonce nonce, ByteSpan aad, ByteSpan plain) {
  Bytes out(plain.size() + kAeadTagBytes);
  seal_into(key, nonce, aad, plain, out.data());
  return out;
}

Result<Bytes> aead_open(const SecretKey& key, AeadNonce nonce, ByteSpan aad, ByteSpan sealed) {
  if (sealed.size() < kAeadTagBytes) return refused();
  Bytes out(sealed.size() - kAeadTagBytes);
  STOA_CHECK(open_into(key, nonce, aad, sealed, out));
  return out;
}

Bytes xaes_seal(const SecretKey& key, std::span<const std::byte, kSmallNonceBytes> nonce, ByteSpan aad, ByteSpan plain) {
  return aead_seal(message_key(key, nonce.first<kAeadNonceBytes>()), nonce.last<kAeadNonceBytes>(), aad, plain);
}

Result<Bytes> seal_small(const SecretKey& key, ByteSpan aad, ByteSpan plain) {
  STOA_TRY(random, random_bytes(kSmallNonceBytes));
  const std::span<const std::byte, kSmallNonceBytes> nonce(random.data(), kSmallNonceBytes);
  Bytes out(kSmallNonceBytes + plain.size() + kAeadTagBytes);
  std::ranges::copy(nonce, out.begin());
  seal_into(message_key(key, nonce.first<kAeadNonceBytes>()), nonce.last<kAeadNonceBytes>(), aad, plain, out.data() + kSmallNonceBytes);
  return out;
}

Result<Bytes> open_small(const SecretKey& key, ByteSpan aad, ByteSpan sealed) {
  if (sealed.size() < kSmallOverhead) return fail(ErrorCode::kDataLoss, "sealed bytes were cut off: {} of at least {}", sealed.size(), kSmallOverhead);
  Bytes plain(sealed.size() - kSmallOverhead);
  STOA_CHECK(open_small(key, aad, sealed, plain));
  return plain;
}

Status open_small(const SecretKey& key, ByteSpan aad, ByteSpan sealed, std::span<std::byte> plain) {
  if (sealed.size() != plain.size() + kSmallOverhead) return fail(ErrorCode::kDataLoss, "sealed bytes were cut off: {} of {}", sealed.size(), plain.size() + kSmallOverhead);
  const auto nonce = sealed.first<kSmallNonceBytes>();
  return open_into(message_key(key, nonce.first<kAeadNonceBytes>()), nonce.last<kAeadNonceBytes>(), aad, sealed.subspan(kSmallNonceBytes), plain);
}

SecretKey hkdf(ByteSpan secret, ByteSpan salt, std::string_view info) {
  Sha256Digest pseudo_random = hmac_sha256(salt, secret);
  Bytes message(info.size() + 1);
  std::ranges::copy(as_bytes(info), message.begin());
  message.back() = std::byte{1};  // the first block, and with 32 bytes the only one
  Sha256Digest block = hmac_sha256(pseudo_random, message);
  SecretKey key;
  std::ranges::copy(block, key.writable().begin());
  wipe(pseudo_random);
  wipe(block);
  return key;
}

}  // namespace stoa::infra
