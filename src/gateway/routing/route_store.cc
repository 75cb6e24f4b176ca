#include "gateway/routing/route_store.h"

#include <algorithm>

#include "base/log.h"
#include "infra/crypto/hash.h"

namespace stoa::gateway {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE model_routes (
  sequence INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  text TEXT NOT NULL,
  digest TEXT NOT NULL,
  author TEXT NOT NULL,
  comment TEXT NOT NULL,
  time INTEGER NOT NULL,
  UNIQUE (project, name, version));
)sql"}};

constexpr std::string_view kColumns = "project, name, version, removed, digest, author, comment, time, text";
constexpr std::string_view kNewest = "version = (SELECT MAX(version) FROM model_routes q WHERE q.project = r.project AND q.name = r.name) AND removed = 0";
constexpr std::size_t kMaxComment = 512;

Result<RouteVersion> read_version(const infra::SqlRow& row) {
  RouteVersion v;
  STOA_CHECK(row.read(v.project, v.name, v.version, v.removed, v.digest, v.author, v.comment, v.time, v.text));
  return v;
}

governance::Resource resource_of(const Call& call, std::string_view name) { return governance::Resource::of(call.principal, "route", std::string(name)); }

std::unexpected<Error> unknown(std::string_view name) { return fail(error(ErrorCode::kNotFound, "there is no route '{}'", name.substr(0, 150)).with_param("name")); }

std::int64_t steady_millis() { return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Result<std::unique_ptr<RouteStore>> RouteStore::open(infra::SqlDatabase& database, governance::AuditLog& audit, const governance::Access& access, const Clock& clock) {
  STOA_CHECK(database.migrate("gateway/routing", kMigrations));
  std::unique_ptr<RouteStore> store(new RouteStore(database, audit, access, clock));
  STOA_CHECK(store->load());
  return store;
}

Status RouteStore::allow(const Call& call, governance::Action action, std::string_view name, std::string_view change) {
  const auto permit = access_.check(call, action, resource_of(call, name));
  if (permit) return {};
  auto entry = governance::AuditEntry::of(call, change, resource_of(call, name).text());
  entry.outcome = governance::Outcome::kDenied;
  entry.reason = permit.error().message;
  if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
  return fail(permit.error());
}

// ---- Serving

Status RouteStore::load() {
  std::lock_guard lock(mutex_);
  STOA_TRY(row, database_.query_one("SELECT COALESCE(MAX(sequence), 0) FROM model_routes"));
  STOA_TRY(sequence, row->get<std::int64_t>(0));
  if (sequence == sequence_) return {};
  auto routes = std::make_shared<Routes>();
  STOA_CHECK(database_.for_each(fmt::format("SELECT {} FROM model_routes r WHERE {}", kColumns, kNewest), {}, [&](const infra::SqlRow& found) -> Result<bool> {
    STOA_TRY(version, read_version(found));
    if (auto route = parse_route(version.text, version.name)) {
      route->version = version.version;
      routes->emplace(std::pair(version.project, version.name), std::make_shared<const Route>(std::move(*route)));
    } else {  // of another release
      log_error("a stored route cannot be read: nobody can use it", route.error(), {{"project", version.project}, {"route", version.name}});
    }
    return true;
  }));
  routes_ = std::move(routes);
  sequence_ = sequence;
  return {};
}

// Looks into the store at most every kRefresh; a store that does not answer leaves what was known in force.
std::shared_ptr<const RouteStore::Routes> RouteStore::current() {
  const std::int64_t now = steady_millis();
  std::int64_t looked = looked_.load();
  if (now - looked >= kRefresh.count() && looked_.compare_exchange_strong(looked, now))
    if (const auto loaded = load(); !loaded) log_error("changed routes were not taken over: those before stay in force", loaded.error());
  std::lock_guard lock(mutex_);
  return routes_;
}

std::shared_ptr<const Route> RouteStore::find(std::string_view project, std::string_view name) {
  const auto routes = current();
  const auto found = routes->find(std::pair(std::string(project), std::string(name)));
  return found == routes->end() ? nullptr : found->second;
}

std::vector<std::string> RouteStore::names(std::string_view project) {
  std::vector<std::string> names;
  const auto routes = current();
  for (auto route = routes->lower_bound(std::pair(std::string(project), std::string())); route != routes->end() && route->first.first == project; ++route) names.push_back(route->first.second);
  return names;
}

// ---- Reading

Result<std::vector<RouteVersion>> RouteStore::list(const Call& call) {
  STOA_CHECK(allow(call, governance::Action::kModelList, "", "route.list"));
  std::vector<RouteVersion> all;
  STOA_CHECK(database_.for_each(fmt::format("SELECT {} FROM model_routes r WHERE project = ? AND {} ORDER BY name", kColumns, kNewest), {call.principal.project}, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(version, read_version(row));
    all.push_back(std::move(version));
    return true;
  }));
  return all;
}

