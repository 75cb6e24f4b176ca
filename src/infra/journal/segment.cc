#include "infra/journal/segment.h"

#include <algorithm>

#include "infra/crypto/hash.h"

namespace stoa::infra {
namespace {

constexpr std::string_view kMagic = "stoajnl1";
constexpr std::size_t kLengthCheck = 4;

template <class Integer>
void put(std::string& out, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

template <class Integer>
Integer get(ByteSpan bytes) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value |= static_cast<Integer>(static_cast<Integer>(bytes[i]) << (8 * i));
  return value;
}

std::string check_of(std::string_view text, std::size_t bytes) {
  const auto digest = sha256(text);
  return std::string(as_text(ByteSpan(digest).first(bytes)));
}

// What the checks of a record are of, before its bytes.
std::string place(std::uint64_t position, std::uint32_t length) {
  std::string out;
  put(out, position);
  put(out, length);
  return out;
}

std::string record_check(std::string place, ByteSpan bytes) {
  place += as_text(bytes);
  return check_of(place, kRecordTrailer);
}

}  // namespace

std::string segment_header(std::uint64_t first) {
  std::string out(kMagic);
  put(out, first);
  return out + check_of(out, kSegmentHeader - out.size());
}

std::string segment_record(std::uint64_t position, ByteSpan bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::string before = place(position, length), out;
  out.reserve(kRecordHeader + bytes.size() + kRecordTrailer);
  put(out, length);
  out += check_of(before, kLengthCheck);
  out += as_text(bytes);
  out += record_check(std::move(before), bytes);
  return out;
}

Result<SegmentEnd> read_records(ByteSpan bytes, std::size_t offset, std::string_view name, std::uint64_t position, std::size_t max_record, bool may_be_torn,
                                const RecordVisitor& visit) {
  const auto damaged = [&](std::string_view what) {
    return fail(error(ErrorCode::kDataLoss, "{}: at byte {}, record {}: {}", name, offset, position, what)
                    .with_hint("the disk or a program changed the file: restore it from a backup, or move it away and lose what it held since"));
  };
  while (!bytes.empty()) {
    const bool torn = bytes.size() < kRecordHeader;
    const auto length = torn ? 0 : get<std::uint32_t>(bytes);
    const std::string before = place(position, length);
    if (torn || as_text(bytes.subspan(4, kLengthCheck)) != check_of(before, kLengthCheck)) {
      const bool zeros = std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
      if (may_be_torn && (torn || zeros)) break;
      return damaged(torn ? "the file ends within a record" : "this is no beginning of a record");
    }
    if (length > max_record) return damaged("the record is longer than any that is written");
    const std::size_t whole = kRecordHeader + length + kRecordTrailer;
    if (bytes.size() < whole) {
      if (may_be_torn) break;
      return damaged("the file ends within a record");
    }
    const ByteSpan content = bytes.subspan(kRecordHeader, length);
    if (as_text(bytes.subspan(kRecordHeader + length, kRecordTrailer)) != record_check(before, content)) return damaged("the record is not what was written");
    STOA_CHECK(visit(position, content));
    bytes = bytes.subspan(whole);
    offset += whole;
    ++position;
  }
  return SegmentEnd{position, offset};
}

Result<SegmentEnd> read_segment(ByteSpan file, std::string_view name, std::uint64_t first, std::size_t max_record, bool may_be_torn, const RecordVisitor& visit) {
  if (file.size() < kSegmentHeader) {
    if (may_be_torn) return SegmentEnd{first, 0};
    return fail(ErrorCode::kDataLoss, "{}: the file ends within its header", name);
  }
  if (as_text(file.first(kSegmentHeader)) != segment_header(first)) {
    if (may_be_torn && std::ranges::all_of(file, [](std::byte b) { return b == std::byte{0}; })) return SegmentEnd{first, 0};
    return fail(error(ErrorCode::kDataLoss, "{}: at byte 0: this is not the header of a journal that begins with record {}", name, first)
                    .with_hint("the disk or a program changed the file: restore it from a backup, or move it away and lose what it held"));
  }
  return read_records(file.subspan(kSegmentHeader), kSegmentHeader, name, first, max_record, may_be_torn, visit);
}

}  // namespace stoa::infra
