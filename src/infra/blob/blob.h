// The port of a store for immutable bytes, addressed by their SHA-256: "sha256:" and 64 lower-case hexadecimal digits.
// Storing the same bytes twice is one blob. Adapters: blob/disk; open_memory_blobs() is the twin for tests. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// True for the one spelling of a digest. Check what comes from outside; the store does so itself.
bool is_digest(std::string_view text);

// A blob in the making. Destroyed before commit() it leaves nothing behind. One thread at a time.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Status write(ByteSpan bytes) = 0;
  // Makes the blob durable and visible, at once and whole; gives its digest. No write may follow.
  virtual Result<std::string> commit() = 0;
  // The same under a name that the caller gives, in the form of a digest, in place of what was there. For bytes that vouch for themselves
  // (sealed ones): get() would find that they are not those of the name, read() does not look.
  virtual Status commit_as(std::string_view name) = 0;
};

// Errors: kInvalidArgument (not a digest), kNotFound, kTooLarge (more than the caller allows), kDataLoss (the bytes are not
// those of the digest), kResourceExhausted (store full), kUnavailable (cannot read or write).
class BlobStore {
 public:
  virtual ~BlobStore() = default;

  Result<std::string> put(ByteSpan bytes);  // through a writer; durable when it returns
  virtual Result<std::unique_ptr<BlobWriter>> writer() = 0;

  // The whole blob, at most `max_bytes`; its digest is verified.
  virtual Result<Bytes> get(std::string_view digest, std::uint64_t max_bytes) = 0;
  // `length` bytes from `offset`, fewer at the end of the blob. Not verified: a part has no digest.
  virtual Result<Bytes> read(std::string_view digest, std::uint64_t offset, std::size_t length) = 0;
  virtual Result<bool> exists(std::string_view digest) = 0;
  virtual Result<std::uint64_t> size(std::string_view digest) = 0;
  // Ok also when there is no such blob.
  virtual Status remove(std::string_view digest) = 0;
  // Every blob, in no particular order; `visit` returns false to stop. Blobs added or removed meanwhile may or may not be seen.
  virtual Status for_each(const std::function<Result<bool>(const std::string& digest, std::uint64_t size)>& visit) = 0;
};

// A store in memory that holds at most `max_bytes` in all.
std::unique_ptr<BlobStore> open_memory_blobs(std::uint64_t max_bytes = 256u << 20);

}  // namespace stoa::infra
