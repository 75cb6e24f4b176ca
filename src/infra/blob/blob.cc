#include "infra/blob/blob.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::infra {
namespace {

constexpr std::string_view kScheme = "sha256:";
constexpr std::size_t kHexDigits = 64;

Error not_a_digest(std::string_view text) {
  return error(ErrorCode::kInvalidArgument, "'{}' is not a digest of the form sha256:<64 lower-case hexadecimal digits>", text.substr(0, 100));
}
Error no_blob(std::string_view digest) { return error(ErrorCode::kNotFound, "there is no blob {}", digest); }

class MemoryBlobs final : public BlobStore {
 public:
  explicit MemoryBlobs(std::uint64_t max_bytes) : max_bytes_(max_bytes) {}

  Result<std::unique_ptr<BlobWriter>> writer() override { return std::make_unique<Writer>(*this); }

  Result<Bytes> get(std::string_view digest, std::uint64_t max_bytes) override {
    std::lock_guard lock(mutex_);
    STOA_TRY(bytes, find(digest));
    if (bytes->size() > max_bytes) return fail(ErrorCode::kTooLarge, "blob {} has {} bytes, more than {}", digest, bytes->size(), max_bytes);
    return *bytes;
  }
  Result<Bytes> read(std::string_view digest, std::uint64_t offset, std::size_t length) override {
    std::lock_guard lock(mutex_);
    STOA_TRY(bytes, find(digest));
    const std::size_t from = std::min<std::uint64_t>(offset, bytes->size());
    const auto begin = bytes->begin() + static_cast<std::ptrdiff_t>(from);
    return Bytes(begin, begin + static_cast<std::ptrdiff_t>(std::min(length, bytes->size() - from)));
  }
  Result<bool> exists(std::string_view digest) override {
    if (!is_digest(digest)) return fail(not_a_digest(digest));
    std::lock_guard lock(mutex_);
    return blobs_.contains(digest);
  }
  Result<std::uint64_t> size(std::string_view digest) override {
    std::lock_guard lock(mutex_);
    STOA_TRY(bytes, find(digest));
    return bytes->size();
  }
  Status remove(std::string_view digest) override {
    if (!is_digest(digest)) return fail(not_a_digest(digest));
    std::lock_guard lock(mutex_);
    if (const auto at = blobs_.find(digest); at != blobs_.end()) {
      used_ -= at->second.size();
      blobs_.erase(at);
    }
    return {};
  }
  Status for_each(const std::function<Result<bool>(const std::string&, std::uint64_t)>& visit) override {
    std::vector<std::pair<std::string, std::uint64_t>> seen;  // a copy, so that `visit` may use the store
    {
      std::lock_guard lock(mutex_);
      for (const auto& [digest, bytes] : blobs_) seen.emplace_back(digest, bytes.size());
    }
    for (const auto& [digest, size] : seen) {
      STOA_TRY(more, visit(digest, size));
      if (!more) break;
    }
    return {};
  }

 private:
  class Writer final : public BlobWriter {
   public:
    explicit Writer(MemoryBlobs& store) : store_(store) {}
    Status write(ByteSpan bytes) override {
      if (bytes_.size() + bytes.size() > store_.max_bytes_) return fail(store_.full());
      bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
      return {};
    }
    Result<std::string> commit() override {
      std::string digest = std::string(kScheme) + to_hex(sha256(bytes_));
      STOA_CHECK(store_.add(digest, std::move(bytes_)));
      return digest;
    }
    Status commit_as(std::string_view name) override { return store_.add(std::string(name), std::move(bytes_)); }

   private:
    MemoryBlobs& store_;
    Bytes bytes_;
  };

  Error full() const { return error(ErrorCode::kResourceExhausted, "the blob store in memory holds at most {} bytes", max_bytes_); }

  Status add(const std::string& name, Bytes bytes) {
    if (!is_digest(name)) return fail(not_a_digest(name));
    std::lock_guard lock(mutex_);
    const auto old = blobs_.find(name);
    const std::uint64_t freed = old == blobs_.end() ? 0 : old->second.size();
    if (bytes.size() > max_bytes_ - (used_ - freed)) return fail(full());
    used_ += bytes.size() - freed;
    blobs_.insert_or_assign(name, std::move(bytes));
    return {};
  }
  Result<const Bytes*> find(std::string_view digest) const {
    if (!is_digest(digest)) return fail(not_a_digest(digest));
    const auto at = blobs_.find(digest);
    if (at == blobs_.end()) return fail(no_blob(digest));
    return &at->second;
  }

  const std::uint64_t max_bytes_;
  std::mutex mutex_;
  std::uint64_t used_ = 0;
  std::map<std::string, Bytes, std::less<>> blobs_;
};

}  // namespace

bool is_digest(std::string_view text) {
  if (!text.starts_with(kScheme) || text.size() != kScheme.size() + kHexDigits) return false;
  text.remove_prefix(kScheme.size());
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<std::string> BlobStore::put(ByteSpan bytes) {
  STOA_TRY(out, writer());
  STOA_CHECK(out->write(bytes));
  return out->commit();
}

std::unique_ptr<BlobStore> open_memory_blobs(std::uint64_t max_bytes) { return std::make_unique<MemoryBlobs>(max_bytes); }

}  // namespace stoa::infra
