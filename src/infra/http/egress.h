// The way out: every outgoing HTTP request of a server goes through here. For each purpose a rule says which hosts may be reached; a name is
// looked up once and exactly the addresses found are connected to; addresses that lead to no stranger (loopback, private, link-local...) are
// refused unless the rule names them; every redirect is a new decision. What is refused is logged with the rule and the next step.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "infra/http/address.h"
#include "infra/http/client.h"

namespace stoa::infra {

enum class EgressPurpose : std::uint8_t { kProviders, kPulls, kTools, kCrawls, kWebhooks, kIssuers, kKms };
inline constexpr std::size_t kEgressPurposes = 7;
// "providers", "pulls", ...: the last part of the configuration key egress.<name>.
std::string_view egress_purpose_name(EgressPurpose purpose);

// Which places may be reached: comma-separated entries [scheme://]host[:port][@addresses].
//   scheme     https where it is missing
//   host       a name; *.name for the names below it; * for any name or public address; an address or range (10.0.0.0/8, [fd00::/8])
//   port       the scheme's where it is missing; * for any
//   addresses  where the name may lead besides the public internet: a range, or * for anywhere
// "*, http://127.0.0.1:9000, vault.corp.example:8200@10.0.0.0/8". Empty: nothing may be reached. Immutable, thread-safe.
class EgressRule final : public HttpGuard {
 public:
  // `key` names the rule in errors ("egress.pulls"). kInvalidArgument names the entry.
  static Result<EgressRule> parse(std::string_view text, std::string key);

  // kPermissionDenied with the rule and the next step; kInvalidArgument for a host that is spelled oddly.
  Status check_url(const Url& url) const override;
  Status check_address(const Url& url, std::string_view address) const override;

 private:
  struct Entry {
    std::string scheme;
    std::string host;            // a name without wildcard; empty with `any` or `range`
    bool any = false;            // "*"
    bool below = false;          // "*.host"
    std::vector<IpRange> range;  // at most one: the host is an address of it
    int port = 0;                // 0: any
    bool anywhere = false;       // "@*"
    std::vector<IpRange> leads_to;
  };
  static Result<Entry> parse_entry(std::string_view text);
  static bool names(const Entry& entry, const Url& url, const std::optional<IpAddress>& literal);

  std::string key_, text_;
  std::vector<Entry> entries_;
};

// An entry that allows exactly the origin of `url`, wherever its name leads: for places that the operator has named.
std::string egress_entry_of(const Url& url);

struct EgressRefusal {
  EgressPurpose purpose;
  std::string origin;  // of the request; its path could hold a secret
  Error error;
};

struct EgressOptions {
  std::array<std::string, kEgressPurposes> rules{};  // by purpose, as EgressRule::parse takes them
  HttpClientOptions client{};                        // proxies, trust, TLS
  std::function<void(const EgressRefusal&)> on_refused{};  // beside the log; may be empty
};

// Thread-safe. Behind a proxy (HTTP_PROXY, HTTPS_PROXY) the proxy looks names up: then the rule holds for names and for addresses written
// in the URL, and where a name leads is the proxy's to decide.
class Egress {
 public:
  static Result<std::unique_ptr<Egress>> open(EgressOptions options);
  ~Egress();

  // Lives as long as the egress. Connections are not shared between purposes.
  HttpSender& sender(EgressPurpose purpose);

 private:
  class Sender;
  Egress();
  std::array<std::unique_ptr<Sender>, kEgressPurposes> senders_;
};

}  // namespace stoa::infra
