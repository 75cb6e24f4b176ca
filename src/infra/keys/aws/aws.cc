#include "infra/keys/aws/aws.h"

#include <algorithm>
#include <array>
#include <thread>

#include "base/json.h"
#include "infra/crypto/encoding.h"

namespace stoa::infra {
namespace {

constexpr std::string_view kProvider = "aws", kContentType = "application/x-amz-json-1.1";
constexpr std::uint64_t kMaxReply = 1 << 20;

// KMS's exceptions (API reference, "Common Errors" and those of each call) as the few kinds of the port.
constexpr std::array<std::pair<std::string_view, ErrorCode>, 14> kExceptions{{
    {"InvalidCiphertextException", ErrorCode::kDataLoss},
    {"IncorrectKeyException", ErrorCode::kDataLoss},
    {"AccessDeniedException", ErrorCode::kPermissionDenied},
    {"UnrecognizedClientException", ErrorCode::kPermissionDenied},
    {"InvalidSignatureException", ErrorCode::kPermissionDenied},
    {"ExpiredTokenException", ErrorCode::kPermissionDenied},
    {"DisabledException", ErrorCode::kPermissionDenied},
    {"KMSInvalidStateException", ErrorCode::kPermissionDenied},
    {"NotFoundException", ErrorCode::kNotFound},
    {"ThrottlingException", ErrorCode::kUnavailable},
    {"LimitExceededException", ErrorCode::kUnavailable},
    {"DependencyTimeoutException", ErrorCode::kUnavailable},
    {"KeyUnavailableException", ErrorCode::kUnavailable},
    {"KMSInternalException", ErrorCode::kUnavailable},
}};

std::string_view hint_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kPermissionDenied: return "check the credentials, the key's policy (kms:Encrypt, kms:Decrypt, kms:DescribeKey), its state, and this machine's clock";
    case ErrorCode::kNotFound: return "check kms.aws.key and kms.aws.region";
    default: return "";
  }
}

class AwsKeys final : public KeyManagement {
 public:
  AwsKeys(HttpSender& http, AwsKeysOptions options, const Clock& clock) : http_(http), options_(std::move(options)), clock_(clock) {
    endpoint_ = options_.endpoint.empty() ? fmt::format("https://kms.{}.amazonaws.com", options_.region) : options_.endpoint;
    while (endpoint_.ends_with('/')) endpoint_.pop_back();
  }

  std::string_view provider() const override { return kProvider; }

  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override {
    std::string plain = to_base64(key.bytes());
    auto reply = call("Encrypt", JsonObject{{"KeyId", options_.key}, {"Plaintext", plain}, {"EncryptionContext", JsonObject{{"stoa", context}}}});
    wipe(std::as_writable_bytes(std::span(plain)));
    if (!reply) return fail(std::move(reply).error());
    STOA_TRY(blob, bytes_of(*reply, "CiphertextBlob"));
    STOA_TRY(arn, read_string(*reply, "KeyId"));
    return WrappedKey{std::string(kProvider), arn.value_or(options_.key), std::move(blob)};
  }

  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override {
    auto reply = call("Decrypt", JsonObject{{"KeyId", wrapped.master}, {"CiphertextBlob", to_base64(wrapped.blob)}, {"EncryptionContext", JsonObject{{"stoa", context}}}});
    if (!reply) return fail(std::move(reply).error());
    STOA_TRY(plain, bytes_of(*reply, "Plaintext"));
    auto key = SecretKey::from(plain);
    wipe(plain);
    if (!key) return fail(ErrorCode::kDataLoss, "aws: the wrapped key for {} holds no key", context);
    return key;
  }

  Status rotate() override {
    return fail(error(ErrorCode::kUnsupported, "aws: KMS rotates the key {} itself; what was wrapped before stays readable", options_.key)
                    .with_hint("aws kms enable-key-rotation, or rotate-key-on-demand; for another key set kms.aws.key, then 'stoa kms rewrap'"));
  }

