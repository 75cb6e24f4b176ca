#include "infra/keys/file/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "infra/crypto/encoding.h"
#include "infra/files/files.h"
#include "infra/keys/master_keys.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kProvider = "file", kHeader = "stoa-master-keys 1";
constexpr std::size_t kMaxFile = 1 << 20;
constexpr int kLockAttempts = 100;
constexpr std::string_view kPreface =
    "# Master keys of Stoa. They open the data keys in the data folder: keep this file apart from that folder and from its backups,\n"
    "# readable by nobody else, and keep a copy in a safe place. Without it the data cannot be read again, by anyone.\n";

// Says which file it was, and where it is set.
Error of_key_file(Error problem) {
  problem.hint = "set kms.file to a place outside of the data folder that the server's user can read and write";
  problem.message = "the key file " + problem.message;
  return problem;
}
Error key_file_error(const fs::path& path, std::string_view doing) { return of_key_file(file_error(path, doing)); }

Error damaged(const fs::path& path, int line, std::string_view what) {
  return error(ErrorCode::kDataLoss, "the key file {}, line {}: {}", path.string(), line, what).with_hint("restore it from your copy");
}

Result<MasterKeys> parse(const fs::path& path, std::string_view text) {
  MasterKeys keys;
  bool header = false;
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t end = text.find('\n');
    const std::string_view row = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (row.empty() || row.front() == '#') continue;
    if (!header) {
      if (row != kHeader) return fail(damaged(path, line, "this is no key file"));
      header = true;
      continue;
    }
    const std::size_t first = row.find(' '), second = row.find(' ', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return fail(damaged(path, line, "a version, a time and a key are expected"));
    std::int64_t version = 0;
    const auto parsed = std::from_chars(row.data(), row.data() + first, version);
    const auto created = parse_rfc3339(row.substr(first + 1, second - first - 1));
    auto bytes = from_base64(row.substr(second + 1));
    if (parsed.ec != std::errc() || parsed.ptr != row.data() + first || version < 1 || !created || !bytes) return fail(damaged(path, line, "this is no key"));
    auto key = SecretKey::from(*bytes);
    wipe(*bytes);
    if (!key || !keys.emplace(version, MasterKey{*created, *key}).second) return fail(damaged(path, line, "this is no key"));
  }
  if (keys.empty()) return fail(damaged(path, 1, "there is no key in it"));
  return keys;
}

Result<MasterKeys> read_keys(const File& file) {
  const fs::path& path = file.path();
  struct stat info {};
  if (::fstat(file.descriptor(), &info) != 0) return fail(key_file_error(path, "look at"));
  if ((info.st_mode & 077) != 0)
    return fail(error(ErrorCode::kPermissionDenied, "the key file {} can be read by others than its owner", path.string())
                    .with_hint(fmt::format("chmod 600 {}; if others may have read it, 'stoa kms rotate' and 'stoa kms rewrap' replace the keys", path.string())));
  if (!S_ISREG(info.st_mode) || static_cast<std::size_t>(info.st_size) > kMaxFile) return fail(damaged(path, 1, "this is no key file"));
  auto bytes = file.read_at(0, static_cast<std::size_t>(info.st_size));
  if (!bytes) return fail(of_key_file(std::move(bytes).error()));
  auto keys = parse(path, as_text(*bytes));
  wipe(*bytes);
  return keys;
}

Bytes text_of(const MasterKeys& keys) {
  std::string text = fmt::format("{}{}\n", kPreface, kHeader);
  for (const auto& [version, master] : keys) {
    std::string encoded = to_base64(master.key.bytes());
    text += fmt::format("{} {} {}\n", version, to_rfc3339(master.created), encoded);
    wipe(std::as_writable_bytes(std::span(encoded)));
  }
  Bytes bytes(as_bytes(text).begin(), as_bytes(text).end());
  wipe(std::as_writable_bytes(std::span(text)));
  return bytes;
}

Result<bool> write_keys(const fs::path& path, const MasterKeys& keys, IfExists if_exists) {
  Bytes text = text_of(keys);
  auto written = write_whole(path, text, if_exists);
  wipe(text);
  if (!written) return fail(of_key_file(std::move(written).error()));
  return written;
}

class FileKeys final : public KeyManagement {
 public:
  FileKeys(fs::path path, const Clock& clock) : path_(std::move(path)), clock_(clock) {}

  Status open(bool create) {
    auto keys = load();
    if (!keys && keys.error().code == ErrorCode::kNotFound && create) {
      MasterKeys fresh;
      STOA_CHECK(add_master_key(fresh, clock_.now()));
      STOA_TRY(made, write_keys(path_, fresh, IfExists::kKeep));
      if (made)
        log(LogLevel::kWarning, "made a new master key: keep a copy of this file apart from the data folder, without it the data cannot be read",
            {{"file", path_.string()}});
      keys = load();
    }
    if (!keys) {
      if (keys.error().code != ErrorCode::kNotFound) return fail(std::move(keys).error());
      return fail(error(ErrorCode::kNotFound, "the key file {} is missing, and the data folder was written with its keys", path_.string())
                      .with_hint("restore it from your copy, or set kms.file to where it is"));
    }
    keys_ = std::move(*keys);
    return {};
  }

  std::string_view provider() const override { return kProvider; }

  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override {
    std::lock_guard lock(mutex_);
    return wrap_with(keys_, kProvider, key, context);
  }

  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override {
    std::lock_guard lock(mutex_);
    auto key = unwrap_with(keys_, kProvider, wrapped, context);
    if (key || key.error().code != ErrorCode::kNotFound) return key;
    STOA_TRY(fresh, load());  // another process may have rotated
    keys_ = std::move(fresh);
    return unwrap_with(keys_, kProvider, wrapped, context);
  }

  Status rotate() override {
    std::lock_guard lock(mutex_);
    for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
      const File file(path_, O_RDONLY);
      if (!file.is_open() || ::flock(file.descriptor(), LOCK_EX) != 0) return fail(key_file_error(path_, "lock"));
      struct stat held {}, named {};
      if (::fstat(file.descriptor(), &held) != 0 || ::stat(path_.c_str(), &named) != 0) return fail(key_file_error(path_, "look at"));
      if (held.st_ino != named.st_ino) continue;  // replaced while we waited: lock the new one
      STOA_TRY(fresh, read_keys(file));
      STOA_CHECK(add_master_key(fresh, clock_.now()));
      STOA_CHECK(write_keys(path_, fresh, IfExists::kReplace));
      keys_ = std::move(fresh);
      return {};
    }
    return fail(ErrorCode::kUnavailable, "the key file {} is being changed by others: try again", path_.string());
  }

  Result<MasterKeyStatus> describe() override {
    std::lock_guard lock(mutex_);
    STOA_TRY(fresh, load());
    keys_ = std::move(fresh);
    return describe_keys(keys_, kProvider, path_.string());
  }

 private:
  Result<MasterKeys> load() const {
    const File file(path_, O_RDONLY);
    if (file.is_open()) return read_keys(file);
    const bool missing = errno == ENOENT;
    Error problem = key_file_error(path_, "open");
    if (missing) problem.code = ErrorCode::kNotFound;
    return fail(std::move(problem));
  }

  const fs::path path_;
  const Clock& clock_;
  std::mutex mutex_;
  MasterKeys keys_;
};

}  // namespace

Result<std::unique_ptr<KeyManagement>> open_file_keys(const fs::path& file, bool create, const Clock& clock) {
  auto keys = std::make_unique<FileKeys>(file, clock);
  STOA_CHECK(keys->open(create));
  return keys;
}

}  // namespace stoa::infra
