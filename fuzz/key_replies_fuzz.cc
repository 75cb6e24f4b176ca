// What a key management service answers, or something that answers in its place: read or refused, for wrapping, unwrapping, rotating and looking.
#include <cstdint>
#include <string>
#include <string_view>

#include "infra/keys/aws/aws.h"
#include "infra/keys/vault/vault.h"
#include "require.h"

namespace {

using namespace stoa;
using namespace stoa::infra;

class Answers final : public HttpSender {
 public:
  int status = 200;
  std::string body;
  Result<int> stream(const HttpClientRequest&, const HttpStream&) override { return fail(ErrorCode::kUnsupported, "answers come whole"); }
  Result<HttpResponse> send(const HttpClientRequest&) override { return HttpResponse{status, {}, body}; }
};

void use(KeyManagement& keys, std::string_view text) {
  static const SecretKey kKey = *SecretKey::from(Bytes(SecretKey::kBytes, std::byte{7}));
  if (const auto wrapped = keys.wrap(kKey, "project proj_a")) {
    require(wrapped->provider == keys.provider() && !wrapped->blob.empty());
    (void)keys.unwrap(*wrapped, "project proj_a");
  }
  for (const std::string& blob : {std::string(text), std::string("vault:v1:AAAA")}) (void)keys.unwrap({std::string(keys.provider()), "1", Bytes(as_bytes(blob).begin(), as_bytes(blob).end())}, "c");
  (void)keys.rotate();
  if (const auto status = keys.describe()) require(status->provider == keys.provider());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Answers answers;
  static const auto vault = *open_vault_keys(answers, {.address = "https://vault.example", .token = [] { return Result<std::string>("t"); }, .attempts = 1, .pause = milliseconds(0)});
  static const auto aws = *open_aws_keys(answers, {.region = "eu-central-1", .key = "alias/stoa",
                                                   .credentials = [] { return Result<AwsCredentials>(AwsCredentials{"id", "secret"}); }, .attempts = 1, .pause = milliseconds(0)});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const int status : {200, 400, 403, 503}) {
    answers.status = status;
    answers.body = text;
    use(*vault, text);
    use(*aws, text);
  }
  return 0;
}
