#include "models/registry/download.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <unistd.h>

namespace stoa::models {
namespace {

namespace fs = std::filesystem;

// The ETag of the bytes in a part file is kept beside it: a Range request is only right for the same content.
fs::path tag_path(const fs::path& part) { return part.string() + ".etag"; }

std::string read_tag(const fs::path& part) {
  std::ifstream in(tag_path(part));
  std::string tag;
  std::getline(in, tag);
  return tag;
}

std::unexpected<Error> write_problem(const fs::path& path) {
  const int code = errno;
  return fail(code == ENOSPC || code == EDQUOT ? ErrorCode::kResourceExhausted : ErrorCode::kUnavailable, "cannot write {}: {}", path.string(),
              std::strerror(code));
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::uint64_t parse_count(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "bytes 100-199/200" begins at `offset`.
bool continues_at(std::string_view content_range, std::uint64_t offset) {
  return content_range.starts_with("bytes ") && parse_count(content_range.substr(6)) == offset;
}

// One attempt: the receiving side of a transfer into the part file.
class Transfer {
 public:
  Transfer(const fs::path& part, std::uint64_t offset, std::uint64_t max_bytes, const std::function<void(std::uint64_t, std::uint64_t)>& report)
      : part_(part), offset_(offset), max_bytes_(max_bytes), report_(report) {}

  Status on_head(int status, const infra::HttpHeaders& headers) {
    if (status == 404 || status == 410) return fail(ErrorCode::kNotFound, "not there (status {})", status);
    const bool resumed = status == 206 && offset_ > 0 && continues_at(headers.get("Content-Range"), offset_);
    if (status != 200 && !resumed) return fail(ErrorCode::kUnavailable, "the server answered with status {}", status);
    if (!resumed) offset_ = 0;
    file_.fd = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (resumed ? O_APPEND : O_TRUNC), 0644);
    if (file_.fd < 0) return write_problem(part_);
    std::ofstream(tag_path(part_)) << headers.get("ETag");
    const std::uint64_t length = parse_count(headers.get("Content-Length"));
    total_ = length == 0 ? 0 : offset_ + length;
    if (total_ > max_bytes_) return fail(ErrorCode::kTooLarge, "{} bytes exceed the limit of {}", total_, max_bytes_);
    return {};
  }

  bool on_data(std::string_view piece) {
    if (offset_ + piece.size() > max_bytes_) {
      failure_ = fail(ErrorCode::kTooLarge, "more than the limit of {} bytes", max_bytes_);
      return false;
    }
    while (!piece.empty()) {
      const ssize_t written = ::write(file_.fd, piece.data(), piece.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        failure_ = write_problem(part_);
        return false;
      }
      offset_ += static_cast<std::uint64_t>(written);
      piece.remove_prefix(static_cast<std::size_t>(written));
    }
    report_(offset_, total_);
    return true;
  }

  Status finish() {
    if (!failure_) return failure_;
    if (total_ != 0 && offset_ != total_) return fail(ErrorCode::kUnavailable, "the transfer ended at {} of {} bytes", offset_, total_);
    if (file_.fd < 0 || ::fsync(file_.fd) != 0) return write_problem(part_);
    return {};
  }

 private:
  const fs::path part_;
  std::uint64_t offset_, total_ = 0;
  const std::uint64_t max_bytes_;
  const std::function<void(std::uint64_t, std::uint64_t)>& report_;
  Descriptor file_;
  Status failure_;
};

}  // namespace

Status download(infra::HttpSender& http, const std::string& url, const infra::HttpHeaders& headers, const fs::path& target,
                const PullOptions& options, const std::function<void(std::uint64_t, std::uint64_t)>& report) {
  const fs::path part = target.string() + ".part";
  Status last;
  for (int attempt = 0; attempt < options.attempts; ++attempt) {
    std::error_code absent;
    const std::uint64_t have = fs::exists(part, absent) ? fs::file_size(part, absent) : 0;
    const std::string tag = read_tag(part);
    const bool resume = have > 0 && !tag.empty();

    infra::HttpClientRequest request;
    request.url = url;
    request.headers = headers;
    if (resume) {
      request.headers.set("Range", fmt::format("bytes={}-", have));
      request.headers.set("If-Range", tag);
    }
    request.timeouts = options.timeouts;
    request.cancel = options.cancel;
    request.max_redirects = 5;
    request.max_body = options.max_bytes;

    Transfer transfer(part, resume ? have : 0, options.max_bytes, report);
    const auto result = http.stream(request, {[&](int status, const infra::HttpHeaders& head) { return transfer.on_head(status, head); },
                                              [&](std::string_view piece) { return transfer.on_data(piece); }});
    last = result ? transfer.finish() : Status(std::unexpected(result.error()));
    if (last) break;
    // Only a broken transfer is worth another attempt: it goes on where it stopped.
    if (last.error().code != ErrorCode::kUnavailable && last.error().code != ErrorCode::kDeadlineExceeded) break;
    // A part that the server can no longer continue (416) would fail forever.
    if (resume && last.error().message.ends_with("status 416")) fs::remove(part, absent);
  }
  if (!last) return fail(std::move(last).error().in(url));
  std::error_code problem;
  fs::rename(part, target, problem);
  if (problem) return fail(ErrorCode::kUnavailable, "cannot rename {}: {}", part.string(), problem.message());
  fs::remove(tag_path(part), problem);
  return {};
}

}  // namespace stoa::models
