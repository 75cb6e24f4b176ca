#include "gateway/batch/attempts.h"

#include <algorithm>
#include <charconv>

#include "infra/crypto/hash.h"

namespace stoa::gateway {

std::string line_request(const std::string& batch, std::int64_t line, int attempt) {
  constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  constexpr std::size_t kTime = 10, kRest = 16;
  const auto digest = infra::sha256(fmt::format("{}/{}/{}", batch, line, attempt));
  std::string id = "req_" + batch.substr(batch.find('_') + 1, kTime);
  for (std::size_t i = 0; i < kRest; ++i) id += kAlphabet[static_cast<std::size_t>(digest[i]) & 31];
  return id;
}

milliseconds pause_before(const infra::HttpResponse& response, int attempt, milliseconds first, milliseconds longest) {
  const std::string_view after = response.headers.get("retry-after");
  int seconds = 0;
  std::from_chars(after.data(), after.data() + after.size(), seconds);
  const milliseconds growing = first * (1 << std::min(attempt, 10));
  return std::min(longest, std::max(growing, std::min(longest, milliseconds(seconds * 1000L))));
}

}  // namespace stoa::gateway
