// stoa login, logout, whoami: people sign in at their organisation's identity provider (authorization code with PKCE, RFC 7636 and RFC
// 8252), programs with a secret of their own (client credentials).
#include "commands/commands.h"

#include <spawn.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>

#include <fmt/ranges.h>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/session.h"
#include "commands/terminal.h"
#include "commands/token_request.h"
#include "governance/identity/jwks.h"
#include "governance/identity/jwt.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"
#include "infra/http/server.h"
#include "infra/http/url.h"

namespace stoa::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kCallback = "/callback";

// What the server says about one of its identity providers.
struct Provider {
  std::string name, issuer, client_id, scopes, resource;
};

Result<Provider> choose_provider(ApiClient& api, const std::string& wanted) {
  STOA_TRY(reply, api.get("/v1/stoa/login"));
  std::vector<std::string> names;
  for (const JsonObject* object : objects_of(reply, "providers")) {
    Provider provider{text_of(*object, "name"), text_of(*object, "issuer"), text_of(*object, "client_id"), text_of(*object, "scopes"), text_of(*object, "resource")};
    if (wanted.empty() || wanted == provider.name) return provider;
    names.push_back(provider.name);
  }
  if (names.empty())
    return fail(error(ErrorCode::kUnsupported, "the server {} has no identity providers", api.url()).with_hint("use an API key (STOA_API_KEY), or see docs/operating/identity.md"));
  return fail(error(ErrorCode::kNotFound, "there is no identity provider '{}'", wanted).with_hint(fmt::format("there are: {}", fmt::join(names, ", "))));
}

Result<std::string> random_text() {
  STOA_TRY(bytes, infra::random_bytes(32));
  return infra::to_base64url(bytes);
}

// Where the browser comes back to: a server on this machine that takes one request.
class Callback {
 public:
  static Result<std::unique_ptr<Callback>> listen(std::string state) {
    auto callback = std::unique_ptr<Callback>(new Callback(std::move(state)));
    infra::Router router;
    STOA_CHECK(router.add("GET", std::string(kCallback), [&it = *callback](const infra::HttpRequest& request, infra::Responder& responder) { it.take(request, responder); }));
    infra::HttpServerOptions options;
    options.workers = 2;
    options.max_connections = 16;
    STOA_TRY(server, infra::HttpServer::start(options, std::move(router)));
    callback->server_ = std::move(server);
    return callback;
  }
  ~Callback() {
    if (server_) server_->stop(1s);
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}{}", server_->port(), kCallback); }

  // The authorization code.
  Result<std::string> wait(const std::string& issuer, std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, limit, [&] { return query_.has_value(); })) return fail(ErrorCode::kDeadlineExceeded, "nobody signed in within {} s", limit.count());
    const auto value = [&](std::string_view name) { return std::string(infra::find_value(*query_, name).value_or("")); };
    if (const auto said = value("iss"); !said.empty() && said != issuer) return fail(ErrorCode::kUnauthenticated, "the answer came from another issuer");  // RFC 9207
    if (const auto problem = value("error"); !problem.empty()) return fail(ErrorCode::kPermissionDenied, "the issuer did not let you in: {}", problem.substr(0, 100));
    if (value("code").empty()) return fail(ErrorCode::kUnauthenticated, "the issuer sent no authorization code");
    return value("code");
  }

 private:
  explicit Callback(std::string state) : state_(std::move(state)) {}

  // Only the browser that was sent out knows the state; anything else is turned away, and the wait goes on.
  void take(const infra::HttpRequest& request, infra::Responder& responder) {
    const bool ours = infra::constant_time_equal(request.query_param("state").value_or(""), state_);
    infra::HttpResponse page = infra::HttpResponse::text(ours ? 200 : 400, ours ? "You can close this window and go back to the terminal.\n" : "This is not the sign-in that is waited for.\n");
    page.headers.set("cache-control", "no-store");
    responder.send(std::move(page));
    if (!ours) return;
    std::lock_guard lock(mutex_);
    if (!query_) query_ = request.query;
    arrived_.notify_all();
  }

  const std::string state_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<infra::NameValues> query_;
  std::unique_ptr<infra::HttpServer> server_;
};

void open_browser(const std::string& url) {
  const char* const arguments[] = {"xdg-open", url.c_str(), nullptr};
  pid_t child = 0;
  if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, const_cast<char* const*>(arguments), environ) != 0)
    fmt::print(stderr, "{}\n", dim("no browser could be opened (xdg-open is missing)"));
}

// The ID token proves who signed in; that it is fresh and was made for this sign-in is checked here, whatever the server checks.
Status check_id_token(const std::string& token, const Provider& provider, const governance::OidcEndpoints& endpoints, const std::string& nonce) {
  STOA_TRY(jwt, governance::parse_jwt(token));
  const governance::JwtRules rules{.issuer = provider.issuer, .audiences = {provider.client_id}, .schemes = {}, .nonce = nonce};
  STOA_CHECK(governance::check_claims(jwt, rules, Clock::system().now()));
  STOA_TRY(text, fetch_document(endpoints.keys));
  STOA_TRY(keys, governance::KeySet::parse(text));
  if (!keys.verify(jwt)) return fail(ErrorCode::kUnauthenticated, "the issuer's ID token is not signed by one of its keys");
  return {};
}

