#include "infra/http/egress.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"

namespace stoa::infra {
namespace {

constexpr std::array<std::string_view, kEgressPurposes> kNames{"providers", "pulls", "tools", "crawls", "webhooks", "issuers", "kms"};
constexpr std::size_t kMaxEntries = 1000;

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool is_below(std::string_view host, std::string_view suffix) {
  return host.size() > suffix.size() && host.ends_with(suffix) && host[host.size() - suffix.size() - 1] == '.';
}

// Names that mean something inside a network only (RFC 6761, RFC 8375 and common use). "*" is about the internet: it does not mean them, not
// even behind a proxy, which looks names up itself.
bool is_local_name(std::string_view host) {
  if (host.find('.') == std::string_view::npos) return true;
  for (const std::string_view suffix : {"localhost", "local", "internal", "localdomain", "lan", "home.arpa"})
    if (is_below(host, suffix)) return true;
  return false;
}

}  // namespace

std::string_view egress_purpose_name(EgressPurpose purpose) { return kNames[static_cast<std::size_t>(purpose)]; }

Result<EgressRule::Entry> EgressRule::parse_entry(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(error(ErrorCode::kInvalidArgument, "the entry '{}' {}", text.substr(0, 200), why)
                    .with_hint("write [scheme://]host[:port][@addresses], for example api.example.com or vault.corp.example:8200@10.0.0.0/8"));
  };
  Entry entry;
  std::string_view rest = text;
  const auto scheme = rest.find("://");
  entry.scheme = scheme == std::string_view::npos ? "https" : rest.substr(0, scheme);
  if (scheme != std::string_view::npos) rest.remove_prefix(scheme + 3);
  if (entry.scheme != "https" && entry.scheme != "http") return bad("has a scheme other than http and https");
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    entry.anywhere = rest.substr(at + 1) == "*";
    if (!entry.anywhere) {
      auto range = parse_range(rest.substr(at + 1));
      if (!range) return bad("has no address range behind '@'");
      entry.leads_to.push_back(*range);
    }
    rest = rest.substr(0, at);
  }
  std::string_view host = rest, port;
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    if (close == std::string_view::npos || (close + 1 < rest.size() && rest[close + 1] != ':')) return bad("has a '[' without its ']'");
    host = rest.substr(1, close - 1);
    port = close + 1 < rest.size() ? rest.substr(close + 2) : "";
  } else if (const auto colon = rest.find(':'); colon != std::string_view::npos && colon == rest.rfind(':')) {
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
  }
  entry.port = entry.scheme == "https" ? 443 : 80;
  if (port == "*") {
    entry.port = 0;
  } else if (!port.empty()) {
    const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), entry.port);
    if (failed != std::errc() || end != port.data() + port.size() || entry.port < 1 || entry.port > 65535) return bad("has a bad port");
  }
  if (host == "*") {
    entry.any = true;
    return entry;
  }
  if (const auto range = parse_range(host)) {
    entry.range.push_back(*range);
    return entry;
  }
  entry.below = host.starts_with("*.");
  if (entry.below) host.remove_prefix(2);
  if (const Status spelled = check_host_spelling(host); !spelled) return bad(spelled.error().message);
  for (const char c : host) entry.host += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return entry;
}

Result<EgressRule> EgressRule::parse(std::string_view text, std::string key) {
  EgressRule rule;
  rule.key_ = std::move(key);
  rule.text_ = text;
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (const auto part = trim(text.substr(0, comma)); !part.empty()) {
      auto entry = parse_entry(part);
      if (!entry) return fail(std::move(entry).error().in(rule.key_));
      rule.entries_.push_back(std::move(*entry));
    }
    if (rule.entries_.size() > kMaxEntries) return fail(ErrorCode::kInvalidArgument, "{}: more than {} entries", rule.key_, kMaxEntries);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return rule;
}

bool EgressRule::names(const Entry& entry, const Url& url, const std::optional<IpAddress>& literal) {
  if (entry.scheme != url.scheme || (entry.port != 0 && entry.port != url.port)) return false;
  if (!entry.range.empty()) return literal && entry.range.front().contains(*literal);
  if (entry.any) return literal ? entry.anywhere || special_range(*literal).empty() : entry.anywhere || !is_local_name(url.host);
  return entry.below ? is_below(url.host, entry.host) : url.host == entry.host;
}

