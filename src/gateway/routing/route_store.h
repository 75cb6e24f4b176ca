// Routes as versioned data of a project: what people set is checked, stored as a new version, written to the audit log, and in force at once, here
// and (within kRefresh) in other processes on the same store.
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

#include "base/time.h"
#include "contracts/call.h"
#include "gateway/routing/route.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "infra/sql/sql.h"

namespace stoa::gateway {

struct RouteVersion {
  std::string project, name;
  std::int64_t version = 0;  // 1, 2, 3, ... of this name
  bool removed = false;      // then it has no text: a removal is a version too
  std::string text;
  std::string digest;        // "sha256:..." of the text
  std::string author;        // id of the principal
  std::string comment;
  Micros time = 0;
};

struct NewRoute {
  std::string name;
  std::string text;      // as parse_route() reads it
  std::string comment;   // at most 512 bytes
  std::optional<std::int64_t> expected;  // refuse with kConflict unless this is the newest version (0: none yet)
};

// Thread-safe. Reading needs model.list, changing model.manage, in the caller's project. Errors besides: kNotFound, kInvalidArgument (with NAME:line),
// kConflict, kTooLarge. What is passed by reference outlives the object.
class RouteStore {
 public:
  static constexpr std::size_t kMaxNames = 1000;  // of a project
  static constexpr milliseconds kRefresh{100};

  static Result<std::unique_ptr<RouteStore>> open(infra::SqlDatabase& database, governance::AuditLog& audit, const governance::Access& access,
                                                  const Clock& clock = Clock::system());

  Result<std::vector<RouteVersion>> list(const Call& call);  // the newest of each name, without those removed, by name
  Result<RouteVersion> get(const Call& call, std::string_view name, std::optional<std::int64_t> version = {});
  Result<std::vector<RouteVersion>> history(const Call& call, std::string_view name);  // newest first, without texts
  Result<RouteVersion> set(const Call& call, const NewRoute& route);
  Result<RouteVersion> rollback(const Call& call, std::string_view name, std::int64_t version, std::string comment);
  Result<RouteVersion> remove(const Call& call, std::string_view name, std::string comment);

  // For serving, from memory: null when the project has no route of that name.
  std::shared_ptr<const Route> find(std::string_view project, std::string_view name);
  std::vector<std::string> names(std::string_view project);

 private:
  using Routes = std::map<std::pair<std::string, std::string>, std::shared_ptr<const Route>, std::less<>>;  // by project and name

  RouteStore(infra::SqlDatabase& database, governance::AuditLog& audit, const governance::Access& access, const Clock& clock)
      : database_(database), audit_(audit), access_(access), clock_(clock) {}
  Status allow(const Call& call, governance::Action action, std::string_view name, std::string_view change);
  Status load();
  std::shared_ptr<const Routes> current();
  Result<RouteVersion> store(const Call& call, const NewRoute& route, bool removed, std::string_view change);

  infra::SqlDatabase& database_;
  governance::AuditLog& audit_;
  const governance::Access& access_;
  const Clock& clock_;
  std::atomic<std::int64_t> looked_{0};  // when current() last asked the store, on the steady clock
  std::mutex mutex_;                     // of what follows
  std::shared_ptr<const Routes> routes_ = std::make_shared<const Routes>();
  std::int64_t sequence_ = -1;
};

}  // namespace stoa::gateway
