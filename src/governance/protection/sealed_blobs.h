// Blobs of projects, sealed: an infra::BlobStore that holds ciphertext. A blob is asked for by the digest of its plain bytes, as ever, and
// stands in the store under an address made of project and digest with the project's key: nobody without that key can tell from the store
// which bytes are there, or whether two projects hold the same. Rows name addresses, so that freeing them needs no key.
// Format: docs/formats/sealed.md; it is cut into segments, so a part is read without the rest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "governance/protection/sealer.h"
#include "infra/blob/blob.h"

namespace stoa::governance {

struct StoredBlob {
  std::string digest;   // of the plain bytes: "sha256:..."
  std::string address;  // in the store, of the same form
};

// Thread-safe. `store` and `sealer` outlive it. Errors: those of infra::BlobStore and of Sealer::project.
class SealedBlobs {
 public:
  SealedBlobs(infra::BlobStore& store, Sealer& sealer) : store_(store), sealer_(sealer) {}

  Sealer& sealer() { return sealer_; }
  infra::BlobStore& store() { return store_; }

  Result<StoredBlob> put(const ProjectKeys& keys, ByteSpan bytes);  // durable when it returns
  // The whole blob, at most `max_bytes`; its digest is verified.
  Result<Bytes> get(const ProjectKeys& keys, std::string_view digest, std::uint64_t max_bytes);
  // `length` bytes from `offset`, fewer at the end of the blob. Each segment is verified.
  Result<Bytes> read(const ProjectKeys& keys, std::string_view digest, std::uint64_t offset, std::size_t length);
  Result<std::uint64_t> size(const ProjectKeys& keys, std::string_view digest);  // of the plain bytes
  Result<bool> exists(const ProjectKeys& keys, std::string_view digest) { return store_.exists(address_of(keys, digest)); }

  static std::string address_of(const ProjectKeys& keys, std::string_view digest);

  // Seals the blob at `address` under the project's newest data key; false when it was so already, or is gone. Readers see the one or the
  // other, whole.
  Result<bool> reseal(const ProjectKeys& keys, const std::string& address);
  // A plain blob of an earlier release, sealed; nothing where it was done before, or there is none. The plain one stays until
  // KeyAdmin::scrub, since other rows may name it.
  Status take_over(const ProjectKeys& keys, const std::string& digest);
  // Whether the blob at `address` is sealed: for taking over stores from before there was sealing.
  Result<bool> is_sealed(const std::string& address);

 private:
  infra::BlobStore& store_;
  Sealer& sealer_;
};

}  // namespace stoa::governance
