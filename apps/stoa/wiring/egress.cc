#include "wiring/egress.h"

#include "base/log.h"

namespace stoa::wiring {

using infra::EgressPurpose;

Result<std::unique_ptr<infra::Egress>> open_egress(const infra::Config& config, const NamedPlaces& places, std::function<void(const infra::EgressRefusal&)> on_refused) {
  infra::EgressOptions options;
  const auto rule = [&](EgressPurpose purpose) -> std::string& { return options.rules[static_cast<std::size_t>(purpose)]; };
  rule(EgressPurpose::kProviders) = config.egress.providers;
  rule(EgressPurpose::kPulls) = config.egress.pulls;
  rule(EgressPurpose::kTools) = config.egress.tools;
  rule(EgressPurpose::kCrawls) = config.egress.crawls;
  rule(EgressPurpose::kWebhooks) = config.egress.webhooks;
  rule(EgressPurpose::kIssuers) = config.egress.issuers;
  rule(EgressPurpose::kKms) = config.egress.kms;
  for (const auto& [purpose, place] : places) {
    STOA_TRY(url, infra::parse_url(place));
    std::string& text = rule(purpose);
    text += (text.empty() ? "" : ", ") + infra::egress_entry_of(url);
  }
  options.client = infra::HttpClientOptions::from_environment();
  options.client.ca_file = config.egress.ca_file;
  options.client.tls_minimum = config.egress.tls_minimum == "1.2" ? infra::TlsVersion::k1_2 : infra::TlsVersion::k1_3;
  options.on_refused = std::move(on_refused);
  return infra::Egress::open(std::move(options));
}

std::function<void(const infra::EgressRefusal&)> audit_egress(governance::AuditLog& audit) {
  return [&audit](const infra::EgressRefusal& refused) {
    governance::AuditEntry entry;
    entry.principal = "stoa";
    entry.action = fmt::format("egress.{}", infra::egress_purpose_name(refused.purpose));
    entry.resource = refused.origin;
    entry.outcome = governance::Outcome::kDenied;
    entry.reason = refused.error.message;
    if (const Status written = audit.append(std::move(entry)); !written) log_error("a refused request is missing in the audit log", written.error());
  };
}

}  // namespace stoa::wiring
