#include "infra/files/mapped_file.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stoa::infra {
namespace {

ErrorCode code_of(int system_error) {
  switch (system_error) {
    case ENOENT:
    case ENOTDIR: return ErrorCode::kNotFound;
    case EACCES:
    case EPERM: return ErrorCode::kPermissionDenied;
    default: return ErrorCode::kUnavailable;
  }
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::unexpected<Error> system_error(const std::filesystem::path& path, std::string_view what = "") {
  const int code = errno;
  return fail(code_of(code), "{}: {}{}", path.string(), what, std::strerror(code));
}

// A regular file and its size.
Result<std::size_t> open_regular(const std::filesystem::path& path, Descriptor& file) {
  // O_NONBLOCK so that a pipe given as a model is refused below instead of waited for.
  file.fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd < 0) return system_error(path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return system_error(path);
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::kInvalidArgument, "{}: not a regular file", path.string());
  return static_cast<std::size_t>(info.st_size);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  Descriptor file;
  STOA_TRY(size, open_regular(path, file));
  MappedFile mapped;
  if (size == 0) return mapped;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) return system_error(path, fmt::format("cannot map {} bytes: ", size));
  mapped.data_ = static_cast<const std::byte*>(address);
  mapped.size_ = size;
  return mapped;
}

Result<MappedFile> MappedFile::copy(const std::filesystem::path& path) {
  Descriptor file;
  STOA_TRY(size, open_regular(path, file));
  MappedFile copied;
  if (size == 0) return copied;
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return system_error(path, fmt::format("no memory for {} bytes: ", size));
  copied.data_ = static_cast<const std::byte*>(address);
  copied.size_ = size;
  for (std::size_t have = 0; have < size;) {
    const ::ssize_t more = ::read(file.fd, static_cast<std::byte*>(address) + have, size - have);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return system_error(path);
    if (more == 0) return fail(ErrorCode::kUnavailable, "{}: got shorter while it was read, from {} to {} bytes; load it when it is whole", path.string(), size, have);
    have += static_cast<std::size_t>(more);
  }
  return copied;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Status read_pages(std::span<const std::byte> mapped) {
  if (mapped.empty()) return {};
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t before = reinterpret_cast<std::uintptr_t>(mapped.data()) % page;
  if (::madvise(const_cast<std::byte*>(mapped.data()) - before, before + mapped.size(), MADV_POPULATE_READ) == 0 || errno == EINVAL) return {};
  return fail(ErrorCode::kUnavailable, "{} bytes of a file cannot be read: {}", mapped.size(), std::strerror(errno));
}

void drop_pages(std::span<const std::byte> mapped) {
  if (!mapped.empty()) ::madvise(const_cast<std::byte*>(mapped.data()), mapped.size(), MADV_DONTNEED);  // advice: that it fails does no harm
}

}  // namespace stoa::infra
