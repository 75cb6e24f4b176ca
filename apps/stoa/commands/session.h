// Who is signed in at which server, on this machine: tokens of `stoa login`, in a file that only its owner can read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace stoa::cli {

struct Session {
  std::string server;          // "http://127.0.0.1:8080"
  std::string provider, issuer, token_endpoint, client_id, resource, scopes;
  bool service = false;        // a client with a secret of its own (client credentials)
  bool use_access = false;     // the server is shown the access token; else the ID token
  std::string token, refresh_token;
  Micros expires = 0;          // of `token`
};

// STOA_LOGIN_FILE, else stoa/login.json in XDG_CONFIG_HOME, else in ~/.config.
std::filesystem::path session_file();

// Errors name the file: kUnavailable when it cannot be read or written, or when others may read it; kDataLoss when it is damaged.
Result<std::optional<Session>> load_session(const std::string& server);
Status save_session(const Session& session);       // replaces the one of the same server
Result<bool> remove_session(const std::string& server);  // false: there was none

// The token to show to a server: empty when nobody is signed in there. One that ends within a minute is renewed first, where that can be
// done without a person; kUnauthenticated when it cannot.
Result<std::string> session_token(const std::string& server);

}  // namespace stoa::cli
