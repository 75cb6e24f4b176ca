// The passport of an answer: one JSON document that shows, to whoever has the log's public key and nothing else, what is recorded of an
// answer and that it stands in the signed audit log (docs/formats/passport.md):
//   {"format":"stoa-passport/1",
//    "record":{...},                                         answer_record.h
//    "audit":{"entry":{...},"proof":[HEX...],"checkpoint":NOTE},
//    "key":"NAME+ID+BASE64"}
// The entry names the record's digest, the proof leads from the entry to the checkpoint's root, and the checkpoint is signed: every bit takes part.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "governance/audit/audit.h"
#include "governance/audit/checkpoint.h"

namespace stoa::governance {

// The digest of a record that an entry carries; empty: none.
std::string recorded_digest(const AuditEntry& entry);

// `proof` leads from the entry to the root of `checkpoint`.
JsonObject passport_json(std::string_view record_text, const AuditEntry& entry, const std::vector<MerkleHash>& proof, const std::string& checkpoint,
                         const CheckpointKey& key);

struct PassportCheck {
  JsonObject record;
  AuditEntry entry;
  Checkpoint checkpoint;
};
// kDataLoss says what was changed or does not fit together; kInvalidArgument for a text that is no passport.
Result<PassportCheck> verify_passport(std::string_view text, const CheckpointKey& key);

}  // namespace stoa::governance
