// The records of answers, kept so that their passports can be asked for.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "contracts/call.h"
#include "governance/audit/checkpoints.h"
#include "governance/passport/answer_record.h"
#include "governance/passport/passport.h"
#include "infra/sql/sql.h"

namespace stoa::infra {
class JournalGroup;
class WriteBehind;
}

namespace stoa::governance {

// What is kept of an answer, by its id.
struct StoredRecord {
  std::string id, tenant, project, principal, request_id, trace_id;
  Micros time = 0;
  std::string text;  // record_text()

  static StoredRecord of(const AnswerRecord& record);
};

// Thread-safe. What is passed by reference or pointer outlives it, and `behind` is stopped before it ends.
class PassportStore {
 public:
  static Result<std::unique_ptr<PassportStore>> open(infra::SqlDatabase& database, AuditLog& log, AuditCheckpoints& checkpoints, infra::WriteBehind* behind = nullptr);

  // Kept when the group is, which the same `behind` takes, and named by its digest in `entry`, which belongs into the same group. Without one, kept when it
  // returns. Keeping the same answer again changes nothing.
  Status keep(infra::JournalGroup& group, const StoredRecord& record, AuditEntry& entry);
  // By the id of the answer, its request or its trace, in the caller's tenant. kNotFound, also for an answer of others that the caller may not see:
  // `everyones` says whether it may see those of its whole tenant, else they are its own.
  Result<JsonObject> passport(const Call& call, std::string_view id, bool everyones);

 private:
  PassportStore(infra::SqlDatabase& database, AuditLog& log, AuditCheckpoints& checkpoints, infra::WriteBehind* behind)
      : database_(database), log_(log), checkpoints_(checkpoints), behind_(behind) {}
  Result<AuditEntry> entry_of(const StoredRecord& record);

  infra::SqlDatabase& database_;
  AuditLog& log_;
  AuditCheckpoints& checkpoints_;
  infra::WriteBehind* const behind_;  // may be null
};

}  // namespace stoa::governance
