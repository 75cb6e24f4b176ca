// Rows of tenants, users and keys as they are stored, for identity.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "governance/identity/identity.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

// Names of groups and scopes hold no comma, so one text carries them all and a user or a key is one row.
inline constexpr std::string_view kUserColumns =
    "SELECT u.id, u.tenant, u.name, u.disabled, u.created,"
    " COALESCE((SELECT group_concat(g.name) FROM user_groups g WHERE g.user_id = u.id), '') FROM users u ";
inline constexpr std::string_view kKeyColumns =
    "SELECT k.id, k.prefix, p.tenant, k.project, COALESCE(u.name, ''), k.label, k.role, k.created, k.expires, k.revoked, k.last_used, k.scopes"
    " FROM api_keys k JOIN projects p ON p.id = k.project LEFT JOIN users u ON u.id = k.user_id ";
inline constexpr const char* kHolder =
    "SELECT k.id, k.hash, k.role, k.expires, k.revoked, k.last_used, p.tenant, p.id, u.id, COALESCE(u.name, ''), COALESCE(u.disabled, 0),"
    " COALESCE((SELECT group_concat(g.name) FROM user_groups g WHERE g.user_id = u.id), ''), k.scopes"
    " FROM api_keys k JOIN projects p ON p.id = k.project LEFT JOIN users u ON u.id = k.user_id WHERE ";

// A list as one text, and back: sorted.
std::string join_list(const std::vector<std::string>& items);
std::vector<std::string> split_list(std::string_view joined);

Result<Project> read_project(const infra::SqlRow& row);
Result<User> read_user(const infra::SqlRow& row);  // of kUserColumns
Result<ApiKey> read_key(const infra::SqlRow& row);  // of kKeyColumns

}  // namespace stoa::governance
