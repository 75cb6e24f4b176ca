#include "governance/identity/key_cache.h"

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

std::shared_ptr<const Holder> KeyCache::find(std::string_view prefix, std::int64_t generation) const {
  std::lock_guard lock(mutex_);
  if (generation != generation_) return nullptr;
  const auto found = holders_.find(std::string(prefix));
  return found == holders_.end() ? nullptr : found->second;
}

void KeyCache::put(std::string_view prefix, std::int64_t generation, std::shared_ptr<const Holder> holder) {
  std::lock_guard lock(mutex_);
  if (generation < generation_) return;
  if (generation > generation_ || holders_.size() >= kMaxKeys) holders_.clear();
  generation_ = generation;
  holders_[std::string(prefix)] = std::move(holder);
}

}  // namespace stoa::governance