Status EgressRule::check_url(const Url& url) const {
  if (url.scheme != "http" && url.scheme != "https") return fail(ErrorCode::kInvalidArgument, "{}: only http and https are spoken", url.scheme);
  if (!url.userinfo.empty())
    return fail(error(ErrorCode::kPermissionDenied, "the URL of {} carries a user name or password", url.host).with_hint("send credentials in a header"));
  STOA_CHECK(check_host_spelling(url.host));
  const auto literal = parse_ip(url.host);
  if (std::ranges::any_of(entries_, [&](const Entry& entry) { return names(entry, url, literal); })) return {};
  const std::string_view special = literal ? special_range(*literal) : "";
  return fail(error(ErrorCode::kPermissionDenied, "{} may not be reached{}: the rule {} allows {}", url.origin(),
                    special.empty() ? std::string() : fmt::format(", an address of the range '{}'", special), key_, text_.empty() ? "nothing" : "'" + text_ + "'")
                  .with_hint(fmt::format("if it should be, an administrator adds '{}' to {} in the configuration",
                                         (url.scheme == "http" ? "http://" : "") + url.authority(), key_)));
}

Status EgressRule::check_address(const Url& url, std::string_view text) const {
  const auto address = parse_ip(text);
  if (!address) return fail(ErrorCode::kPermissionDenied, "{} leads to '{}', which is no address that may be reached", url.host, text.substr(0, 100));
  const std::string_view special = special_range(*address);
  if (special.empty()) return {};  // check_url has let the name through
  const auto literal = parse_ip(url.host);
  for (const Entry& entry : entries_) {
    if (!names(entry, url, literal)) continue;
    if (entry.anywhere || (!entry.range.empty() && entry.range.front().contains(*address))) return {};
    if (std::ranges::any_of(entry.leads_to, [&](const IpRange& range) { return range.contains(*address); })) return {};
  }
  return fail(error(ErrorCode::kPermissionDenied, "{} leads to {}, an address of the range '{}': the rule {} does not allow it", url.host, text, special, key_)
                  .with_hint(fmt::format("if it should be reached, an administrator adds '{}{}@{}' to {} in the configuration", url.scheme == "http" ? "http://" : "",
                                         url.authority(), text, key_)));
}

std::string egress_entry_of(const Url& url) {
  const bool v6 = url.host.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}@*", url.scheme, v6 ? "[" + url.host + "]" : url.host, url.port);
}

class Egress::Sender final : public HttpSender {
 public:
  Sender(EgressPurpose purpose, EgressRule rule, HttpClientOptions options, std::function<void(const EgressRefusal&)> on_refused)
      : purpose_(purpose), on_refused_(std::move(on_refused)), client_(guarded(std::move(rule), std::move(options))) {}

  Result<int> stream(const HttpClientRequest& request, const HttpStream& stream) override {
    bool by_caller = false;  // an error of the caller's own is none of the rule's
    HttpStream watched{{}, stream.on_data};
    if (stream.on_head)
      watched.on_head = [&](int status, const HttpHeaders& headers) {
        Status accepted = stream.on_head(status, headers);
        by_caller = !accepted;
        return accepted;
      };
    auto result = client_.stream(request, watched);
    if (!result && !by_caller && result.error().code == ErrorCode::kPermissionDenied) refused(request, result.error());
    return result;
  }

 private:
  static HttpClientOptions guarded(EgressRule rule, HttpClientOptions options) {
    options.guard = std::make_shared<const EgressRule>(std::move(rule));
    return options;
  }

  void refused(const HttpClientRequest& request, const Error& error) {
    const auto url = parse_url(request.url);
    const std::string origin = url ? url->origin() : "";
    log(LogLevel::kWarning, "outgoing request refused",
        {{"purpose", std::string(egress_purpose_name(purpose_))}, {"origin", origin}, {"reason", error.message}, {"hint", error.hint}});
    if (on_refused_) on_refused_({purpose_, origin, error});
  }

  const EgressPurpose purpose_;
  const std::function<void(const EgressRefusal&)> on_refused_;
  HttpClient client_;
};

Egress::Egress() = default;
Egress::~Egress() = default;

Result<std::unique_ptr<Egress>> Egress::open(EgressOptions options) {
  std::unique_ptr<Egress> egress(new Egress());
  for (std::size_t i = 0; i < kEgressPurposes; ++i) {
    STOA_TRY(rule, EgressRule::parse(options.rules[i], fmt::format("egress.{}", kNames[i])));
    egress->senders_[i] = std::make_unique<Sender>(static_cast<EgressPurpose>(i), std::move(rule), options.client, options.on_refused);
  }
  return egress;
}

HttpSender& Egress::sender(EgressPurpose purpose) { return *senders_[static_cast<std::size_t>(purpose)]; }

}  // namespace stoa::infra
