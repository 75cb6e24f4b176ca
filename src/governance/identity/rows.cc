#include "governance/identity/rows.h"

#include <algorithm>

#include <fmt/ranges.h>

namespace stoa::governance {

std::string join_list(const std::vector<std::string>& items) { return fmt::format("{}", fmt::join(items, ",")); }

std::vector<std::string> split_list(std::string_view joined) {
  std::vector<std::string> items;
  while (!joined.empty()) {
    const std::size_t comma = joined.find(',');
    items.emplace_back(joined.substr(0, comma));
    joined.remove_prefix(comma == std::string_view::npos ? joined.size() : comma + 1);
  }
  std::ranges::sort(items);
  return items;
}

Result<Tenant> read_tenant(const infra::SqlRow& row) {
  Tenant tenant;
  STOA_CHECK(row.read(tenant.id, tenant.name, tenant.created));
  return tenant;
}

Result<Project> read_project(const infra::SqlRow& row) {
  Project project;
  STOA_CHECK(row.read(project.id, project.tenant, project.name, project.created));
  return project;
}

Result<User> read_user(const infra::SqlRow& row) {
  User user;
  std::string groups;
  STOA_CHECK(row.read(user.id, user.tenant, user.name, user.disabled, user.created, groups));
  user.groups = split_list(groups);
  return user;
}

Result<ApiKey> read_key(const infra::SqlRow& row) {
  ApiKey key;
  std::string scopes;
  STOA_CHECK(row.read(key.id, key.prefix, key.tenant, key.project, key.user, key.label, key.role, key.created, key.expires, key.revoked, key.last_used, scopes));
  key.scopes = split_list(scopes);
  return key;
}

}  // namespace stoa::governance
