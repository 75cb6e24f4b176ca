#include "governance/identity/key_cache.h"

#include <set>

namespace stoa::governance {
namespace {

// Not for the last use of a key, which changes all the time and means nothing here.
constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE identity_generation (generation INTEGER NOT NULL);
INSERT INTO identity_generation VALUES (1);
CREATE TRIGGER generation_of_keys AFTER UPDATE OF prefix, hash, project, user_id, role, expires, revoked, scopes ON api_keys
  BEGIN UPDATE identity_generation SET generation = generation + 1; END;
CREATE TRIGGER generation_of_removed_keys AFTER DELETE ON api_keys BEGIN UPDATE identity_generation SET generation = generation + 1; END;
CREATE TRIGGER generation_of_users AFTER UPDATE ON users BEGIN UPDATE identity_generation SET generation = generation + 1; END;
CREATE TRIGGER generation_of_groups AFTER INSERT ON user_groups BEGIN UPDATE identity_generation SET generation = generation + 1; END;
CREATE TRIGGER generation_of_changed_groups AFTER UPDATE ON user_groups BEGIN UPDATE identity_generation SET generation = generation + 1; END;
CREATE TRIGGER generation_of_removed_groups AFTER DELETE ON user_groups BEGIN UPDATE identity_generation SET generation = generation + 1; END;
CREATE TRIGGER generation_of_projects AFTER UPDATE ON projects BEGIN UPDATE identity_generation SET generation = generation + 1; END;
)sql"},
                                            // Which keys (by prefix) or users each change was of; both empty: of more than can be named. The last 1,000.
                                            {2, R"sql(
CREATE TABLE identity_changes (generation INTEGER PRIMARY KEY, prefix TEXT NOT NULL, user_id TEXT NOT NULL);
CREATE TRIGGER identity_changes_bounded AFTER INSERT ON identity_changes BEGIN DELETE FROM identity_changes WHERE generation <= NEW.generation - 1000; END;
DROP TRIGGER generation_of_keys;
DROP TRIGGER generation_of_removed_keys;
DROP TRIGGER generation_of_users;
DROP TRIGGER generation_of_groups;
DROP TRIGGER generation_of_changed_groups;
DROP TRIGGER generation_of_removed_groups;
DROP TRIGGER generation_of_projects;
CREATE TRIGGER generation_of_keys AFTER UPDATE OF prefix, hash, project, user_id, role, expires, revoked, scopes ON api_keys BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, OLD.prefix, '' FROM identity_generation; END;
CREATE TRIGGER generation_of_removed_keys AFTER DELETE ON api_keys BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, OLD.prefix, '' FROM identity_generation; END;
CREATE TRIGGER generation_of_users AFTER UPDATE ON users BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, '', OLD.id FROM identity_generation; END;
CREATE TRIGGER generation_of_groups AFTER INSERT ON user_groups BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, '', NEW.user_id FROM identity_generation; END;
CREATE TRIGGER generation_of_changed_groups AFTER UPDATE ON user_groups BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, '', '' FROM identity_generation; END;
CREATE TRIGGER generation_of_removed_groups AFTER DELETE ON user_groups BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, '', OLD.user_id FROM identity_generation; END;
CREATE TRIGGER generation_of_projects AFTER UPDATE ON projects BEGIN
  UPDATE identity_generation SET generation = generation + 1;
  INSERT INTO identity_changes SELECT generation, '', '' FROM identity_generation; END;
)sql"}};

}  // namespace

Result<std::unique_ptr<KeyCache>> KeyCache::open(infra::SqlDatabase& database) {
  STOA_CHECK(database.migrate("governance/identity/generation", kMigrations));
  return std::unique_ptr<KeyCache>(new KeyCache(database));
}

Result<std::int64_t> KeyCache::generation() const {
  std::int64_t generation = 0;
  STOA_CHECK(database_.for_each("SELECT generation FROM identity_generation", {}, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_CHECK(row.read(generation));
    return false;
  }));
  return generation;
}

std::shared_ptr<const Holder> KeyCache::find(std::string_view prefix, std::int64_t generation) {
  std::lock_guard lock(mutex_);
  if (generation > generation_) forget_changed(generation);
  if (generation != generation_) return nullptr;
  const auto found = holders_.find(std::string(prefix));
  return found == holders_.end() ? nullptr : found->second;
}

void KeyCache::put(std::string_view prefix, std::int64_t generation, std::shared_ptr<const Holder> holder) {
  std::lock_guard lock(mutex_);
  if (generation < generation_) return;
  if (generation > generation_) forget_changed(generation);
  if (holders_.size() >= kMaxKeys) holders_.clear();
  holders_[std::string(prefix)] = std::move(holder);
}

// Under the mutex. Whatever cannot be told apart is forgotten.
void KeyCache::forget_changed(std::int64_t generation) {
  std::int64_t told = 0;
  std::set<std::string> prefixes, users;
  const auto read = database_.for_each("SELECT prefix, user_id FROM identity_changes WHERE generation > ? AND generation <= ?", {generation_, generation}, [&](const infra::SqlRow& row) -> Result<bool> {
    std::string prefix, user;
    STOA_CHECK(row.read(prefix, user));
    if (prefix.empty() && user.empty()) return false;
    ++told;
    if (!prefix.empty()) prefixes.insert(std::move(prefix));
    if (!user.empty()) users.insert(std::move(user));
    return true;
  });
  if (!read || told != generation - generation_) {
    holders_.clear();
  } else {
    for (const auto& prefix : prefixes) holders_.erase(prefix);
    if (!users.empty()) std::erase_if(holders_, [&](const auto& known) { return users.contains(known.second->principal.id); });
  }
  generation_ = generation;
}

}  // namespace stoa::governance
