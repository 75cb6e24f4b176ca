#include "commands/session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/json.h"
#include "commands/json_read.h"
#include "commands/token_request.h"

namespace stoa::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kMaxFile = 1u << 20, kMaxSessions = 100;
constexpr Micros kRenewBefore = 60'000'000;

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::unexpected<Error> unusable(const fs::path& file, std::string_view what) {
  return fail(error(ErrorCode::kUnavailable, "{}: {}", file.string(), what).with_hint("STOA_LOGIN_FILE names another file"));
}

JsonObject to_json(const Session& s) {
  return {{"server", s.server}, {"provider", s.provider}, {"issuer", s.issuer}, {"token_endpoint", s.token_endpoint}, {"client_id", s.client_id}, {"resource", s.resource},
          {"scopes", s.scopes}, {"service", s.service}, {"use_access", s.use_access}, {"token", s.token}, {"refresh_token", s.refresh_token}, {"expires", to_rfc3339(s.expires)}};
}

Session from_json(const JsonObject& object) {
  const auto flag = [&](std::string_view key) {
    const Json* value = find(object, key);
    return value != nullptr && value->is_bool() && value->get_bool();
  };
  Session s{text_of(object, "server"), text_of(object, "provider"), text_of(object, "issuer"), text_of(object, "token_endpoint"), text_of(object, "client_id"), text_of(object, "resource"),
            text_of(object, "scopes"), flag("service"), flag("use_access"), text_of(object, "token"), text_of(object, "refresh_token")};
  s.expires = parse_rfc3339(text_of(object, "expires")).value_or(0);
  return s;
}

Result<std::vector<Session>> read_all() {
  const fs::path file = session_file();
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::vector<Session>{};
    return unusable(file, std::strerror(errno));
  }
  struct stat info {};
  std::string text(kMaxFile + 1, '\0');
  const bool known = ::fstat(descriptor, &info) == 0;
  const ssize_t size = known ? ::read(descriptor, text.data(), text.size()) : -1;
  ::close(descriptor);
  if (size < 0) return unusable(file, "cannot be read");
  if ((info.st_mode & 077) != 0)
    return fail(error(ErrorCode::kUnavailable, "{}: other users of this machine can read it", file.string()).with_hint(fmt::format("chmod 600 {}, and sign in again if they may have", file.string())));
  text.resize(static_cast<std::size_t>(size));
  const auto json = size > static_cast<ssize_t>(kMaxFile) ? Result<Json>(fail(ErrorCode::kTooLarge, "too large")) : parse_json(text);
  if (!json || !json->is_object()) return fail(error(ErrorCode::kDataLoss, "{}: damaged", file.string()).with_hint("delete the file and sign in again with `stoa login`"));
  std::vector<Session> sessions;
  for (const JsonObject* object : objects_of(json->get_object(), "sessions")) sessions.push_back(from_json(*object));
  return sessions;
}

// Written aside and renamed, so that a reader never sees half of it.
Status write_all(const std::vector<Session>& sessions) {
  const fs::path file = session_file();
  std::error_code problem;
  fs::create_directories(file.parent_path(), problem);
  JsonArray list;
  for (const auto& session : sessions) list.push_back(to_json(session));
  const std::string text = dump_json_pretty(JsonObject{{"sessions", std::move(list)}}) + "\n";
  const std::string aside = fmt::format("{}.{}", file.string(), ::getpid());
  const int descriptor = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return unusable(file, std::strerror(errno));
  const bool written = ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(descriptor);
  if (written && ::rename(aside.c_str(), file.c_str()) == 0) return {};
  ::unlink(aside.c_str());
  return unusable(file, "cannot be written");
}

// With the refresh token, or with the secret of a service client where the environment has it.
Result<Session> renew(Session session) {
  std::vector<std::pair<std::string, std::string>> form;
  std::string secret;
  if (session.service) {
    secret = from_environment("STOA_CLIENT_SECRET");
    if (secret.empty()) return fail(ErrorCode::kUnauthenticated, "the sign-in has expired");
    form = {{"grant_type", "client_credentials"}};
    if (!session.scopes.empty()) form.emplace_back("scope", session.scopes);
  } else {
    if (session.refresh_token.empty()) return fail(ErrorCode::kUnauthenticated, "the sign-in has expired");
    form = {{"grant_type", "refresh_token"}, {"refresh_token", session.refresh_token}};
  }
  if (!session.resource.empty()) form.emplace_back("resource", session.resource);
  STOA_TRY(tokens, request_tokens(session.token_endpoint, session.client_id, secret, std::move(form)));
  STOA_CHECK(take_tokens(session, tokens));
  return session;
}

}  // namespace

fs::path session_file() {
  if (const auto named = from_environment("STOA_LOGIN_FILE"); !named.empty()) return named;
  if (const auto config = from_environment("XDG_CONFIG_HOME"); !config.empty()) return fs::path(config) / "stoa" / "login.json";
  return fs::path(from_environment("HOME")) / ".config" / "stoa" / "login.json";
}

Result<std::optional<Session>> load_session(const std::string& server) {
  STOA_TRY(sessions, read_all());
  const auto found = std::ranges::find(sessions, server, &Session::server);
  if (found == sessions.end()) return std::nullopt;
  return std::move(*found);
}

Status save_session(const Session& session) {
  STOA_TRY(sessions, read_all());
  std::erase_if(sessions, [&](const Session& other) { return other.server == session.server; });
  sessions.insert(sessions.begin(), session);
  if (sessions.size() > kMaxSessions) sessions.resize(kMaxSessions);
  return write_all(sessions);
}

Result<bool> remove_session(const std::string& server) {
  STOA_TRY(sessions, read_all());
  if (std::erase_if(sessions, [&](const Session& session) { return session.server == server; }) == 0) return false;
  STOA_CHECK(write_all(sessions));
  return true;
}

Result<std::string> session_token(const std::string& server) {
  STOA_TRY(session, load_session(server));
  if (!session) return std::string();
  if (session->expires - Clock::system().now() > kRenewBefore) return session->token;
  auto renewed = renew(*session);
  if (!renewed) return fail(std::move(renewed).error().with_hint("sign in again: stoa login"));
  STOA_CHECK(save_session(*renewed));
  return renewed->token;
}

}  // namespace stoa::cli
