// The checkpoints of an audit log over time: made, kept, and copied to a second place.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "governance/audit/audit.h"
#include "governance/audit/checkpoint.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// Thread-safe. What is passed by reference outlives it.
class AuditCheckpoints {
 public:
  // `witness`: a file that every checkpoint is added to as well, a line of JSON {"time", "checkpoint"} each, best on another machine's
  // disk: whoever rewrites the log and its checkpoints cannot rewrite that. Empty: none.
  static Result<std::unique_ptr<AuditCheckpoints>> open(infra::SqlDatabase& database, AuditLog& log, const infra::SigningKey& key,
                                                        std::filesystem::path witness, const Clock& clock = Clock::system());

  CheckpointKey key() const { return CheckpointKey::of(key_.public_key()); }

  // The checkpoint of the log as it is now: the last one when nothing was added since, else a new one, which is kept and copied. A witness
  // that cannot be written is told (log) and tried again with the next checkpoint.
  Result<std::string> latest();
  // The same, unless the last one is younger than a minute: for whoever adds entries.
  Status keep_up();
  // The log against its entries, all checkpoints that were kept, and the witness's last.
  Result<AuditCheck> verify();

 private:
  struct Kept {
    std::int64_t size = 0;
    Micros time = 0;
    std::string note;
  };
  AuditCheckpoints(infra::SqlDatabase& database, AuditLog& log, const infra::SigningKey& key, std::filesystem::path witness, const Clock& clock)
      : database_(database), log_(log), key_(key), witness_(std::move(witness)), clock_(clock) {}
  Result<Kept> last_kept();
  Result<std::string> make(const Kept& last);
  Status copy_to_witness(const Kept& made);
  Result<std::optional<std::string>> last_of_witness() const;

  infra::SqlDatabase& database_;
  AuditLog& log_;
  const infra::SigningKey key_;
  const std::filesystem::path witness_;
  const Clock& clock_;
  std::mutex making_;  // one checkpoint at a time
};

}  // namespace stoa::governance
