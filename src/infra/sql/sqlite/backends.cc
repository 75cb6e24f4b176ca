#include "infra/sql/sqlite/backends.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "infra/sql/sqlite/sqlite.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<SqlDatabase> must(Result<std::unique_ptr<SqlDatabase>> opened) {
  if (opened) return std::move(*opened);
  std::fprintf(stderr, "%s\n", opened.error().message.c_str());
  std::abort();
}

// One for each list of backends. Removed with the last database that lies in it.
struct Folder {
  static inline std::atomic<int> made = 0;
  fs::path path = fs::temp_directory_path() / fmt::format("stoa-backends-{}-{}", ::getpid(), ++made);
  int files = 0;
  Folder() { fs::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

}  // namespace

std::vector<SqlBackend> sqlite_backends() {
  const auto folder = std::make_shared<Folder>();
  return {{"memory", [] { return must(open_memory()); }}, {"file", [folder] { return must(open_sqlite(folder->path / fmt::format("{}.db", ++folder->files))); }}};
}

}  // namespace stoa::infra
