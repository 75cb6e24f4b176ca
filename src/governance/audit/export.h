// Exports of the audit log, line by line:
//   {"format":"stoa-audit/2","after":N,"subtrees":[HEX...]}     entries follow from N + 1 on; the complete subtrees of those before
//   {"leaf":HEX,"entry":ENTRY}                                  an entry as audit_line() writes it, and its hash
//   {"leaf":HEX,"sequence":N}                                   an entry of another tenant: its hash only
//   {"checkpoint":NOTE,"proof":[HEX...]}                        a signed checkpoint, and that it covers what stands above
// Whoever has the key can check it without the log: every bit of every line takes part.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <string>
#include <string_view>

#include "base/result.h"
#include "governance/audit/audit.h"
#include "governance/audit/checkpoint.h"

namespace stoa::governance {

using LineSink = std::function<Status(std::string_view line)>;  // without line end

// At most `limit` entries after `after`, as whoever of `tenant` may see them (empty: all of all), up to those of the signed `checkpoint`.
// Returns the sequence of the last one; `after` when there was none.
Result<std::int64_t> export_audit(AuditLog& log, const std::string& checkpoint, std::int64_t checkpoint_size, std::int64_t after, std::int64_t limit,
                                  const std::string& tenant, const LineSink& sink);

struct ExportCheck {
  std::int64_t first = 0, last = 0;  // sequences; 0 where there is no entry
  std::int64_t entries = 0;          // whose text was checked; the others' hashes take part as well
  Checkpoint checkpoint;
};

// Exports that follow each other may be put together: then only the first header and the last checkpoint count. The error is kDataLoss and
// names line and entry where something was changed, left out or added; kInvalidArgument for a file of another kind.
Result<ExportCheck> verify_export(std::istream& lines, const CheckpointKey& key);

// An entry as an event of the Open Cybersecurity Schema Framework 1.3: class API Activity (6003).
std::string audit_ocsf(const AuditEntry& entry, std::string_view product_version);

}  // namespace stoa::governance
