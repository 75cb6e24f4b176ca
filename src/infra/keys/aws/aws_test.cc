// Against a small server that answers as KMS does and checks the signature of each request.
#include "infra/keys/aws/aws.h"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>

#include "base/json.h"
#include "infra/crypto/aead.h"
#include "infra/crypto/encoding.h"
#include "infra/http/client.h"
#include "infra/http/server.h"
#include "infra/keys/keys_contract.h"

namespace stoa::infra {
namespace {

const AwsCredentials kExample{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

class FakeKms {
 public:
  std::vector<std::string> refuse;  // exceptions to answer with before working again
  bool stuck = false;
  std::string state = "Enabled";
  int calls = 0;

  FakeKms() {
    Router router;
    EXPECT_TRUE(router.add("POST", "/", [this](const HttpRequest& request, Responder& responder) { answer(request, responder); }));
    HttpServerOptions options;
    options.port = 0;
    server_ = *HttpServer::start(options, std::move(router));
  }
  std::string url() const { return server_->url(); }

 private:
  static constexpr std::string_view kArn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

  static void send(Responder& responder, int status, const JsonObject& body) { responder.send({status, {{"Content-Type", "application/x-amz-json-1.1"}}, dump_json(body)}); }
  static void refuse_with(Responder& responder, std::string_view type) {
    send(responder, type == "KMSInternalException" ? 500 : 400, {{"__type", type}, {"message", "said by the test"}});
  }

  bool signed_well(const HttpRequest& request) const {
    HttpHeaders headers{{"host", std::string(request.headers.get("Host"))}};
    for (const char* name : {"content-type", "x-amz-date", "x-amz-target", "x-amz-security-token"})
      if (request.headers.has(name)) headers.add(name, std::string(request.headers.get(name)));
    const std::string time(request.headers.get("x-amz-date"));
    return sign_v4(kExample, {"eu-central-1", "kms", time}, "POST", "/", headers, request.body) == request.headers.get("authorization");
  }

  void answer(const HttpRequest& request, Responder& responder) {
    std::unique_lock lock(mutex_);
    ++calls;
    if (stuck) {
      lock.unlock();
      while (!responder.client_gone()) std::this_thread::sleep_for(milliseconds(1));
      return;
    }
    if (!signed_well(request)) return refuse_with(responder, "InvalidSignatureException");
    if (!refuse.empty()) {
      const std::string type = refuse.front();
      refuse.erase(refuse.begin());
      return refuse_with(responder, type);
    }
    const JsonObject body = parse_json(request.body)->as_object();
    const auto text = [&](std::string_view name) { return std::string(body.at(name).as_string()); };
    if (text("KeyId") != "alias/stoa" && text("KeyId") != kArn) return refuse_with(responder, "com.amazonaws.kms#NotFoundException");
    const std::string target(request.headers.get("x-amz-target"));
    const std::string context = body.contains("EncryptionContext") ? dump_json(body.at("EncryptionContext")) : "";
    if (target == "TrentService.DescribeKey")
      return send(responder, 200, {{"KeyMetadata", JsonObject{{"Arn", kArn}, {"KeyState", state}, {"Enabled", state == "Enabled"}}}});
    if (target == "TrentService.Encrypt")
      return send(responder, 200, {{"CiphertextBlob", to_base64(*seal_small(key_, as_bytes(context), *from_base64(text("Plaintext"))))}, {"KeyId", kArn}, {"EncryptionAlgorithm", "SYMMETRIC_DEFAULT"}});
    const auto plain = open_small(key_, as_bytes(context), *from_base64(text("CiphertextBlob")));
    if (!plain) return refuse_with(responder, "InvalidCiphertextException");
    send(responder, 200, {{"Plaintext", to_base64(*plain)}, {"KeyId", kArn}});
  }

  std::mutex mutex_;
  SecretKey key_ = *SecretKey::random();
  std::unique_ptr<HttpServer> server_;
};

struct AwsTest : testing::Test {
  FakeKms kms;
  HttpClient client;
  AwsCredentials credentials = kExample;
  AwsKeysOptions options() {
    return {.region = "eu-central-1", .key = "alias/stoa", .endpoint = kms.url(), .credentials = [this]() -> Result<AwsCredentials> { return credentials; },
            .timeout = milliseconds(2000), .pause = milliseconds(1)};
  }
};

using AwsKeysContract = AwsTest;
TEST_F(AwsKeysContract, Holds) { check_keys_contract(**open_aws_keys(client, options()), false); }

TEST_F(AwsTest, SaysWhatIsWrong) {
  const SecretKey key = *SecretKey::random();
  const auto keys = *open_aws_keys(client, options());
  kms.refuse = {"ThrottlingException", "KMSInternalException"};
  EXPECT_TRUE(keys->wrap(key, "c"));
  const struct { const char* type; ErrorCode code; } table[] = {{"AccessDeniedException", ErrorCode::kPermissionDenied}, {"DisabledException", ErrorCode::kPermissionDenied},
                                                               {"com.amazonaws.kms#NotFoundException", ErrorCode::kNotFound}, {"ValidationException", ErrorCode::kInvalidArgument}};
  for (const auto& [type, code] : table) {
    kms.refuse = {type};
    const auto refused = keys->wrap(key, "c");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, code) << type;
    EXPECT_NE(refused.error().message.find("said by the test"), std::string::npos);
  }
  kms.refuse = {"ThrottlingException", "ThrottlingException", "ThrottlingException"};
  EXPECT_EQ(keys->wrap(key, "c").error().code, ErrorCode::kUnavailable);
  kms.state = "PendingDeletion";
  EXPECT_EQ(keys->describe().error().code, ErrorCode::kPermissionDenied);
  credentials.secret_key = "another";
  const auto denied = keys->wrap(key, "c");
  EXPECT_EQ(denied.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(denied.error().message.find("another"), std::string::npos);
}

TEST_F(AwsTest, SignsTemporaryCredentialsAndBoundsItsWaits) {
  credentials.session_token = "temporary";
  EXPECT_TRUE((*open_aws_keys(client, options()))->describe());
  auto hasty = options();
  hasty.timeout = milliseconds(1000);
  hasty.attempts = 2;
  kms.stuck = true;
  kms.calls = 0;
  EXPECT_EQ((*open_aws_keys(client, hasty))->describe().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(kms.calls, 2);
  hasty.region.clear();
  EXPECT_EQ(open_aws_keys(client, hasty).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace stoa::infra
