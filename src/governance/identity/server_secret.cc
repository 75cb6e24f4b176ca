#include "governance/identity/identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "infra/crypto/encoding.h"
#include "infra/crypto/random.h"

namespace stoa::governance {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kBytes = 32;

// One of the files, and what it takes to go on without it.
struct Secret {
  const char* file;
  const char* if_lost;
};
constexpr Secret kApiKeys{"api-keys", "delete the file and make all keys anew"};
constexpr Secret kTokenSigning{"token-signing", "delete the file; tokens of jobs and break-glass tokens then have to be made anew"};
constexpr Secret kAuditSigning{"audit-signing", "delete the file, and give out the new key of the audit log's checkpoints"};

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }
  bool ok() const { return descriptor_ >= 0; }

 private:
  const int descriptor_;
};

std::unexpected<Error> unusable(const fs::path& path, std::string_view what, int number) {
  return fail(error(ErrorCode::kUnavailable, "{}: {}: {}", path.string(), what, std::strerror(number)).with_hint("see docs/operating/README.md, the data folder"));
}

// `forbidden`: mode bits of group and others that let them have or replace the secret.
Status check_mode(const fs::path& path, const File& file, unsigned forbidden, std::string_view mode, const Secret& secret) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return unusable(path, "cannot be examined", errno);
  if ((info.st_mode & forbidden) == 0) return {};
  return fail(error(ErrorCode::kUnavailable, "{}: mode {:04o} gives other users of this machine access to the secret", path.string(), info.st_mode & 07777u)
                  .with_hint(fmt::format("chmod {} {}; if others may have read it, {}", mode, path.string(), secret.if_lost)));
}

Result<Bytes> read_secret(const fs::path& path, const File& file, const Secret& what) {
  STOA_CHECK(check_mode(path, file, 077, "600", what));
  std::array<char, 2 * kBytes + 2> text{};  // one more than the digits and the end of line, to notice more
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size < 0) return unusable(path, "cannot be read", errno);
  std::string_view digits(text.data(), static_cast<std::size_t>(size));
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  auto secret = infra::from_hex(digits);
  if (!secret || secret->size() != kBytes)
    return fail(error(ErrorCode::kUnavailable, "{}: damaged, {} hexadecimal digits are expected", path.string(), 2 * kBytes)
                    .with_hint(fmt::format("restore it from a backup, or {}", what.if_lost)));
  return std::move(*secret);
}

// Written aside and linked into place, so that the file is never seen half written and the first of two processes wins.
Status make_secret(const fs::path& folder, const File& folder_file, const fs::path& path, const Secret& what) {
  STOA_TRY(secret, infra::random_bytes(kBytes));
  STOA_TRY(suffix, infra::random_bytes(8));
  const fs::path aside = folder / fmt::format("{}.{}", what.file, infra::to_hex(suffix));
  const std::string text = infra::to_hex(secret) + "\n";
  const File file(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.ok()) return unusable(aside, "cannot be made", errno);
  int failed = 0;
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) failed = errno != 0 ? errno : ENOSPC;
  if (failed == 0 && ::fsync(file.get()) != 0) failed = errno;
  if (failed == 0 && ::link(aside.c_str(), path.c_str()) != 0 && errno != EEXIST) failed = errno;
  ::unlink(aside.c_str());
  if (failed == 0 && ::fsync(folder_file.get()) != 0) failed = errno;
  if (failed != 0) return unusable(path, "cannot be made", failed);
  return {};
}

Result<Bytes> load(const fs::path& home, const Secret& what) {
  const fs::path folder = home / "secrets", path = folder / what.file;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return unusable(folder, "cannot be made", errno);
  const File folder_file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_file.ok()) return unusable(folder, "cannot be opened", errno);
  STOA_CHECK(check_mode(folder, folder_file, 022, "700", what));
  {
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.ok()) return read_secret(path, file, what);
    if (errno != ENOENT) return unusable(path, "cannot be opened", errno);
  }
  STOA_CHECK(make_secret(folder, folder_file, path, what));
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.ok()) return unusable(path, "cannot be opened", errno);
  return read_secret(path, file, what);
}

}  // namespace

Result<Bytes> load_server_secret(const fs::path& home) { return load(home, kApiKeys); }
Result<Bytes> load_token_secret(const fs::path& home) { return load(home, kTokenSigning); }
Result<Bytes> load_audit_secret(const fs::path& home) { return load(home, kAuditSigning); }

}  // namespace stoa::governance
