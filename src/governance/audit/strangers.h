// What strangers attempt: requests without a credential that works, and those that the server refused before anybody could know who asks (refusals.h).
// They make as many as they like: each is counted, and the audit log gets one entry for an address, kind and minute, so that they cannot fill the store.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "governance/audit/audit.h"
#include "infra/journal/write_behind.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// Attempts of one kind from one address.
struct StrangerAttempts {
  static constexpr std::int64_t kNoCredential = 401;

  std::string address;   // IPv4, or IPv6, of which the first 64 bits count (one stranger has all of them)
  std::int64_t status = kNoCredential;  // of the answer, which tells kinds apart; 0: there was none
  std::string resource;  // of the first: "POST /v1/responses"
  std::string reason;    // of the first
  std::int64_t count = 1;
  Micros time = 0;       // of the first; 0: now
};

// Thread-safe. What is passed by reference or pointer outlives it, and `behind` is stopped before it ends.
class StrangerLog {
 public:
  static constexpr std::string_view kAuthenticate = "identity.authenticate", kRefuse = "http.refuse";  // the entries' actions
  static constexpr int kMaxAddresses = 256;  // told apart in a minute for each kind; further ones are counted together, without an address

  // `tenant`: whose auditors see the entries, since strangers belong to none. `behind` as for the audit log.
  static Result<std::unique_ptr<StrangerLog>> open(infra::SqlDatabase& database, AuditLog& audit, std::string tenant, const Clock& clock = Clock::system(),
                                                   infra::WriteBehind* behind = nullptr);

  // Counted when it returns.
  Status add(const StrangerAttempts& attempts);
  // Enters the minutes that have passed into the audit log. Cheap when there is nothing; call it now and then.
  Status close();

 private:
  StrangerLog(infra::SqlDatabase& database, AuditLog& audit, std::string tenant, const Clock& clock, infra::WriteBehind* behind)
      : database_(database), audit_(audit), tenant_(std::move(tenant)), clock_(clock), behind_(behind) {}
  Status take(infra::SqlTransaction& transaction, std::span<const ByteSpan> records);
  Status close(infra::SqlTransaction& transaction, Micros before);

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  const std::string tenant_;
  const Clock& clock_;
  infra::WriteBehind* const behind_;  // may be null
};

}  // namespace stoa::governance
