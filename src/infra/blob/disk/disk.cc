#include "infra/blob/disk/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/id.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScheme = "sha256:";

// The error of the system call that has just failed on `path`.
Error system_error(const fs::path& path, std::string_view doing) {
  const int number = errno;
  const bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
  return error(full ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable, "{}: {}: {}", path.string(), doing, std::strerror(number))
      .with_hint(full ? "free space on the disk that holds the data folder" : "check that the data folder can be read and written");
}

Error not_a_digest(std::string_view text) {
  return error(ErrorCode::kInvalidArgument, "'{}' is not a digest of the form sha256:<64 lower-case hexadecimal digits>", text.substr(0, 100));
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  bool open() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  bool close() { return ::close(std::exchange(descriptor_, -1)) == 0; }

 private:
  int descriptor_;
};

Status sync_folder(const fs::path& folder) {
  const File handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle.open() || ::fsync(handle.get()) != 0) return fail(system_error(folder, "sync"));
  return {};
}

class Writer final : public BlobWriter {
 public:
  Writer(const fs::path& root, fs::path temporary, int descriptor) : root_(root), temporary_(std::move(temporary)), file_(descriptor) {}
  ~Writer() override {
    if (!committed_) ::unlink(temporary_.c_str());
  }

  Status write(ByteSpan bytes) override {
    hash_.update(bytes);
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return fail(failure_ = system_error(temporary_, "write"));
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  Result<std::string> commit() override {
    std::string digest = std::string(kScheme) + to_hex(hash_.finish());
    STOA_CHECK(commit_as(digest));
    return digest;
  }

  Status commit_as(std::string_view name) override {
    if (!is_digest(name)) return fail(not_a_digest(name));
    if (!failure_.message.empty()) return fail(failure_);  // a part is missing: the blob must not appear
    const std::string hex(name.substr(kScheme.size()));
    if (::fsync(file_.get()) != 0 || !file_.close()) return fail(failure_ = system_error(temporary_, "sync"));
    const fs::path folder = root_ / hex.substr(0, 2), target = folder / hex.substr(2);
    if (::mkdir(folder.c_str(), 0700) == 0) {
      STOA_CHECK(sync_folder(root_));
    } else if (errno != EEXIST) {
      return fail(system_error(folder, "create"));
    }
    // Replaces an equal blob, should there be one: this also mends one that was damaged.
    if (::rename(temporary_.c_str(), target.c_str()) != 0) return fail(system_error(target, "rename"));
    committed_ = true;
    return sync_folder(folder);
  }

 private:
  const fs::path& root_;
  const fs::path temporary_;
  File file_;
  Sha256 hash_;
  Error failure_;
  bool committed_ = false;
};

class DiskBlobs final : public BlobStore {
 public:
  explicit DiskBlobs(fs::path root) : root_(std::move(root)) {}

  Status open() {
    std::error_code failed;
    fs::remove_all(root_ / "tmp", failed);
    if (!failed) fs::create_directories(root_ / "tmp", failed);
    if (!failed) fs::permissions(root_, fs::perms::owner_all, failed);
    if (failed)
      return fail(error(ErrorCode::kUnavailable, "{}: {}", root_.string(), failed.message())
                      .with_hint("check that the data folder can be written"));
    return {};
  }

  Result<std::unique_ptr<BlobWriter>> writer() override {
    fs::path temporary = root_ / "tmp" / new_id("blob");
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0) return fail(system_error(temporary, "create"));
    return std::make_unique<Writer>(root_, std::move(temporary), descriptor);
  }

  Result<Bytes> get(std::string_view digest, std::uint64_t max_bytes) override {
    STOA_TRY(path, path_of(digest));
    STOA_TRY(length, size(digest));
    if (length > max_bytes) return fail(ErrorCode::kTooLarge, "blob {} has {} bytes, more than {}", digest, length, max_bytes);
    STOA_TRY(bytes, read(digest, 0, length));
    if (to_hex(sha256(bytes)) != digest.substr(kScheme.size()))
      return fail(error(ErrorCode::kDataLoss, "{}: the bytes are not those of its digest", path.string())
                      .with_hint("the disk or a program changed the file: store the original again, or remove the file"));
    return std::move(bytes);
  }

  Result<Bytes> read(std::string_view digest, std::uint64_t offset, std::size_t length) override {
    STOA_TRY(path, path_of(digest));
    STOA_TRY(total, size(digest));
    const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open()) return fail(missing_or(path, digest, "open"));
    const std::uint64_t from = std::min<std::uint64_t>(offset, total);
    Bytes bytes(static_cast<std::size_t>(std::min<std::uint64_t>(length, total - from)));
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::pread(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(from + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(system_error(path, "read"));
      if (got == 0) break;  // cut off meanwhile
      done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }

  Result<bool> exists(std::string_view digest) override {
    const auto found = size(digest);
    if (!found && found.error().code != ErrorCode::kNotFound) return fail(found.error());
    return found.has_value();
  }

  Result<std::uint64_t> size(std::string_view digest) override {
    STOA_TRY(path, path_of(digest));
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return fail(missing_or(path, digest, "look up"));
    return static_cast<std::uint64_t>(info.st_size);
  }

  Status remove(std::string_view digest) override {
    STOA_TRY(path, path_of(digest));
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(system_error(path, "remove"));
    return {};
  }

  Status for_each(const std::function<Result<bool>(const std::string&, std::uint64_t)>& visit) override {
    std::error_code failed;
    for (fs::directory_iterator folder(root_, failed), end; !failed && folder != end; folder.increment(failed)) {
      const std::string first = folder->path().filename().string();
      if (first.size() != 2) continue;
      std::error_code gone;  // a file removed meanwhile is no error
      for (fs::directory_iterator file(folder->path(), failed); !failed && file != end; file.increment(failed)) {
        std::string digest = std::string(kScheme) + first + file->path().filename().string();
        const std::uint64_t size = file->file_size(gone);
        if (gone || !is_digest(digest)) continue;
        STOA_TRY(more, visit(digest, size));
        if (!more) return {};
      }
    }
    if (failed) return fail(ErrorCode::kUnavailable, "{}: {}", root_.string(), failed.message());
    return {};
  }

 private:
  Result<fs::path> path_of(std::string_view digest) const {
    if (!is_digest(digest)) return fail(not_a_digest(digest));
    const std::string_view hex = digest.substr(kScheme.size());
    return root_ / hex.substr(0, 2) / hex.substr(2);
  }
  static Error missing_or(const fs::path& path, std::string_view digest, std::string_view doing) {
    return errno == ENOENT ? error(ErrorCode::kNotFound, "there is no blob {}", digest) : system_error(path, doing);
  }

  const fs::path root_;
};

}  // namespace

Result<std::unique_ptr<BlobStore>> open_disk_blobs(const fs::path& root) {
  auto store = std::make_unique<DiskBlobs>(root);
  STOA_CHECK(store->open());
  return store;
}

}  // namespace stoa::infra