Result<RouteVersion> RouteStore::get(const Call& call, std::string_view name, std::optional<std::int64_t> version) {
  STOA_CHECK(allow(call, governance::Action::kModelList, name, "route.show"));
  STOA_TRY(row, database_.query_one(fmt::format("SELECT {} FROM model_routes WHERE project = ? AND name = ? AND (? = 0 OR version = ?) ORDER BY version DESC LIMIT 1", kColumns),
                                    {call.principal.project, std::string(name), version.value_or(0), version.value_or(0)}));
  if (!row) return unknown(name);
  STOA_TRY(found, read_version(*row));
  if (!version && found.removed) return unknown(name);
  return found;
}

Result<std::vector<RouteVersion>> RouteStore::history(const Call& call, std::string_view name) {
  STOA_CHECK(allow(call, governance::Action::kModelList, name, "route.history"));
  std::vector<RouteVersion> all;
  STOA_CHECK(database_.for_each(fmt::format("SELECT {} FROM model_routes WHERE project = ? AND name = ? ORDER BY version DESC LIMIT 1000", kColumns), {call.principal.project, std::string(name)},
                                [&](const infra::SqlRow& row) -> Result<bool> {
                                  STOA_TRY(version, read_version(row));
                                  version.text.clear();
                                  all.push_back(std::move(version));
                                  return true;
                                }));
  if (all.empty()) return unknown(name);
  return all;
}

// ---- Changing

Result<RouteVersion> RouteStore::set(const Call& call, const NewRoute& route) {
  STOA_CHECK(allow(call, governance::Action::kModelManage, route.name, "route.set"));
  STOA_CHECK(check_route_name(route.name));
  if (route.comment.size() > kMaxComment) return fail(error(ErrorCode::kInvalidArgument, "a comment has at most {} bytes", kMaxComment).with_param("comment"));
  if (auto parsed = parse_route(route.text, route.name); !parsed) return fail(std::move(parsed).error().with_param("text"));
  return store(call, route, false, "route.set");
}

Result<RouteVersion> RouteStore::rollback(const Call& call, std::string_view name, std::int64_t version, std::string comment) {
  STOA_CHECK(allow(call, governance::Action::kModelManage, name, "route.rollback"));
  STOA_TRY(old, get(call, name, version));
  if (old.removed) return fail(error(ErrorCode::kInvalidArgument, "version {} of '{}' is its removal: remove it instead", version, name).with_param("version"));
  if (auto parsed = parse_route(old.text, name); !parsed) return fail(std::move(parsed).error());
  if (comment.empty()) comment = fmt::format("back to version {}", version);
  return store(call, {.name = std::string(name), .text = old.text, .comment = std::move(comment), .expected = {}}, false, "route.rollback");
}

Result<RouteVersion> RouteStore::remove(const Call& call, std::string_view name, std::string comment) {
  STOA_CHECK(allow(call, governance::Action::kModelManage, name, "route.remove"));
  return store(call, {.name = std::string(name), .text = "", .comment = std::move(comment), .expected = {}}, true, "route.remove");
}

Result<RouteVersion> RouteStore::store(const Call& call, const NewRoute& route, bool removed, std::string_view change) {
  RouteVersion next{.project = call.principal.project, .name = route.name, .version = 1, .removed = removed, .text = route.text, .digest = "sha256:" + infra::sha256_hex(route.text),
                    .author = call.principal.id, .comment = route.comment, .time = clock_.now()};
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(newest, transaction.query_one("SELECT version, removed FROM model_routes WHERE project = ? AND name = ? ORDER BY version DESC LIMIT 1", {next.project, next.name}));
    std::int64_t version = 0;
    bool gone = true;
    if (newest) STOA_CHECK(newest->read(version, gone));
    if (route.expected && *route.expected != version)
      return fail(error(ErrorCode::kConflict, "the newest version of '{}' is {}, not {}", next.name, version, *route.expected).with_hint("look at it, and set yours again"));
    if (removed && gone) return unknown(next.name);
    if (!removed && gone) {
      STOA_TRY(row, transaction.query_one(fmt::format("SELECT COUNT(*) FROM model_routes r WHERE project = ? AND {}", kNewest), {next.project}));
      STOA_TRY(count, row->get<std::int64_t>(0));
      if (count >= static_cast<std::int64_t>(kMaxNames)) return fail(ErrorCode::kTooLarge, "the project has {} routes already, the most there can be", count);
    }
    next.version = version + 1;
    STOA_CHECK(transaction.execute("INSERT INTO model_routes (project, name, version, removed, text, digest, author, comment, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                   {next.project, next.name, next.version, std::int64_t{removed}, next.text, next.digest, next.author, next.comment, next.time}));
    auto entry = governance::AuditEntry::of(call, change, fmt::format("route {}@{}", next.name, next.version));
    entry.reason = removed ? next.comment : next.digest;
    return audit_.append(transaction, std::move(entry));
  }));
  if (const auto loaded = load(); !loaded) log_error("a changed route was not taken over yet", loaded.error());
  return next;
}

}  // namespace stoa::gateway