  Result<MasterKeyStatus> describe() override {
    STOA_TRY(reply, call("DescribeKey", JsonObject{{"KeyId", options_.key}}));
    const Json* metadata = find(reply, "KeyMetadata");
    if (metadata == nullptr || !metadata->is_object()) return fail(ErrorCode::kUnavailable, "aws: the answer has no 'KeyMetadata'");
    STOA_TRY(arn, read_string(metadata->as_object(), "Arn"));
    STOA_TRY(state, read_string(metadata->as_object(), "KeyState"));
    if (state && *state != "Enabled") return fail(error(ErrorCode::kPermissionDenied, "aws: the key {} is {}", options_.key, *state).with_hint(std::string(hint_of(ErrorCode::kPermissionDenied))));
    return MasterKeyStatus{std::string(kProvider), arn.value_or(options_.key), {}, {}};
  }

 private:
  Result<JsonObject> call(std::string_view operation, const JsonObject& body) {
    milliseconds pause = options_.pause;
    for (int attempt = 1;; ++attempt) {
      auto reply = once(operation, body);
      if (reply || reply.error().code != ErrorCode::kUnavailable || attempt >= options_.attempts) return reply;
      std::this_thread::sleep_for(pause);
      pause *= 2;
    }
  }

  Result<JsonObject> once(std::string_view operation, const JsonObject& body) {
    STOA_TRY(credentials, options_.credentials());
    HttpClientRequest request{.method = "POST", .url = endpoint_ + "/", .body = dump_json(body)};
    request.headers = {{"content-type", std::string(kContentType)}, {"x-amz-target", fmt::format("TrentService.{}", operation)}};
    STOA_CHECK(sign_request(request, credentials, options_.region, "kms", clock_.now()));
    request.timeouts = {options_.timeout, options_.timeout, options_.timeout, options_.timeout};
    request.max_body = kMaxReply;
    auto reply = http_.send(request);
    wipe(std::as_writable_bytes(std::span(request.body)));
    if (!reply) {
      Error problem = std::move(reply).error();
      if (problem.code == ErrorCode::kDeadlineExceeded) problem.code = ErrorCode::kUnavailable;  // its own time, not the caller's
      return fail(std::move(problem).in(kProvider));
    }
    auto answer = parse_json(reply->body);
    if (reply->status == 200 && answer && answer->is_object()) return std::move(answer->as_object());
    return fail(refused(*reply, answer && answer->is_object() ? answer->as_object() : JsonObject()));
  }

  Error refused(const HttpResponse& reply, const JsonObject& answer) const {
    auto type = read_string(answer, "__type"), message = read_string(answer, "message");
    std::string name = type ? type->value_or("") : "";
    name.erase(0, name.rfind('#') + 1);  // "com.amazonaws.kms#NotFoundException"
    const auto known = std::ranges::find(kExceptions, name, &std::pair<std::string_view, ErrorCode>::first);
    ErrorCode code = known != kExceptions.end() ? known->second : reply.status >= 500 || reply.status == 429 || reply.status == 200 ? ErrorCode::kUnavailable : ErrorCode::kInvalidArgument;
    return error(code, "aws: {}: {}", name.empty() ? fmt::format("status {}", reply.status) : name, (message ? message->value_or("") : "").substr(0, 300))
        .with_hint(std::string(hint_of(code)));
  }

  static Result<Bytes> bytes_of(const JsonObject& answer, std::string_view name) {
    STOA_TRY(text, read_string(answer, name));
    auto bytes = from_base64(text.value_or("?"));
    if (!bytes) return fail(ErrorCode::kUnavailable, "aws: the answer has no '{}'", name);
    return bytes;
  }

  HttpSender& http_;
  const AwsKeysOptions options_;
  const Clock& clock_;
  std::string endpoint_;
};

}  // namespace

Result<std::unique_ptr<KeyManagement>> open_aws_keys(HttpSender& http, AwsKeysOptions options, const Clock& clock) {
  if (options.region.empty() || options.key.empty()) return fail(ErrorCode::kInvalidArgument, "kms.aws.region and kms.aws.key are needed for the provider aws");
  if (!options.endpoint.empty() && !options.endpoint.starts_with("https://") && !options.endpoint.starts_with("http://"))
    return fail(ErrorCode::kInvalidArgument, "kms.aws.endpoint: '{}' is no URL", options.endpoint);
  return std::make_unique<AwsKeys>(http, std::move(options), clock);
}

}  // namespace stoa::infra
