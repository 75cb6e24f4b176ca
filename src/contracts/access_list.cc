#include "contracts/access_list.h"

#include <algorithm>
#include <cctype>

namespace stoa {
namespace {

constexpr std::size_t kMaxEntries = 256, kMaxName = 128;

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("._@+-").contains(static_cast<char>(c));
  });
}

void sort_unique(std::vector<std::string>& names) {
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

std::string AccessList::key() const {
  if (is_public) return "public";
  std::string text;
  for (const auto& user : users) text += (text.empty() ? "user:" : ",user:") + user;
  for (const auto& group : groups) text += (text.empty() ? "group:" : ",group:") + group;
  return text.empty() ? "private" : text;
}

Result<AccessList> AccessList::parse(std::string_view text) {
  AccessList list;
  if (text == "private") return list;
  std::size_t entries = 0;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view entry = text.substr(0, comma);
    const std::string_view name = entry.substr(std::min(entry.size(), entry.find(':') + 1));
    if (++entries > kMaxEntries) return fail(ErrorCode::kInvalidArgument, "an access list has at most {} entries", kMaxEntries);
    if (entry == "public") {
      list.is_public = true;
    } else if (entry.starts_with("user:") && valid_name(name)) {
      list.users.emplace_back(name);
    } else if (entry.starts_with("group:") && valid_name(name)) {
      list.groups.emplace_back(name);
    } else {
      return fail(error(ErrorCode::kInvalidArgument, "'{}' is not an access list entry", entry)
                      .with_hint("use public, private, user:NAME or group:NAME, separated by commas"));
    }
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (list.is_public) return AccessList{true, {}, {}};
  sort_unique(list.users);
  sort_unique(list.groups);
  return list;
}

bool may_read(const Principal& principal, const AccessList& list) {
  if (list.is_public) return true;
  if (!principal.user.empty() && std::ranges::binary_search(list.users, principal.user)) return true;
  return std::ranges::any_of(principal.groups, [&](const std::string& group) { return std::ranges::binary_search(list.groups, group); });
}

std::string permitting_entry(const Principal& principal, const AccessList& list) {
  if (list.is_public) return "public";
  if (!principal.user.empty() && std::ranges::binary_search(list.users, principal.user)) return "user:" + principal.user;
  const auto group = std::ranges::find_if(principal.groups, [&](const std::string& name) { return std::ranges::binary_search(list.groups, name); });
  return group == principal.groups.end() ? std::string() : "group:" + *group;
}

}  // namespace stoa
