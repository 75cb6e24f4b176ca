// The providers of projects: where they are, which models they have, and the credentials to use them, sealed under the project's key.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "gateway/providers/provider.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/protection/sealed_table.h"
#include "governance/protection/sealer.h"
#include "infra/sql/sql.h"

namespace stoa::gateway {

struct ProviderModel {
  std::string name;  // as the upstream calls it: 1 to 256 printable characters
  int context_length = kDefaultContext;
  bool operator==(const ProviderModel&) const = default;
};

struct Provider {
  std::string name;    // 1 to 64 lower-case letters, digits and ._-
  std::string family, url;
  std::map<std::string, std::string> options;
  std::vector<ProviderModel> models;  // at most 1000, each once
  std::string residency;  // region where it keeps what it is sent; empty: not known
  bool on_prem = false;   // what it is sent does not leave the house
  Micros created = 0, updated = 0;           // given by the store
  std::optional<Micros> credential_set{};    // when; nothing: there is none. The credential itself is never shown
};

// Thread-safe. Changes are durable and in the audit log when they return, and seen by whoever asks afterwards; by other processes on the store within
// kRefresh. The permit is for kModelManage,
// of the call's principal, whose project it is all about. Errors: kNotFound, kConflict, kInvalidArgument with the field.
class ProviderStore {
 public:
  static constexpr milliseconds kRefresh{100};
  static constexpr std::size_t kMaxProviders = 100, kMaxModels = 1000, kMaxCredential = 16u << 10;

  // What is passed outlives the store.
  static Result<std::unique_ptr<ProviderStore>> open(infra::SqlDatabase& database, governance::Sealer& sealer, governance::AuditLog& audit, const Clock& clock = Clock::system());
  static governance::SealedTable sealed_table();

  Result<std::vector<Provider>> list(const governance::Permit& permit);  // by name
  Result<Provider> get(const governance::Permit& permit, std::string_view name);
  Result<Provider> add(const governance::Permit& permit, const Call& call, Provider provider);
  // All but name and times. Another place (the URL's host or the family) has no credential until one is set: nobody gets hold of a credential by
  // having it sent elsewhere.
  Result<Provider> replace(const governance::Permit& permit, const Call& call, Provider provider);
  Result<Provider> set_credential(const governance::Permit& permit, const Call& call, std::string_view name, std::string_view credential);
  Status remove(const governance::Permit& permit, const Call& call, std::string_view name);

  // For whoever serves the project's models: its providers by name, kept in memory until one changes.
  using Snapshot = std::shared_ptr<const std::vector<Provider>>;
  Result<Snapshot> of_project(const std::string& project);
  // A target that reads the credential anew for each request. The store outlives it.
  ProviderTarget target(const std::string& project, const Provider& provider, const ProviderModel& model);
  // Raised by every change, of any project: what was made of a snapshot holds as long as it stays. Looks into the store at most every kRefresh; one that
  // does not answer leaves what was known in force.
  std::uint64_t generation();

 private:
  struct Held {
    std::uint64_t generation = 0;
    Snapshot providers;
    std::map<std::string, std::pair<std::string, Bytes>, std::less<>> credentials;  // name -> id, sealed
  };

  ProviderStore(infra::SqlDatabase& database, governance::Sealer& sealer, governance::AuditLog& audit, const Clock& clock);
  Result<std::shared_ptr<const Held>> held(const std::string& project);
  Result<std::string> credential(const std::string& project, const std::string& name);
  Status change(const Call& call, std::string_view what, std::string_view name, const std::function<Status(infra::SqlTransaction&)>& work);

  infra::SqlDatabase& database_;
  governance::Sealer& sealer_;
  governance::AuditLog& audit_;
  const Clock& clock_;
  const std::shared_ptr<AccessTokens> tokens_;
  std::atomic<std::int64_t> looked_{0};    // when generation() last asked the store, on the steady clock
  std::atomic<std::int64_t> sequence_{0};  // of the changes that generation_ counts
  std::atomic<std::uint64_t> generation_{1};
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Held>> held_;  // by project, at most kMaxHeld
};

}  // namespace stoa::gateway
