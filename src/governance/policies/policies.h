// Policies as versioned data: what people set is compiled and tested with everything it will stand beside, stored as a new version,
// written to the audit log, and in force at once, here and in other processes on the same store.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/policies/decision_log.h"
#include "governance/policies/policy_folder.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// Whose policies: a tenant's, which hold in that tenant only, or the installation's (empty tenant), which hold everywhere.
struct PolicyScope {
  std::string tenant;
};

struct PolicyVersion {
  std::string tenant;   // empty: of the installation
  std::string name;     // "office-hours"
  std::int64_t version = 0;  // 1, 2, 3, ... of this name
  bool removed = false; // then it has no text: a removal is a version too
  std::string text;
  std::string digest;   // "sha256:..." of the text
  std::string author;   // id of the principal
  std::string comment;
  Micros time = 0;
  std::string source{}; // of files that are not stored: the file's name; they have no version
};

struct NewPolicy {
  std::string name;     // 1..64 letters, digits and ._-
  std::string text;     // at most kMaxText bytes
  std::string comment;  // at most 512 bytes
  std::optional<std::int64_t> expected;  // refuse with kConflict unless this is the newest version (0: none yet)
};

// What a rule was before and after.
struct RuleChange {
  std::string kind;   // policy, boundary, role
  std::string name;
  std::string before, after;  // canonical text; empty: it was not there
};

struct ChangedDecision {
  RecordedDecision record;
  bool now = false, then = false;  // allowed
  std::string now_reason, then_reason, now_rule, then_rule;
};
struct DryRun {
  std::size_t decisions = 0;   // kinds of them that were looked at
  std::int64_t requests = 0;   // that these stand for
  std::size_t changed = 0;     // kinds that would come out otherwise
  std::vector<ChangedDecision> changes;  // the first of them: most often asked first
  PolicyTestReport tests;
};

struct PolicyParts {
  infra::SqlDatabase& database;
  AuditLog& audit;
  Access& access;
  std::vector<PolicyText> base;        // the roles that come with Stoa: they come first
  PolicyFolder folder{{}};             // files of the installation
  DecisionLog* decisions = nullptr;    // for dry runs; may be null
  const Clock& clock = Clock::system();
};

// Thread-safe. Reading needs policy.read, changing policy.manage, the installation's are the local operator's. Errors besides: kNotFound,
// kInvalidArgument (with file:line:column for a text, with the test for one that fails), kConflict, kTooLarge.
class Policies {
 public:
  static constexpr std::size_t kMaxText = 1u << 20, kMaxNames = 100;
  static constexpr milliseconds kRefresh{1000};  // how long others may decide by the policies before

  // Puts everything that is stored in force. The parts outlive the object; Access calls it until it is destroyed.
  static Result<std::unique_ptr<Policies>> open(PolicyParts parts);
  ~Policies();

  // The newest version of each name, without those removed: the installation's files and names, then the scope's.
  Result<std::vector<PolicyVersion>> list(const Call& call, const PolicyScope& scope);
  Result<PolicyVersion> get(const Call& call, const PolicyScope& scope, std::string_view name, std::optional<std::int64_t> version = {});
  Result<std::vector<PolicyVersion>> history(const Call& call, const PolicyScope& scope, std::string_view name);  // newest first, without texts
  Result<std::vector<RuleChange>> diff(const Call& call, const PolicyScope& scope, std::string_view name, std::int64_t from, std::int64_t to);

  Result<PolicyVersion> set(const Call& call, const PolicyScope& scope, const NewPolicy& policy);
  Result<PolicyVersion> rollback(const Call& call, const PolicyScope& scope, std::string_view name, std::int64_t version, std::string comment);
  Result<PolicyVersion> remove(const Call& call, const PolicyScope& scope, std::string_view name, std::string comment);
  // What of the decisions recorded lately would come out otherwise were this set (an empty text: removed).
  Result<DryRun> dry_run(const Call& call, const PolicyScope& scope, std::string_view name, std::string_view text);

  // Takes over what others have stored or written into the folder. What cannot be read is logged and what was in force stays.
  void refresh();

 private:
  explicit Policies(PolicyParts parts) : parts_(std::move(parts)) {}
  Status allow(const Call& call, Action action, const PolicyScope& scope, std::string_view name, std::string_view change);
  Result<bool> load(bool first);
  Result<std::vector<PolicyVersion>> heads(infra::SqlSession& session) const;
  Result<std::vector<PolicyFile>> parse_files(const std::vector<PolicyText>& texts) const;  // of the base, then these
  Result<PolicyState> compile(const std::vector<PolicyVersion>& heads, const std::vector<PolicyText>& files) const;
  Result<PolicyLayers> proposed(const std::vector<PolicyVersion>& heads, const PolicyScope& scope, std::string_view name, std::string_view text) const;
  Status check(const Call& call, const PolicyScope& scope, const PolicyLayers& layers) const;
  Result<PolicyVersion> store(const Call& call, const PolicyScope& scope, const NewPolicy& policy, bool removed, std::string_view change);

  PolicyParts parts_;
  mutable std::mutex mutex_;  // of what follows
  std::vector<PolicyText> files_;
  std::string fingerprint_;
  std::int64_t sequence_ = -1;
};

// What setting `after` in place of `before` does, by rule.
Result<std::vector<RuleChange>> compare_policies(std::string_view before, std::string_view after);

}  // namespace stoa::governance
