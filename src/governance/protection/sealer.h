// Data keys of projects: made on first use, wrapped by the key management, kept in the database; unwrapped ones are kept in memory for a
// while. Everything that holds content is sealed under the key of its project, so that taking the key away makes all of it unreadable.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "governance/protection/project_keys.h"
#include "infra/keys/keys.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

enum class KeyState : std::uint8_t { kActive, kRevoked, kDestroyed };
std::string_view state_name(KeyState state);  // active revoked destroyed

struct SealerOptions {
  std::size_t max_projects = 1024;     // unwrapped at a time; the one unused for longest goes first
  milliseconds keep{600'000};          // an unwrapped key is asked for anew after this: the key management may have taken it back
  milliseconds look{500};              // how often changes made by other processes are looked for: a revocation is at work after this
  milliseconds pause{1'000};           // after the key management could not be reached, before it is asked again
  ContentKeep content{};               // what projects keep that do not say
};

// Thread-safe. `sql` and `keys` outlive it.
class Sealer {
 public:
  static Result<std::unique_ptr<Sealer>> open(infra::SqlDatabase& sql, infra::KeyManagement& keys, SealerOptions options = {}, const Clock& clock = Clock::system());

  // Whether there is any project with keys yet; brings the tables up to date.
  static Result<bool> has_keys(infra::SqlDatabase& sql);

  // The project's keys, made when it has none. Uses the database: not inside a transaction of the same thread.
  // kPermissionDenied when the key is revoked or destroyed; kUnavailable, with a time to try again, when the key management is.
  Result<ProjectKeys> project(std::string_view project);

  // For a single value; ProjectKeys says the rest.
  Result<Bytes> seal(std::string_view project, std::string_view context, ByteSpan plain);
  Result<Bytes> open(std::string_view project, std::string_view context, ByteSpan sealed);

  // Drops what is in memory: of one project, or of all.
  void forget(std::string_view project);
  void forget_all();
  // A number in the database that every change of keys raises, in the transaction of the change.
  Result<std::int64_t> epoch();
  static Status raise_epoch(infra::SqlTransaction& transaction);

 private:
  Sealer(infra::SqlDatabase& sql, infra::KeyManagement& keys, SealerOptions options, const Clock& clock)
      : sql_(sql), keys_(keys), options_(options), clock_(clock) {}

  struct Entry {
    ProjectKeys keys;
    SteadyTime until;
    std::list<std::string>::iterator used;
  };
  Status look();
  Result<ProjectKeys> load(const std::string& project);
  Status make(const std::string& project);
  void remember(const std::string& project, const ProjectKeys& keys, std::uint64_t generation);

  infra::SqlDatabase& sql_;
  infra::KeyManagement& keys_;
  const SealerOptions options_;
  const Clock& clock_;
  std::mutex loading_;  // one at a time asks the key management
  std::mutex mutex_;    // guards what follows; never held while asking anyone
  std::map<std::string, Entry, std::less<>> entries_;
  std::list<std::string> order_;  // used last first
  SteadyTime looked_{};
  std::int64_t epoch_ = -1;
  std::uint64_t generation_ = 0;  // raised by each forgetting: what was loaded before is not remembered after
  SteadyTime unreachable_until_{};
  Error unreachable_;
};

// What a wrapped key of `project` is bound to at the key management.
std::string key_context(std::string_view project, std::uint32_t version);
// Version 0 among a project's keys is the one that tags are made with.
inline constexpr std::uint32_t kLookupKey = 0;

}  // namespace stoa::governance
