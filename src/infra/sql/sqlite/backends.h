// SQLite as a backend of contract tests: the file and its twin in memory.
#pragma once

#include <vector>

#include "infra/sql/backends.h"

namespace stoa::infra {

// Files are in the system's folder for temporary ones and gone when the program ends. Ends the program where they cannot be made.
std::vector<SqlBackend> sqlite_backends();

}  // namespace stoa::infra
