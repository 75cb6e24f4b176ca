// The form of a journal's files. Little-endian:
//   "stoajnl1", u64 position of the first record, check of these 16 bytes
//   then records: u32 length, u32 check of position and length, the bytes, check of position, length and bytes
// A check is the beginning of a SHA-256: 4 bytes over a length, else 8. Positions are counted, not stored, but take part in the checks, so that
// a record that was moved, left out or written twice shows like one that was changed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

inline constexpr std::size_t kSegmentHeader = 24, kRecordHeader = 8, kRecordTrailer = 8;

std::string segment_header(std::uint64_t first);
// A record as it is written behind the one before it.
std::string segment_record(std::uint64_t position, ByteSpan bytes);

struct SegmentEnd {
  std::uint64_t next = 0;  // position of the record that would follow
  std::size_t offset = 0;  // bytes that hold whole records, header included; what is behind was never acknowledged
};
// Called with each record in order; an error ends the reading.
using RecordVisitor = std::function<Status(std::uint64_t position, ByteSpan bytes)>;

// Reads a whole file. `first`: what the header has to say. A file, or a record, that ends early ends the reading where `may_be_torn`: a
// process that is killed leaves such an end, and a machine that loses power one of zeros. Everything else that was not written so is kDataLoss
// with `name` and the offset, and so is a record longer than `max_record`.
Result<SegmentEnd> read_segment(ByteSpan file, std::string_view name, std::uint64_t first, std::size_t max_record, bool may_be_torn, const RecordVisitor& visit);
// The same of records in the middle: `bytes` begins with record `position`, at `offset` of the file, and ends with a whole one.
Result<SegmentEnd> read_records(ByteSpan bytes, std::size_t offset, std::string_view name, std::uint64_t position, std::size_t max_record, bool may_be_torn,
                                const RecordVisitor& visit);

}  // namespace stoa::infra
