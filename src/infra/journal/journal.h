// An append-only file of records in a folder, for what has to be kept before an answer goes out but may reach its final place later.
// A record is acknowledged when the system has it (write(2)): killing the process loses nothing. The disk has it at most
// `sync_interval` (and the time of one sync) later: a loss of power or a crash of the system may cost the records of that time, the
// last ones first, and never leaves a gap. With an interval of 0 a record is acknowledged when the disk has it; writers share syncs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace stoa::infra {

struct JournalOptions {
  std::size_t max_record = 2u << 20;
  std::size_t segment_bytes = 4u << 20;   // of one file; reserved when it is begun, so that a disk that fills up is noticed with room left
  std::uint64_t max_bytes = 256u << 20;   // of all files not released; then appending is refused
  milliseconds sync_interval{20};
};

// Records in order, and where to go on after them.
struct JournalBatch {
  Bytes bytes;                  // what the records are views of
  std::vector<ByteSpan> records;
  std::uint64_t first = 0;      // position of the first one; positions are 1, 2, 3, ...
  std::uint64_t segment = 0;    // where the next one begins
  std::size_t offset = 0;

  std::uint64_t last() const { return first + records.size() - 1; }
};

// Thread-safe. One process at a time has a folder open (kConflict).
class Journal {
 public:
  // Makes the folder (mode 0700) where absent. `released`: records up to here are needed no more, whatever the files say; new ones get
  // greater positions. All files are checked: what a killed process left unfinished at the end is cut off, damage elsewhere and a missing file are
  // kDataLoss with file and offset.
  static Result<std::unique_ptr<Journal>> open(const std::filesystem::path& folder, std::uint64_t released, const JournalOptions& options = {});
  virtual ~Journal() = default;  // syncs

  // Gives the record's position. kResourceExhausted when the disk is full or `max_bytes` are waiting; kTooLarge. After an error the record is not
  // in the journal; one of the disk itself (kUnavailable) is final.
  virtual Result<std::uint64_t> append(ByteSpan record) = 0;
  virtual std::uint64_t last() const = 0;      // position of the last record; 0 when there never was one
  virtual double fullness() const = 0;         // what waits, of JournalOptions::max_bytes
  virtual std::uint64_t released() const = 0;

  // Records after the released ones, at least one and at most about `max_bytes`; none when there are none.
  virtual Result<JournalBatch> next(std::size_t max_bytes) = 0;
  // What next() gave is needed no more.
  virtual Status release(const JournalBatch& batch) = 0;
  // Waits until the disk has everything that was appended before.
  virtual Status sync() = 0;
};

}  // namespace stoa::infra
