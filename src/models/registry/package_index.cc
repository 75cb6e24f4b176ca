#include "models/registry/package_index.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "base/json.h"

namespace stoa::models {
namespace {

// Only what a shell prints; the commands are constants.
std::string output_of(const char* command) {
  struct Close {
    void operator()(FILE* pipe) const { pclose(pipe); }
  };
  const std::unique_ptr<FILE, Close> pipe(popen(command, "re"));
  std::string out;
  std::array<char, 512> block{};
  while (pipe && out.size() < 8192 && std::fgets(block.data(), block.size(), pipe.get()) != nullptr) out += block.data();
  while (!out.empty() && std::isspace(static_cast<unsigned char>(out.back())) != 0) out.pop_back();
  return out;
}

std::string resolve(std::string_view link, std::string_view page_url) {
  if (link.starts_with("http://") || link.starts_with("https://")) return std::string(link);
  const auto host_end = page_url.find('/', page_url.find("://") + 3);
  if (link.starts_with('/')) return std::string(page_url.substr(0, host_end)) + std::string(link);
  std::string base(page_url.substr(0, page_url.rfind('/') + 1));
  while (link.starts_with("../")) {  // bounded by the link's length
    link.remove_prefix(3);
    if (base.size() > host_end + 1) base.resize(base.rfind('/', base.size() - 2) + 1);
  }
  return base + std::string(link);
}

bool is_wheel(std::string_view name, std::string_view package, std::string_view version) {
  if (!name.ends_with(".whl")) return false;
  const auto first = name.find('-');
  const auto second = first == std::string_view::npos ? first : name.find('-', first + 1);
  return second != std::string_view::npos && normalized_package(name.substr(0, first)) == normalized_package(package) &&
         name.substr(first + 1, second - first - 1) == version;
}

std::optional<Wheel> from_json(const JsonObject& page, std::string_view page_url, std::string_view package, std::string_view version) {
  const Json* files = find(page, "files");
  if (files == nullptr || !files->is_array()) return std::nullopt;
  for (const auto& item : files->get_array()) {
    if (!item.is_object()) continue;
    const auto name = read_string(item.get_object(), "filename");
    const auto url = read_string(item.get_object(), "url");
    if (!name || !*name || !url || !*url || !is_wheel(**name, package, version)) continue;
    Wheel wheel{resolve(**url, page_url), {}};
    if (const Json* hashes = find(item.get_object(), "hashes"); hashes != nullptr && hashes->is_object())
      if (const auto digest = read_string(hashes->get_object(), "sha256"); digest && *digest) wheel.sha256 = **digest;
    return wheel;
  }
  return std::nullopt;
}

// The links of a PEP 503 page. Only href attributes matter, and they are written plainly there.
std::optional<Wheel> from_html(std::string_view page, std::string_view page_url, std::string_view package, std::string_view version) {
  constexpr std::string_view kHref = "href=\"";
  for (auto at = page.find(kHref); at != std::string_view::npos; at = page.find(kHref, at)) {
    at += kHref.size();
    const auto end = page.find('"', at);
    if (end == std::string_view::npos) break;
    const std::string_view link = page.substr(at, end - at);
    const auto hash = link.find('#');
    const std::string_view target = link.substr(0, hash);
    if (!is_wheel(target.substr(target.rfind('/') + 1), package, version)) continue;
    Wheel wheel{resolve(target, page_url), {}};
    if (hash != std::string_view::npos && link.substr(hash + 1).starts_with("sha256=")) wheel.sha256 = link.substr(hash + 8);
    return wheel;
  }
  return std::nullopt;
}

}  // namespace

std::string normalized_package(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (separator && out.ends_with('-')) continue;
    out += separator ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

Result<std::string> package_index_url() {
  std::string url;
  if (const char* set = std::getenv("PIP_INDEX_URL"); set != nullptr) url = set;
  if (url.empty()) url = output_of("timeout 20 python3 -m pip config get global.index-url 2>/dev/null");
  if (url.empty()) url = output_of("timeout 20 python3 -c 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)' 2>/dev/null");
  while (url.ends_with('/')) url.pop_back();
  if (!url.starts_with("https://") && !url.starts_with("http://"))
    return fail(error(ErrorCode::kUnavailable, "no Python package index is known on this machine")
                    .with_hint("set PIP_INDEX_URL, or install python3-pip, whose configuration is used"));
  return url;
}

Result<Wheel> find_wheel(std::string_view page, std::string_view page_url, std::string_view package, std::string_view version) {
  std::optional<Wheel> wheel;
  if (page.starts_with('{')) {
    STOA_TRY(json, parse_json(page));
    if (json.is_object()) wheel = from_json(json.get_object(), page_url, package, version);
  } else {
    wheel = from_html(page, page_url, package, version);
  }
  if (!wheel) return fail(ErrorCode::kNotFound, "the package index has no wheel of {} {}", package, version);
  return *wheel;
}

}  // namespace stoa::models
