// SQLite behind the SQL port: write-ahead log, synchronous=FULL (a commit survives power loss), foreign keys on, one writer
// and a small pool of readers that see the last commit and never wait for the writer.
#pragma once

#include <filesystem>
#include <memory>

#include "base/time.h"
#include "infra/sql/sql.h"

namespace stoa::infra {

struct SqliteOptions {
  int readers = 4;                            // connections for reading at the same time; further readers wait
  milliseconds wait{10'000};                  // longest wait for a lock or a reader, then kUnavailable
  std::size_t statements = 64;                // prepared statements kept for each connection
  std::int64_t max_bytes = 0;                 // 0 = as large as the disk; otherwise writing more is kResourceExhausted
};

// Opens or creates the file (mode 0600; its folder must exist). Several processes may have it open.
Result<std::unique_ptr<SqlDatabase>> open_sqlite(const std::filesystem::path& file, const SqliteOptions& options = {});

// A private database in memory, gone with the object: the twin for tests.
Result<std::unique_ptr<SqlDatabase>> open_memory(const SqliteOptions& options = {});

}  // namespace stoa::infra
