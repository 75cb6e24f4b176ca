#include "infra/crypto/md5.h"

#include <array>

#include <openssl/evp.h>

#include "infra/crypto/encoding.h"

namespace stoa::infra {

std::string md5_hex(ByteSpan bytes) {
  std::array<std::byte, 16> digest{};
  // Fails for want of memory alone, and where the installation's OpenSSL forbids MD5: then no checksum is equal to this.
  if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr, EVP_md5(), nullptr) != 1) return {};
  return to_hex(digest);
}

}  // namespace stoa::infra
