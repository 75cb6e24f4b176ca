#include "data/sources/walk.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>

#include "base/utf8.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::data {
namespace {

namespace fs = std::filesystem;

struct Hashed {
  std::string digest, content_type;
  std::int64_t bytes = 0;
};

Result<Hashed> hash_file(const fs::path& path, const std::string& name, std::int64_t max_bytes) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kUnavailable, "cannot be read");
  infra::Sha256 hash;
  Hashed result;
  std::array<char, 1 << 16> buffer;
  while (in.read(buffer.data(), buffer.size()), in.gcount() > 0) {
    const std::string_view piece(buffer.data(), static_cast<std::size_t>(in.gcount()));
    if (result.bytes == 0) result.content_type = detect_content_type(as_bytes(piece), name);
    result.bytes += in.gcount();
    if (result.bytes > max_bytes) return fail(ErrorCode::kTooLarge, "larger than {} bytes", max_bytes);
    hash.update(piece);
  }
  if (in.bad()) return fail(ErrorCode::kUnavailable, "cannot be read to its end");
  if (result.bytes == 0) return fail(ErrorCode::kInvalidArgument, "empty");
  if (result.content_type.empty()) return fail(ErrorCode::kUnsupported, "neither text nor a known document format");
  result.digest = "sha256:" + infra::to_hex(hash.finish());
  return result;
}

bool is_inside(const fs::path& path, const fs::path& root) {
  const auto [end, other] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return end == root.end();
}

class Walker {
 public:
  Walker(fs::path root, const WalkLimits& limits) : root_(std::move(root)), limits_(limits) {}

  Status add(const fs::path& path, const std::string& name) {
    if (!is_valid_utf8(name)) {
      result_.skipped.push_back({to_valid_utf8(name), "its name is not UTF-8"});
      return {};
    }
    auto hashed = hash_file(path, name, limits_.max_file_bytes);
    if (!hashed) {
      result_.skipped.push_back({name, hashed.error().message});
      return {};
    }
    if (result_.files.size() >= limits_.max_files) return fail(ErrorCode::kTooLarge, "{}: more than {} files", root_.string(), limits_.max_files);
    result_.files.push_back({{name, hashed->digest, hashed->bytes, hashed->content_type}, path});
    return {};
  }

  // One level of a folder; folders found are appended to `next`.
  Status list(const fs::path& folder, std::vector<fs::path>& next) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error) {
      result_.skipped.push_back({fs::relative(folder, root_, error).string(), "the folder cannot be read"});
      return {};
    }
    for (const fs::directory_iterator end; entries != end; entries.increment(error)) {
      if (error) break;
      const fs::path& path = entries->path();
      const std::string name = path.lexically_relative(root_).generic_string();
      if (path.filename().string().starts_with('.')) continue;
      std::error_code ignored;
      const bool link = entries->is_symlink(ignored);
      if (link && !is_inside(fs::weakly_canonical(path, ignored), root_)) {
        result_.skipped.push_back({to_valid_utf8(name), "a link that leaves the folder"});
      } else if (entries->is_regular_file(ignored)) {
        STOA_CHECK(add(path, name));
      } else if (!link && entries->is_directory(ignored)) {
        next.push_back(path);
      }
    }
    return {};
  }

  WalkedFolder take() {
    std::ranges::sort(result_.files, {}, [](const WalkedFile& file) -> const std::string& { return file.file.path; });
    std::ranges::sort(result_.skipped, {}, &FileError::path);
    return std::move(result_);
  }

 private:
  const fs::path root_;
  const WalkLimits& limits_;
  WalkedFolder result_;
};

}  // namespace

Result<WalkedFolder> walk_folder(const fs::path& path, const WalkLimits& limits) {
  std::error_code error;
  const fs::path root = fs::canonical(path, error);
  if (error) return fail(stoa::error(ErrorCode::kNotFound, "{}: {}", path.string(), error.message()).with_hint("name a folder or a file that exists"));
  if (fs::is_regular_file(root, error)) {
    Walker walker(root.parent_path(), limits);
    STOA_CHECK(walker.add(root, root.filename().string()));
    return walker.take();
  }
  Walker walker(root, limits);
  std::vector<fs::path> level{root};
  for (int depth = 0; !level.empty() && depth < limits.max_depth; ++depth) {
    std::vector<fs::path> next;
    for (const auto& folder : level) STOA_CHECK(walker.list(folder, next));
    level = std::move(next);
  }
  return walker.take();
}

}  // namespace stoa::data
