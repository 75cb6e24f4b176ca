// Who may read a document. Part of every document and of every index entry made from it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/principal.h"

namespace stoa {

// Readers inside the owning project: everyone of the project (`is_public`), or the named users and groups.
// An empty list (the default) lets nobody in: a document whose readers are unknown is not shown.
struct AccessList {
  bool is_public = false;
  std::vector<std::string> users;   // sorted, unique
  std::vector<std::string> groups;  // sorted, unique

  // Canonical text, equal for equal lists: "public", "private" (nobody), or "user:ann,user:bob,group:eng".
  std::string key() const;
  // Reads what key() writes, in any order. Names: 1..128 bytes of letters, digits and ._@+- ; at most 256 entries.
  static Result<AccessList> parse(std::string_view text);

  bool operator==(const AccessList&) const = default;
};

// True when `principal` may read a document of its own project that carries `list`. The caller has compared projects.
bool may_read(const Principal& principal, const AccessList& list);
// The entry of `list` that lets `principal` read: "public", "user:ann" or "group:eng"; empty where none does.
std::string permitting_entry(const Principal& principal, const AccessList& list);

}  // namespace stoa
