// The decision on where a request may go: whatever the text of the URL, what passes is what it says it is.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "infra/http/egress.h"

using namespace stoa::infra;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The text as a rule of its own: parsed or refused.
  (void)EgressRule::parse(text, "egress.fuzz");
  static const EgressRule rule = EgressRule::parse("*, *.corp.test:8200@10.0.0.0/8, http://127.0.0.1:9000", "egress.fuzz").value();
  const auto url = parse_url(text);
  if (!url || !rule.check_url(*url)) return 0;
  if (!url->userinfo.empty() || !check_host_spelling(url->host)) std::abort();
  const auto literal = parse_ip(url->host);
  const bool named = url->origin() == "http://127.0.0.1:9000" || (url->host.ends_with(".corp.test") && url->origin() == "https://" + url->host + ":8200");
  if (!named && (url->scheme != "https" || url->port != 443 || (literal && !special_range(*literal).empty()))) std::abort();
  // What is connected to is read from the URL written out: it has to be the same place.
  const auto again = parse_url(url->origin());
  if (!again || again->host != url->host || again->port != url->port || again->scheme != url->scheme) std::abort();
  if (rule.check_address(*url, "169.254.169.254")) std::abort();
  return 0;
}
