#include "infra/files/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/id.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

// `write(bytes, done)`: pwrite or write of what is left.
template <class Write>
Status write_all(const fs::path& path, ByteSpan bytes, Write write) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(bytes.subspan(done), done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail(file_error(path, "write"));
    done += static_cast<std::size_t>(written);
  }
  return {};
}

}  // namespace

Error file_error(const fs::path& path, std::string_view doing) {
  const int number = errno;
  const bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
  return error(full ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable, "{}: {}: {}", path.string(), doing, std::strerror(number))
      .with_hint(full ? "free space on the disk that holds it" : "check that it can be read and written");
}

File::File(fs::path path, int flags) : path_(std::move(path)), descriptor_(::open(path_.c_str(), flags | O_CLOEXEC, 0600)) {}

File::File(File&& other) noexcept : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status File::write(ByteSpan bytes) const {
  return write_all(path_, bytes, [&](ByteSpan rest, std::size_t) { return ::write(descriptor_, rest.data(), rest.size()); });
}

Status File::write_at(ByteSpan bytes, std::size_t offset) const {
  return write_all(path_, bytes, [&](ByteSpan rest, std::size_t done) { return ::pwrite(descriptor_, rest.data(), rest.size(), static_cast<off_t>(offset + done)); });
}

Result<Bytes> File::read_at(std::size_t offset, std::size_t length) const {
  Bytes bytes(length);
  std::size_t done = 0;
  while (done < length) {
    const ssize_t got = ::pread(descriptor_, bytes.data() + done, length - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(file_error(path_, "read"));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

Status File::truncate(std::size_t length) const {
  if (::ftruncate(descriptor_, static_cast<off_t>(length)) != 0) return fail(file_error(path_, "truncate"));
  return {};
}

Status File::sync() const {
  if (::fdatasync(descriptor_) != 0) return fail(file_error(path_, "sync"));
  return {};
}

Status File::close() {
  if (::close(std::exchange(descriptor_, -1)) != 0) return fail(file_error(path_, "close"));
  return {};
}

Status sync_folder(const fs::path& folder) {
  const File handle(folder, O_RDONLY | O_DIRECTORY);
  if (!handle.is_open() || ::fsync(handle.descriptor()) != 0) return fail(file_error(folder, "sync"));
  return {};
}

Result<bool> write_whole(const fs::path& path, ByteSpan bytes, IfExists if_exists) {
  // A name of its own: several threads and processes may be at it.
  const fs::path aside = path.string() + "." + new_id("new");
  File file(aside, O_WRONLY | O_CREAT | O_EXCL);
  if (!file.is_open()) return fail(file_error(aside, "create"));
  Status status = file.write(bytes);
  if (status) status = file.sync();
  if (status) status = file.close();
  bool placed = false;
  if (status) {
    placed = (if_exists == IfExists::kReplace ? ::rename(aside.c_str(), path.c_str()) : ::link(aside.c_str(), path.c_str())) == 0;
    if (!placed && (if_exists == IfExists::kReplace || errno != EEXIST)) status = fail(file_error(path, "put in place"));
  }
  if (!placed || if_exists == IfExists::kKeep) ::unlink(aside.c_str());
  STOA_CHECK(std::move(status));
  STOA_CHECK(sync_folder(path.has_parent_path() ? path.parent_path() : fs::path(".")));
  return placed;
}

}  // namespace stoa::infra
