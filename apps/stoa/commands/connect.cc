#include "commands/connect.h"

#include <cstdlib>

namespace stoa::cli {
namespace {

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace

ApiClient connect(const Global& global) {
  std::string url = global.url.empty() ? from_environment("STOA_URL") : global.url;
  if (url.empty()) url = "http://127.0.0.1:8080";
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  return {url, global.key.empty() ? from_environment("STOA_API_KEY") : global.key};
}

std::string home_folder(const Global& global) {
  if (!global.home.empty()) return global.home;
  if (auto home = from_environment("STOA_HOME"); !home.empty()) return home;
  return from_environment("HOME") + "/.local/share/stoa";
}

}  // namespace stoa::cli
