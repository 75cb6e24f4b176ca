#include "commands/connect.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace stoa::cli {
namespace {

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// A file that cannot be read gives no key, and the server says that one is missing.
std::string key_of(const Global& global) {
  if (!global.key.empty()) return global.key;
  if (global.key_file.empty()) return from_environment("STOA_API_KEY");
  std::ifstream file(global.key_file);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line;
}

}  // namespace

ApiClient connect(const Global& global) {
  std::string url = global.url.empty() ? from_environment("STOA_URL") : global.url;
  if (url.empty()) url = "http://127.0.0.1:8080";
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  return {url, key_of(global)};
}

std::string config_file(const Global& global) {
  if (!global.config.empty()) return global.config;
  std::string home = global.home.empty() ? from_environment("STOA_HOME") : global.home;
  if (home.empty()) home = from_environment("HOME") + "/.local/share/stoa";
  const std::string file = home + "/stoa.yaml";
  std::error_code absent;
  return std::filesystem::exists(file, absent) ? file : std::string();
}

Result<infra::Config> load_config(const Global& global) {
  STOA_TRY(config, infra::load_config(config_file(global)));
  if (!global.home.empty()) config.home = global.home;
  return std::move(config);
}

}  // namespace stoa::cli
