#include "gateway/providers/authorization.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "gateway/providers/access_tokens.h"
#include "gateway/providers/codec.h"
#include "infra/aws/sigv4.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using infra::AwsCredentials;

constexpr std::size_t kShortestSecret = 8;
constexpr std::string_view kAwsShape = "ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN], or JSON with AccessKeyId, SecretAccessKey and SessionToken";

bool is_json(std::string_view credential) { return credential.starts_with('{'); }
std::unexpected<Error> wrong(std::string text) { return fail(error(ErrorCode::kInvalidArgument, "{}", text).with_param("credential")); }

// Nothing for a key of Bedrock's own, which is sent as it is.
Result<std::optional<AwsCredentials>> aws_credentials(std::string_view family, std::string_view credential) {
  AwsCredentials out;
  if (is_json(credential)) {
    const auto parsed = parse_json(credential, {.max_bytes = 64u << 10});
    if (!parsed || !parsed->is_object()) return wrong("the credential is no JSON object");
    const JsonObject* inner = upstream_object(parsed->get_object(), "Credentials");  // as `aws sts` gives them
    const JsonObject& object = inner != nullptr ? *inner : parsed->get_object();
    out = {std::string(upstream_text(object, "AccessKeyId")), std::string(upstream_text(object, "SecretAccessKey")), std::string(upstream_text(object, "SessionToken"))};
  } else {
    const auto first = credential.find(':');
    if (first == std::string_view::npos && family == "bedrock") return std::nullopt;
    if (first != std::string_view::npos) {
      const auto second = credential.find(':', first + 1);
      out.access_key = credential.substr(0, first);
      out.secret_key = credential.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
      if (second != std::string_view::npos) out.session_token = credential.substr(second + 1);
    }
  }
  if (out.access_key.empty() || out.secret_key.empty()) return wrong(fmt::format("the credential has to be {}{}", family == "bedrock" ? "an API key of Bedrock, or " : "", kAwsShape));
  return out;
}

std::unexpected<Error> unusable(Error problem) {
  problem.code = ErrorCode::kUnavailable;  // the configuration's fault, not the caller's
  if (problem.hint.empty()) problem.hint = "an administrator sets the provider's credential with 'stoa providers set-key'";
  problem.param.clear();
  return fail(std::move(problem));
}

Status sign(const ProviderTarget& target, const std::string& credential, infra::HttpClientRequest& request, const Clock& clock) {
  auto keys = aws_credentials(target.family, credential);
  if (!keys) return unusable(std::move(keys).error());
  if (!*keys) {
    request.headers.set("Authorization", "Bearer " + credential);
    return {};
  }
  const auto option = target.options.find("region");
  const std::string region = option != target.options.end() ? option->second : region_of_url(target.url);
  if (region.empty()) return fail(error(ErrorCode::kUnavailable, "no region is known to sign for").with_hint("stoa providers add NAME --replace ... --option region=REGION"));
  return infra::sign_request(request, **keys, region, target.family, clock.now());
}

}  // namespace

Status check_credential(std::string_view family, std::string_view credential) {
  if (family == "bedrock" || family == "sagemaker") {
    if (auto keys = aws_credentials(family, credential); !keys) return fail(std::move(keys).error());
  } else if (family == "vertex" && is_json(credential)) {
    if (auto account = parse_service_account(credential); !account) return fail(std::move(account).error().with_param("credential"));
  }
  return {};
}

Status authorize(const ProviderTarget& target, const std::string& credential, infra::HttpSender& sender, infra::HttpClientRequest& request, const Clock& clock) {
  if (credential.empty()) return {};
  if (target.family == "bedrock" || target.family == "sagemaker") return sign(target, credential, request, clock);
  if (target.family != "vertex") return {};
  if (!is_json(credential)) {
    request.headers.set("x-goog-api-key", credential);
    return {};
  }
  AccessTokens own(clock);
  STOA_TRY(token, (target.tokens != nullptr ? *target.tokens : own).get(credential, sender, request));
  request.headers.set("Authorization", "Bearer " + token);
  return {};
}

std::vector<std::string> secrets_of(const infra::HttpClientRequest& request, const std::string& credential) {
  std::vector<std::string> secrets{credential};
  const auto add = [&](std::string_view text) {
    if (text.size() >= kShortestSecret) secrets.emplace_back(text);
  };
  for (std::string_view rest = is_json(credential) ? std::string_view() : credential; !rest.empty();) {  // its parts, where it has some
    const auto end = rest.find(':');
    add(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  for (const std::string_view name : {"authorization", "x-amz-security-token"}) {
    std::string_view value = request.headers.get(name);
    if (value.starts_with("Bearer ")) value.remove_prefix(7);
    add(value);
  }
  return secrets;
}

std::string region_of_url(std::string_view text) {
  constexpr std::array<std::string_view, 4> kServices{"bedrock-runtime", "bedrock-runtime-fips", "sagemaker", "sagemaker-fips"};
  const auto url = infra::parse_url(text);
  if (!url || !url->host.contains(".amazonaws.com")) return {};
  for (std::string_view rest = url->host; !rest.empty();) {
    const auto end = rest.find('.');
    if (end == std::string_view::npos) break;
    const bool service = std::ranges::find(kServices, rest.substr(0, end)) != kServices.end();
    rest.remove_prefix(end + 1);
    if (service) return std::string(rest.substr(0, rest.find('.')));
  }
  return {};
}

}  // namespace stoa::gateway
