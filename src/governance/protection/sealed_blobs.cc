#include "governance/protection/sealed_blobs.h"

#include <algorithm>
#include <array>
#include <limits>

#include "infra/crypto/aead.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"

namespace stoa::governance {
namespace {

constexpr std::string_view kMagic = "STOASEAL";
constexpr std::size_t kSalt = 32, kHeader = 8 + 1 + 1 + 2 + 4 + kSalt;  // magic, format, log2 of a segment, zero, key version, salt
constexpr std::byte kFormat{1};
constexpr int kSegmentBits = 16;
constexpr std::uint64_t kSegment = 1u << kSegmentBits, kSealedSegment = kSegment + infra::kAeadTagBytes;
constexpr std::uint64_t kSegmentsAtOnce = 64;

// Where the plain bytes of a sealed blob of a given length lie.
struct Layout {
  std::uint64_t segments = 0, plain = 0;

  static Result<Layout> of(std::uint64_t sealed, std::string_view address) {
    const std::uint64_t body = sealed < kHeader ? 0 : sealed - kHeader;
    Layout layout;
    layout.segments = (body + kSealedSegment - 1) / kSealedSegment;
    if (layout.segments == 0 || body - (layout.segments - 1) * kSealedSegment < infra::kAeadTagBytes)
      return fail(ErrorCode::kDataLoss, "blob {}: {} bytes are no sealed blob", address, sealed);
    layout.plain = body - layout.segments * infra::kAeadTagBytes;
    return layout;
  }
};

std::array<std::byte, infra::kAeadNonceBytes> nonce_of(std::uint64_t segment, bool last) {
  std::array<std::byte, infra::kAeadNonceBytes> nonce{};
  nonce[3] = static_cast<std::byte>(last);  // so that a blob cut off at the end of a segment is noticed
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<std::byte>(segment >> (8 * i));
  return nonce;
}

Bytes new_header(std::uint32_t version, ByteSpan salt) {
  Bytes header(as_bytes(kMagic).begin(), as_bytes(kMagic).end());
  header.push_back(kFormat);
  header.push_back(static_cast<std::byte>(kSegmentBits));
  header.resize(header.size() + 2);
  for (int i = 0; i < 4; ++i) header.push_back(static_cast<std::byte>(version >> (8 * i)));
  header.insert(header.end(), salt.begin(), salt.end());
  return header;
}

Bytes bound_to(const Bytes& header, const ProjectKeys& keys, std::string_view address) {
  Bytes out = header;
  for (const std::string_view part : {std::string_view(keys.project()), std::string_view("\n"), address})
    out.insert(out.end(), as_bytes(part).begin(), as_bytes(part).end());
  return out;
}

// One sealed blob, opened for reading.
class Reader {
 public:
  static Result<Reader> open(infra::BlobStore& store, const ProjectKeys& keys, std::string address) {
    STOA_TRY(size, store.size(address));
    STOA_TRY(layout, Layout::of(size, address));
    STOA_TRY(header, store.read(address, 0, kHeader));
    if (header.size() != kHeader || !as_text(header).starts_with(kMagic) || header[8] != kFormat || header[9] != static_cast<std::byte>(kSegmentBits))
      return fail(ErrorCode::kDataLoss, "blob {} is not sealed, or in a form that this program does not know", address);
    std::uint32_t version = 0;
    for (std::size_t i = 0; i < 4; ++i) version |= std::to_integer<std::uint32_t>(header[12 + i]) << (8 * i);
    STOA_TRY(key, keys.blob_key(version, ByteSpan(header).last(kSalt)));
    Bytes aad = bound_to(header, keys, address);
    return Reader(store, std::move(address), layout, version, key, std::move(aad));
  }

  const Layout& layout() const { return layout_; }
  std::uint32_t version() const { return version_; }

  // Appends the plain bytes of `count` segments from `first` on.
  Status append(std::uint64_t first, std::uint64_t count, Bytes& out) const {
    for (std::uint64_t at = first, end = std::min(first + count, layout_.segments); at < end;) {
      const std::uint64_t step = std::min(kSegmentsAtOnce, end - at);
      STOA_TRY(sealed, store_->read(address_, kHeader + at * kSealedSegment, step * kSealedSegment));
      ByteSpan rest = sealed;
      for (std::uint64_t i = 0; i < step; ++i, ++at) {
        const ByteSpan segment = rest.first(std::min<std::size_t>(kSealedSegment, rest.size()));
        rest = rest.subspan(segment.size());
        auto plain = infra::aead_open(key_, nonce_of(at, at + 1 == layout_.segments), aad_, segment);
        if (!plain) return fail(std::move(plain).error().in("blob " + address_));
        out.insert(out.end(), plain->begin(), plain->end());
      }
    }
    return {};
  }

 private:
  Reader(infra::BlobStore& store, std::string address, Layout layout, std::uint32_t version, const infra::SecretKey& key, Bytes aad)
      : store_(&store), address_(std::move(address)), layout_(layout), version_(version), key_(key), aad_(std::move(aad)) {}

