#include "infra/blob/disk/disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/id.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/files/files.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScheme = "sha256:";

Error not_a_digest(std::string_view text) {
  return error(ErrorCode::kInvalidArgument, "'{}' is not a digest of the form sha256:<64 lower-case hexadecimal digits>", text.substr(0, 100));
}

class Writer final : public BlobWriter {
 public:
  Writer(const fs::path& root, File temporary) : root_(root), file_(std::move(temporary)) {}
  ~Writer() override {
    if (!committed_) ::unlink(file_.path().c_str());
  }

  Status write(ByteSpan bytes) override {
    hash_.update(bytes);
    const Status written = file_.write(bytes);
    if (!written) failure_ = written.error();
    return written;
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
    Status kept = file_.sync();
    if (kept) kept = file_.close();
    if (!kept) return fail(failure_ = kept.error());
    const fs::path folder = root_ / hex.substr(0, 2), target = folder / hex.substr(2);
    if (::mkdir(folder.c_str(), 0700) == 0) {
      STOA_CHECK(sync_folder(root_));
    } else if (errno != EEXIST) {
      return fail(file_error(folder, "create"));
    }
    // Replaces an equal blob, should there be one: this also mends one that was damaged.
    if (::rename(file_.path().c_str(), target.c_str()) != 0) return fail(file_error(target, "rename"));
    committed_ = true;
    return sync_folder(folder);
  }

 private:
  const fs::path& root_;
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
    File temporary(root_ / "tmp" / new_id("blob"), O_WRONLY | O_CREAT | O_EXCL);
    if (!temporary.is_open()) return fail(file_error(temporary.path(), "create"));
    return std::make_unique<Writer>(root_, std::move(temporary));
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
    const File file(path, O_RDONLY);
    if (!file.is_open()) return fail(missing_or(path, digest, "open"));
    const std::uint64_t from = std::min<std::uint64_t>(offset, total);
    return file.read_at(from, static_cast<std::size_t>(std::min<std::uint64_t>(length, total - from)));
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
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(file_error(path, "remove"));
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
    return errno == ENOENT ? error(ErrorCode::kNotFound, "there is no blob {}", digest) : file_error(path, doing);
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
