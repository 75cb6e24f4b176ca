// Any bytes as an archive: its member "data.txt" comes out within the limit, or there is an error and no file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "infra/archive/archive.h"

namespace {

// A folder of this process's own, removed at its end.
struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "stoa-archive-fuzz-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path path;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fs = std::filesystem;
  constexpr std::uint64_t kMaxBytes = 1 << 16;
  static const Folder folder;
  const fs::path target = folder.path / "out";
  const int archive = ::memfd_create("archive", MFD_CLOEXEC);
  if (archive < 0 || ::write(archive, data, size) != static_cast<ssize_t>(size)) std::abort();
  const auto done = stoa::infra::extract_member("/proc/self/fd/" + std::to_string(archive), "data.txt", target, {.max_bytes = kMaxBytes, .max_members = 100});
  ::close(archive);
  std::error_code absent;
  if (fs::exists(target, absent) != done.has_value()) std::abort();
  if (done && fs::file_size(target) > kMaxBytes) std::abort();
  fs::remove(target, absent);
  return 0;
}