  infra::BlobStore* store_;
  std::string address_;
  Layout layout_;
  std::uint32_t version_;
  infra::SecretKey key_;
  Bytes aad_;
};

// Writes `plain`, which `next` gives a segment at a time.
Status write_sealed(infra::BlobStore& store, const ProjectKeys& keys, const std::string& address, std::uint64_t size,
                    const std::function<Result<ByteSpan>(std::uint64_t segment)>& next) {
  STOA_TRY(salt, infra::random_bytes(kSalt));
  const Bytes header = new_header(keys.current(), salt), aad = bound_to(header, keys, address);
  STOA_TRY(key, keys.blob_key(keys.current(), salt));
  STOA_TRY(writer, store.writer());
  STOA_CHECK(writer->write(header));
  const std::uint64_t segments = std::max<std::uint64_t>(1, (size + kSegment - 1) / kSegment);
  for (std::uint64_t i = 0; i < segments; ++i) {
    STOA_TRY(plain, next(i));
    STOA_CHECK(writer->write(infra::aead_seal(key, nonce_of(i, i + 1 == segments), aad, plain)));
  }
  return writer->commit_as(address);
}

// A blob may be sealed anew between the reading of its header and that of its segments: then the second attempt reads the new one.
Result<Bytes> twice(const std::function<Result<Bytes>()>& read) {
  auto bytes = read();
  return bytes || bytes.error().code != ErrorCode::kDataLoss ? std::move(bytes) : read();
}

Status check_digest(std::string_view digest) {
  if (infra::is_digest(digest)) return {};
  return fail(ErrorCode::kInvalidArgument, "'{}' is not a digest of the form sha256:<64 lower-case hexadecimal digits>", digest.substr(0, 100));
}

}  // namespace

std::string SealedBlobs::address_of(const ProjectKeys& keys, std::string_view digest) { return "sha256:" + keys.tag("blob", digest); }

Result<StoredBlob> SealedBlobs::put(const ProjectKeys& keys, ByteSpan bytes) {
  StoredBlob stored{"sha256:" + infra::to_hex(infra::sha256(bytes)), {}};
  stored.address = address_of(keys, stored.digest);
  STOA_CHECK(write_sealed(store_, keys, stored.address, bytes.size(), [&](std::uint64_t segment) -> Result<ByteSpan> {
    const std::size_t from = segment * kSegment;
    return bytes.subspan(from, std::min<std::size_t>(kSegment, bytes.size() - from));
  }));
  return stored;
}

Result<Bytes> SealedBlobs::get(const ProjectKeys& keys, std::string_view digest, std::uint64_t max_bytes) {
  STOA_CHECK(check_digest(digest));
  return twice([&]() -> Result<Bytes> {
    STOA_TRY(reader, Reader::open(store_, keys, address_of(keys, digest)));
    const std::uint64_t size = reader.layout().plain;
    if (size > max_bytes) return fail(ErrorCode::kTooLarge, "blob {} has {} bytes, more than {}", digest, size, max_bytes);
    Bytes bytes;
    bytes.reserve(size);
    STOA_CHECK(reader.append(0, reader.layout().segments, bytes));
    if ("sha256:" + infra::to_hex(infra::sha256(bytes)) != digest) return fail(ErrorCode::kDataLoss, "blob {}: the bytes are not those of its digest", digest);
    return bytes;
  });
}

Result<Bytes> SealedBlobs::read(const ProjectKeys& keys, std::string_view digest, std::uint64_t offset, std::size_t length) {
  STOA_CHECK(check_digest(digest));
  return twice([&]() -> Result<Bytes> {
    STOA_TRY(reader, Reader::open(store_, keys, address_of(keys, digest)));
    const std::uint64_t from = std::min(offset, reader.layout().plain), to = from + std::min<std::uint64_t>(length, reader.layout().plain - from);
    Bytes bytes;
    if (from == to) return bytes;
    const std::uint64_t first = from / kSegment, last = (to - 1) / kSegment;
    bytes.reserve((last - first + 1) * kSegment);
    STOA_CHECK(reader.append(first, last - first + 1, bytes));
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(from - first * kSegment));
    bytes.resize(to - from);
    return bytes;
  });
}

Result<std::uint64_t> SealedBlobs::size(const ProjectKeys& keys, std::string_view digest) {
  STOA_CHECK(check_digest(digest));
  const std::string address = address_of(keys, digest);
  STOA_TRY(sealed, store_.size(address));
  STOA_TRY(layout, Layout::of(sealed, address));
  return layout.plain;
}

Result<bool> SealedBlobs::reseal(const ProjectKeys& keys, const std::string& address) {
  auto reader = Reader::open(store_, keys, address);
  if (!reader) return reader.error().code == ErrorCode::kNotFound ? Result<bool>(false) : fail(std::move(reader).error());
  if (reader->version() == keys.current()) return false;
  Bytes segment;
  STOA_CHECK(write_sealed(store_, keys, address, reader->layout().plain, [&](std::uint64_t number) -> Result<ByteSpan> {
    segment.clear();
    STOA_CHECK(reader->append(number, 1, segment));
    return ByteSpan(segment);
  }));
  return true;
}

Status SealedBlobs::take_over(const ProjectKeys& keys, const std::string& digest) {
  STOA_TRY(done, exists(keys, digest));
  STOA_TRY(there, store_.exists(digest));
  if (done || !there) return {};
  STOA_TRY(bytes, store_.get(digest, std::numeric_limits<std::uint64_t>::max()));
  STOA_CHECK(put(keys, bytes));
  return {};
}

Result<bool> SealedBlobs::is_sealed(const std::string& address) {
  STOA_TRY(start, store_.read(address, 0, kMagic.size()));
  return as_text(start) == kMagic;
}

}  // namespace stoa::governance
