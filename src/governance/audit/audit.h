// The audit log: who did what to what, when, with which outcome and why. Rows are only ever added (triggers refuse the rest) and are the
// leaves of a Merkle tree (merkle.h), so that a change made behind the program's back shows, where it is, and anyone who has a checkpoint
// (checkpoint.h) can be shown that an entry is in the log and that the log still begins with what it was.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/audit/merkle.h"
#include "infra/sql/sql.h"

namespace stoa::infra {
class JournalGroup;
class WriteBehind;
}

namespace stoa::governance {

enum class Outcome { kAllowed, kDenied, kFailed };
std::string_view outcome_name(Outcome outcome);
Result<Outcome> parse_outcome(std::string_view name);

// A document whose text was shown: to the caller, or to a model on its behalf.
struct AuditDocument {
  std::string id, version;   // version: digest of the original
  std::int64_t chunks = 0;   // pieces of it; 0: the whole
  std::string readers{};     // entry of its access list that let the caller read it
  auto operator<=>(const AuditDocument&) const = default;
};

struct AuditEntry {
  std::int64_t sequence = 0;  // 1, 2, 3, ... given by append
  Micros time = 0;            // when it happened; 0: append gives the present
  std::string principal, tenant, project;
  std::string action;         // governance/access names, or "identity.key.create" and the like
  std::string resource;
  Outcome outcome = Outcome::kAllowed;
  std::string reason;         // rule id or error; never secrets or content
  std::string request_id, trace_id;
  std::string salt{};         // random, given by append: whoever sees an entry's hash in a proof cannot find its text by trying
  // Empty or 0 where there is nothing to say, as in entries of older releases.
  std::string rule{};         // that decided, where an action was allowed
  std::string key{};          // "key_..." that was shown
  std::string address{};      // the caller's
  std::string break_glass{};  // "glass_...": the access in an emergency that was in use
  std::string answer{};       // "chatcmpl_...", "resp_...": that was given
  std::string record{};       // digest of what is recorded of that answer (governance/passport)
  std::int64_t count = 0;     // how many alike this entry stands for
  std::vector<AuditDocument> documents{};  // at most kMaxDocuments
  // Of a search: what was looked for, as "<salt>:<salted digest>" (governance/passport), so that it can be checked by whoever knows both and is told to
  // nobody; how; and in which collections, at most kMaxCollections.
  std::string query{}, mode{};
  std::vector<std::string> collections{};

  static constexpr std::size_t kMaxDocuments = 100, kMaxCollections = 100;

  // Principal, tenant, project, request and trace from the call.
  static AuditEntry of(const Call& call, std::string_view action, std::string_view resource);
  static AuditEntry of(const Principal& principal, std::string_view action, std::string_view resource);
};

struct AuditQuery {
  std::string tenant;  // empty fields do not filter; the caller has checked that the principal may read this tenant's log
  std::string principal, action, resource, request_id, trace_id;
  Micros from = 0, until = INT64_MAX;  // [from, until)
  std::int64_t after = 0;              // entries with a greater sequence: the last one of the page before
  std::size_t limit = 100;             // at most 1000
};

struct AuditCheck {
  std::int64_t entries = 0;
  std::optional<std::int64_t> broken;  // sequence of the first entry that is missing or is not what was written
  std::string reason;
};

// The root of the first `size` entries.
struct AuditTree {
  std::int64_t size = 0;
  MerkleHash root{};
};

// Thread-safe. What is passed by reference or pointer outlives it, and `behind` is stopped before it ends.
class AuditLog {
 public:
  // With `behind`, entries are acknowledged by its journal and become leaves of the tree a moment later; whatever is asked of the log sees
  // all that was acknowledged. Without, append() waits for the store.
  static Result<std::unique_ptr<AuditLog>> open(infra::SqlDatabase& database, const Clock& clock = Clock::system(), infra::WriteBehind* behind = nullptr);

  // Kept when it returns, whatever becomes of the process. An error means that it is not recorded: what it would tell of must not be answered.
  Status append(AuditEntry entry);
  // Commits with the change that it records.
  Status append(infra::SqlTransaction& transaction, AuditEntry entry);
  // Kept when the group is, which the same `behind` takes. Without one, kept when it returns.
  Status append(infra::JournalGroup& group, AuditEntry entry);
  Result<std::vector<AuditEntry>> query(const AuditQuery& query);  // oldest first

  Result<AuditTree> tree();                          // of all entries
  Result<AuditTree> tree(std::int64_t size);         // kInvalidArgument when there are fewer
  // Proofs that entry `sequence` is among the first `size`, and that the log of `size` entries begins with the first `old_size`.
  Result<std::vector<MerkleHash>> prove_entry(std::int64_t sequence, std::int64_t size);
  Result<std::vector<MerkleHash>> prove_prefix(std::int64_t old_size, std::int64_t size);
  // complete_subtrees() of the first `size` entries.
  Result<std::vector<MerkleHash>> subtrees(std::int64_t size);
  Result<MerkleHash> leaf(std::int64_t sequence);    // kNotFound
  // Entries after `after` and up to `until` in order; an entry's own hash beside it, as it was stored.
  using Visitor = std::function<Status(const AuditEntry& entry, const MerkleHash& leaf)>;
  Status for_each(std::int64_t after, std::int64_t until, const Visitor& visit);

  // Recomputes everything from the entries. `known`: trees that were signed, shortest first; a log that does not begin with one, or ends
  // before it, is broken.
  Result<AuditCheck> verify(std::span<const AuditTree> known = {});

 private:
  AuditLog(infra::SqlDatabase& database, const Clock& clock, infra::WriteBehind* behind) : database_(database), clock_(clock), behind_(behind) {}
  MerkleNodes nodes();
  Status check_size(std::int64_t size);
  Status add(infra::SqlTransaction& transaction, std::span<AuditEntry> entries);
  Result<std::pair<std::int64_t, std::int64_t>> sequences_of(const AuditQuery& query);
  Status catch_up();

  infra::SqlDatabase& database_;
  const Clock& clock_;
  infra::WriteBehind* const behind_;  // may be null
};

}  // namespace stoa::governance
