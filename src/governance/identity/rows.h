// The tables of tenants, users and keys, and their rows, for identity.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "governance/identity/identity.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

inline constexpr infra::Migration kIdentityMigrations[] = {{1, R"sql(
CREATE TABLE tenants (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created INTEGER NOT NULL);
CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  created INTEGER NOT NULL,
  UNIQUE (tenant, name));
CREATE TABLE users (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL REFERENCES tenants (id),
  name TEXT NOT NULL,
  disabled INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL,
  UNIQUE (tenant, name));
CREATE TABLE user_groups (
  user_id TEXT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  PRIMARY KEY (user_id, name)) WITHOUT ROWID;
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  prefix TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  project TEXT NOT NULL REFERENCES projects (id),
  user_id TEXT REFERENCES users (id),
  label TEXT NOT NULL,
  role TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  revoked INTEGER,
  last_used INTEGER);
CREATE INDEX api_keys_by_project ON api_keys (project);
)sql"},
                                             {2, "ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT ''"}};

// Names of groups and scopes hold no comma, so one text carries them all and a user or a key is one row.
inline constexpr std::string_view kUserColumns =
    "SELECT u.id, u.tenant, u.name, u.disabled, u.created,"
    " COALESCE((SELECT group_concat(g.name) FROM user_groups g WHERE g.user_id = u.id), '') FROM users u ";
inline constexpr std::string_view kKeyColumns =
    "SELECT k.id, k.prefix, p.tenant, k.project, COALESCE(u.name, ''), k.label, k.role, k.created, k.expires, k.revoked, k.last_used, k.scopes"
    " FROM api_keys k JOIN projects p ON p.id = k.project LEFT JOIN users u ON u.id = k.user_id ";
inline constexpr const char* kHolder =
    "SELECT k.id, k.hash, k.role, k.expires, k.revoked, k.last_used, p.tenant, p.id, u.id, COALESCE(u.name, ''), COALESCE(u.disabled, 0),"
    " COALESCE((SELECT group_concat(g.name) FROM user_groups g WHERE g.user_id = u.id), ''), k.scopes, k.prefix"
    " FROM api_keys k JOIN projects p ON p.id = k.project LEFT JOIN users u ON u.id = k.user_id WHERE ";

// A list as one text, and back: sorted.
std::string join_list(const std::vector<std::string>& items);
std::vector<std::string> split_list(std::string_view joined);

Result<Tenant> read_tenant(const infra::SqlRow& row);
Result<Project> read_project(const infra::SqlRow& row);
Result<User> read_user(const infra::SqlRow& row);  // of kUserColumns
Result<ApiKey> read_key(const infra::SqlRow& row);  // of kKeyColumns

}  // namespace stoa::governance
