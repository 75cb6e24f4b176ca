// The backends that contract tests run over. A suite of whatever keeps its state behind the SQL port takes one as its parameter and opens a
// database of its own for each test; another backend passes the same suites by being in the list of a header like sqlite/backends.h.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "infra/sql/sql.h"

namespace stoa::infra {

struct SqlBackend {
  std::string name;                                      // letters and digits
  std::function<std::unique_ptr<SqlDatabase>()> open;    // an empty database, which nobody else uses
};

// What test runners show.
inline std::ostream& operator<<(std::ostream& out, const SqlBackend& backend) { return out << backend.name; }

}  // namespace stoa::infra