Result<Tokens> by_browser(const Provider& provider, const governance::OidcEndpoints& endpoints, const LoginOptions& options) {
  if (provider.client_id.empty())
    return fail(error(ErrorCode::kUnsupported, "the identity provider '{}' is not set up for signing in from the command line", provider.name).with_hint("it needs a client_id in the providers file"));
  STOA_TRY(state, random_text());
  STOA_TRY(nonce, random_text());
  STOA_TRY(verifier, random_text());
  STOA_TRY(callback, Callback::listen(state));
  infra::NameValues query{{"response_type", "code"}, {"client_id", provider.client_id}, {"redirect_uri", callback->url()}, {"scope", provider.scopes}, {"state", state},
                          {"nonce", nonce}, {"code_challenge", infra::to_base64url(infra::sha256(verifier))}, {"code_challenge_method", "S256"}};
  if (!provider.resource.empty()) query.emplace_back("resource", provider.resource);
  const std::string url = endpoints.authorization + (endpoints.authorization.contains('?') ? "&" : "?") + infra::format_query(query);
  fmt::print(stderr, "Open this address in a browser on this machine and sign in at {}:\n\n", provider.name);
  fmt::print(stderr, "  {}\n\n", url);
  std::fflush(stderr);
  if (options.browser) open_browser(url);
  STOA_TRY(code, callback->wait(provider.issuer, std::chrono::seconds(options.timeout)));
  std::vector<std::pair<std::string, std::string>> form{{"grant_type", "authorization_code"}, {"code", code}, {"redirect_uri", callback->url()}, {"code_verifier", verifier}};
  if (!provider.resource.empty()) form.emplace_back("resource", provider.resource);
  STOA_TRY(tokens, request_tokens(endpoints.token, provider.client_id, "", std::move(form)));
  if (tokens.id.empty()) return fail(ErrorCode::kUnauthenticated, "the issuer gave no ID token; the scope has to hold 'openid'");
  STOA_CHECK(check_id_token(tokens.id, provider, endpoints, nonce));
  return tokens;
}

Result<Tokens> by_secret(const Provider& provider, const governance::OidcEndpoints& endpoints, const LoginOptions& options) {
  const char* secret = std::getenv("STOA_CLIENT_SECRET");
  if (secret == nullptr || *secret == '\0')
    return fail(error(ErrorCode::kInvalidArgument, "the client's secret is not known").with_hint("set STOA_CLIENT_SECRET; arguments of a command can be seen by everyone on the machine"));
  std::vector<std::pair<std::string, std::string>> form{{"grant_type", "client_credentials"}};
  if (!options.scopes.empty()) form.emplace_back("scope", options.scopes);
  if (!provider.resource.empty()) form.emplace_back("resource", provider.resource);
  return request_tokens(endpoints.token, options.client_id, secret, std::move(form));
}

Result<Session> sign_in(const Global& global, const LoginOptions& options) {
  ApiClient anonymous(server_url(global), "");
  STOA_TRY(provider, choose_provider(anonymous, options.provider));
  STOA_TRY(endpoints, discover(provider.issuer));
  const bool service = !options.client_id.empty();
  Session session{.server = server_url(global), .provider = provider.name, .issuer = provider.issuer, .token_endpoint = endpoints.token,
                  .client_id = service ? options.client_id : provider.client_id, .resource = provider.resource, .scopes = options.scopes, .service = service,
                  .use_access = service || !provider.resource.empty()};
  STOA_TRY(tokens, service ? by_secret(provider, endpoints, options) : by_browser(provider, endpoints, options));
  STOA_CHECK(take_tokens(session, tokens));
  return session;
}

int show(const JsonObject& who, const Global& global) {
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(who));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  const auto row = [&](std::string name, std::string value) {
    if (!value.empty()) rows.push_back({std::move(name), std::move(value)});
  };
  const auto list = [&](std::string_view key) { return fmt::format("{}", fmt::join(strings_of(who, key), ", ")); };
  row("who", text_of(who, "user").empty() ? text_of(who, "principal") : fmt::format("{} ({})", text_of(who, "user"), text_of(who, "principal")));
  row("tenant", text_of(who, "tenant_name"));
  row("project", text_of(who, "project_name"));
  row("role", text_of(who, "role"));
  row("groups", list("groups"));
  row("limited to", list("scopes"));
  row("only for", list("grants"));
  row("on behalf of", text_of(who, "on_behalf"));
  row("break-glass", text_of(who, "elevation"));
  row("recognised by", text_of(who, "method"));
  row("until", text_of(who, "expires"));
  for (const auto& cells : rows) fmt::print("{:<14}{}\n", cells[0], cells[1]);
  return kExitOk;
}

}  // namespace

int login(const Global& global, const LoginOptions& options) {
  const auto session = sign_in(global, options);
  if (!session) return report(session.error(), global.json);
  // Kept only when the server lets them in: a token that it refuses would get in the way of everything else.
  ApiClient api(session->server, session->token);
  const auto who = api.get("/v1/stoa/whoami");
  if (!who) return report(who.error(), global.json);
  if (const Status saved = save_session(*session); !saved) return report(saved.error(), global.json);
  if (!global.json) fmt::print("signed in at {} through {}\n", session->server, session->provider);
  return show(*who, global);
}

int logout(const Global& global) {
  const std::string server = server_url(global);
  const auto removed = remove_session(server);
  if (!removed) return report(removed.error(), global.json);
  if (global.json)
    fmt::print("{}\n", dump_json(JsonObject{{"server", server}, {"signed_out", *removed}}));
  else
    fmt::print("{}\n", *removed ? fmt::format("signed out of {}: its tokens are deleted here", server) : fmt::format("nobody is signed in at {}", server));
  return kExitOk;
}

int whoami(const Global& global) {
  auto api = connect(global);
  const auto who = api.get("/v1/stoa/whoami");
  return who ? show(*who, global) : report(who.error(), global.json);
}

}  // namespace stoa::cli
