// HTTP messages as plain values, the same on the server's and the client's side.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace stoa::infra {

// Header fields in the order received or added. Names compare without regard to case.
class HttpHeaders {
 public:
  using Field = std::pair<std::string, std::string>;

  HttpHeaders() = default;
  HttpHeaders(std::initializer_list<Field> fields) : fields_(fields) {}

  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);  // replaces every field of that name
  void remove(std::string_view name);
  // The first value of that name; empty when absent (`has` tells the difference).
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
  // True when a comma-separated field of that name lists `token` ("Connection: keep-alive, x").
  bool lists(std::string_view name, std::string_view token) const;
  const std::vector<Field>& all() const { return fields_; }

 private:
  std::vector<Field> fields_;
};

using NameValues = std::vector<std::pair<std::string, std::string>>;
// The first value of that name in a list of decoded query, path or form parameters.
std::optional<std::string_view> find_value(const NameValues& values, std::string_view name);

// What a listener is for. A route is served by the listeners that share a role with it; elsewhere it does not exist.
enum class ListenerRole : std::uint8_t { kPublic = 1, kNode = 2, kAdmin = 4 };

class ListenerRoles {
 public:
  constexpr ListenerRoles(ListenerRole role) : bits_(static_cast<std::uint8_t>(role)) {}  // NOLINT(google-explicit-constructor): a role is a set of one
  static constexpr ListenerRoles all() { return ListenerRoles(std::uint8_t{7}); }
  static constexpr ListenerRoles none() { return ListenerRoles(std::uint8_t{0}); }

  constexpr bool meets(ListenerRoles other) const { return (bits_ & other.bits_) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr ListenerRoles operator|(ListenerRoles other) const { return ListenerRoles(static_cast<std::uint8_t>(bits_ | other.bits_)); }
  constexpr ListenerRoles without(ListenerRoles other) const { return ListenerRoles(static_cast<std::uint8_t>(bits_ & ~other.bits_)); }
  constexpr bool operator==(const ListenerRoles&) const = default;
  std::string names() const;  // "public, admin"

 private:
  explicit constexpr ListenerRoles(std::uint8_t bits) : bits_(bits) {}
  std::uint8_t bits_;
};

// What a client proved with a certificate that the listener's `client_ca` vouches for.
struct PeerCertificate {
  std::vector<std::string> dns_names;  // subject alternative names, as written in the certificate
  std::vector<std::string> uris;       // "spiffe://house/node/a"
  std::string sha256;                  // of the whole certificate (DER), 64 lower-case hex digits
};

struct HttpRequest {
  std::string method;      // "GET", upper case as sent
  std::string target;      // as sent: "/v1/files?limit=2"
  std::string path;        // without the query, still percent-encoded
  NameValues query;        // decoded; a name may come several times
  NameValues path_params;  // decoded; filled by the Router from "{name}" in the pattern
  std::string route;       // the pattern that matched: bounded in number, so fit for metric labels
  HttpHeaders headers;
  std::string body;        // whole, at most the route's limit
  std::string peer;        // "127.0.0.1:40222"
  bool tls = false;
  std::shared_ptr<const PeerCertificate> peer_certificate;  // null: none was shown (one that is not vouched for ends the handshake)
  ListenerRoles listener = ListenerRoles::all();            // the roles of the listener that it came through

  std::optional<std::string_view> query_param(std::string_view name) const { return find_value(query, name); }
  // Empty when the pattern has no such parameter.
  std::string_view path_param(std::string_view name) const { return find_value(path_params, name).value_or(""); }
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;  // Content-Length, Transfer-Encoding, Date and Connection are the server's business
  std::string body;

  static HttpResponse text(int status, std::string body);
  static HttpResponse json(int status, std::string body);
};

// "Not Found" for 404; "Unknown" for a number without a registered phrase.
std::string_view http_reason(int status);

// ASCII comparison without regard to case, as header names and tokens need it.
bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace stoa::infra
