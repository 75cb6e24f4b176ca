// The command line as a client of an OpenID Connect issuer: its description, and requests for tokens.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "commands/session.h"
#include "governance/identity/jwks.h"

namespace stoa::cli {

struct Tokens {
  std::string access, id, refresh;
  Micros expires = 0;  // of the access token; 0: not said
};

// A GET with short limits; errors name the address.
Result<std::string> fetch_document(const std::string& url);
Result<governance::OidcEndpoints> discover(const std::string& issuer);

// POST of a form to the token endpoint. With a secret the client authenticates by it, in a header; without, it is a public client.
// Errors say what the issuer said: nothing of the request is repeated.
Result<Tokens> request_tokens(const std::string& endpoint, const std::string& client_id, const std::string& secret, std::vector<std::pair<std::string, std::string>> form);

// Puts what the issuer gave into the session: the token that its server wants, until when it holds, and how it is renewed.
Status take_tokens(Session& session, const Tokens& tokens);

}  // namespace stoa::cli
