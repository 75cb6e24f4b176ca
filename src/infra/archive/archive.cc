#include "infra/archive/archive.h"

#include <cerrno>
#include <cstring>
#include <memory>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

namespace stoa::infra {
namespace {

constexpr std::size_t kBlock = 256u << 10;

struct CloseArchive {
  void operator()(struct archive* handle) const { archive_read_free(handle); }
};
using Reader = std::unique_ptr<struct archive, CloseArchive>;

std::unexpected<Error> broken(const std::filesystem::path& path, struct archive* reader) {
  const char* why = archive_error_string(reader);
  return fail(ErrorCode::kDataLoss, "{}: not a readable archive: {}", path.string(), why == nullptr ? "unknown reason" : why);
}

// A file being written: removed again unless keep() was reached.
class Target {
 public:
  explicit Target(std::filesystem::path path) : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {}
  ~Target() {
    if (fd_ >= 0) ::close(fd_);
    if (!kept_) ::unlink(path_.c_str());
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  Status write(const char* data, std::size_t size) {
    if (fd_ < 0) return problem("open");
    while (size > 0) {
      const ssize_t written = ::write(fd_, data, size);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return problem("write");
      data += written;
      size -= static_cast<std::size_t>(written);
    }
    return {};
  }
  Status keep() {
    if (fd_ < 0) return problem("open");
    if (::fsync(fd_) != 0) return problem("sync");
    kept_ = true;
    return {};
  }

 private:
  Status problem(std::string_view what) const {
    const int code = errno;
    return fail(code == ENOSPC || code == EDQUOT ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable, "cannot {} {}: {}", what,
                path_.string(), std::strerror(code));
  }
  const std::filesystem::path path_;
  const int fd_;
  bool kept_ = false;
};

Status copy_member(const std::filesystem::path& path, struct archive* reader, const std::filesystem::path& target, std::uint64_t max_bytes) {
  Target out(target);
  std::string block(kBlock, '\0');
  std::uint64_t total = 0;
  while (true) {
    const la_ssize_t got = archive_read_data(reader, block.data(), block.size());
    if (got < 0) return broken(path, reader);
    if (got == 0) return out.keep();
    total += static_cast<std::uint64_t>(got);
    if (total > max_bytes) return fail(ErrorCode::kTooLarge, "{}: the member exceeds {} bytes", path.string(), max_bytes);
    STOA_CHECK(out.write(block.data(), static_cast<std::size_t>(got)));
  }
}

}  // namespace

Status extract_member(const std::filesystem::path& archive, const std::string& member, const std::filesystem::path& target,
                      const ArchiveLimits& limits) {
  const Reader reader(archive_read_new());
  archive_read_support_format_zip(reader.get());
  archive_read_support_format_tar(reader.get());
  // Named one by one: "all" would have libarchive start programs (lrzip, lzop, grzip) on what it takes for their formats.
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_filter_bzip2(reader.get());
  archive_read_support_filter_xz(reader.get());
  archive_read_support_filter_zstd(reader.get());
  if (archive_read_open_filename(reader.get(), archive.c_str(), kBlock) != ARCHIVE_OK) return broken(archive, reader.get());
  archive_entry* entry = nullptr;
  for (std::size_t seen = 0; seen < limits.max_members; ++seen) {
    const int code = archive_read_next_header(reader.get(), &entry);
    if (code == ARCHIVE_EOF) return fail(ErrorCode::kNotFound, "{} has no member '{}'", archive.string(), member);
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return broken(archive, reader.get());
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr || member != name) continue;
    if (archive_entry_filetype(entry) != AE_IFREG)
      return fail(ErrorCode::kDataLoss, "{}: member '{}' is not a plain file", archive.string(), member);
    return copy_member(archive, reader.get(), target, limits.max_bytes);
  }
  return fail(ErrorCode::kTooLarge, "{} has more than {} members", archive.string(), limits.max_members);
}

}  // namespace stoa::infra
