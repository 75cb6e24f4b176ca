#include "governance/policies/policy_folder.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "governance/access/policy/policy.h"

namespace stoa::governance {

Result<std::vector<std::filesystem::path>> PolicyFolder::files() const {
  std::vector<std::filesystem::path> all;
  if (path_.empty()) return all;
  std::error_code problem;
  for (std::filesystem::directory_iterator at(path_, problem), end; !problem && at != end; at.increment(problem)) {
    const auto& file = at->path();
    if (file.extension() == ".policy" && !file.filename().string().starts_with('.')) all.push_back(file);
    if (all.size() > kMostFiles) return fail(ErrorCode::kTooLarge, "{}: more than {} policy files", path_.string(), kMostFiles);
  }
  if (problem)
    return fail(error(ErrorCode::kNotFound, "cannot read the folder {}: {}", path_.string(), problem.message()).with_hint("check the configuration key policies.folder"));
  std::ranges::sort(all);
  return all;
}

Result<std::vector<PolicyText>> PolicyFolder::read() const {
  STOA_TRY(paths, files());
  std::vector<PolicyText> texts;
  for (const auto& path : paths) {
    std::error_code problem;
    if (std::filesystem::file_size(path, problem) > PolicyLimits{}.max_bytes && !problem)
      return fail(ErrorCode::kTooLarge, "{}: more than {} bytes", path.string(), PolicyLimits{}.max_bytes);
    std::ifstream in(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    if (!in || problem) return fail(ErrorCode::kNotFound, "cannot read {}", path.string());
    texts.push_back({path.filename().string(), std::move(text)});
  }
  return texts;
}

std::string PolicyFolder::fingerprint() const {
  const auto paths = files();
  if (!paths) return {};
  std::string all = "files";
  for (const auto& path : *paths) {
    std::error_code problem;
    const auto size = std::filesystem::file_size(path, problem);
    const auto time = std::filesystem::last_write_time(path, problem);
    if (problem) return {};
    all += fmt::format("|{}|{}|{}", path.filename().string(), size, time.time_since_epoch().count());
  }
  return all;
}

}  // namespace stoa::governance
