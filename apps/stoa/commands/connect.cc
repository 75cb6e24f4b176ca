#include "commands/connect.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "commands/session.h"

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

std::string server_url(const Global& global) {
  std::string url = global.url.empty() ? from_environment("STOA_URL") : global.url;
  if (url.empty()) url = "http://127.0.0.1:8080";
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  return url;
}

ApiClient connect(const Global& global) {
  const std::string url = server_url(global);
  std::string key = key_of(global);
  if (key.empty()) {
    auto token = session_token(url);
    if (token)
      key = std::move(*token);
    else
      fmt::print(stderr, "note: {}{}{}\n", token.error().message, token.error().hint.empty() ? "" : "; ", token.error().hint);
  }
  return {url, std::move(key)};
}

bool wants_server(const Global& global) {
  if (!global.home.empty()) return false;
  if (!global.key.empty() || !global.key_file.empty() || !global.url.empty() || !from_environment("STOA_API_KEY").empty()) return true;
  const auto session = load_session(server_url(global));
  return session && session->has_value();
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
