// Service accounts against a token place that checks what it is sent.
#include "gateway/providers/access_tokens.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "gateway/providers/test_replay.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/public_key.h"
#include "infra/crypto/test_rsa.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

constexpr Micros kSecond = 1'000'000;
const infra::TestRsaKey kPair;

std::string account(std::string_view token_uri = "https://oauth.example/token") {
  return dump_json(JsonObject{{"type", "service_account"}, {"private_key_id", "k1"}, {"private_key", kPair.private_pem}, {"client_email", "me@project.example"}, {"token_uri", token_uri}});
}

struct TestClock final : Clock {
  std::atomic<Micros> time{1'700'000'000 * kSecond};
  Micros now() const override { return time; }
};

// Gives tokens "token-1", "token-2", ... to assertions that are signed well.
struct TokenPlace final : infra::HttpSender {
  explicit TokenPlace(const TestClock& when) : clock(when) {}
  const TestClock& clock;
  std::atomic<int> asked = 0, failing = 0;
  std::atomic<bool> wait = false;
  std::string reply;  // instead of a token
  int lifetime = 3600;
  std::string last;   // what the token's user asked

  Result<int> stream(const infra::HttpClientRequest& request, const infra::HttpStream& to) override {
    if (request.url != "https://oauth.example/token") {
      last = request.headers.get("authorization");
      STOA_CHECK(to.on_head(200, {}));
      to.on_data("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Yes\"}]},\"finishReason\":\"STOP\"}]}\n\n");
      return 200;
    }
    const int number = ++asked;
    while (wait) std::this_thread::sleep_for(milliseconds(1));
    if (failing > 0) {
      --failing;
      STOA_CHECK(to.on_head(400, {}));
      to.on_data(R"({"error":"invalid_grant","error_description":"Invalid JWT Signature."})");
      return 400;
    }
    STOA_CHECK(to.on_head(200, {}));
    to.on_data(!reply.empty() ? reply : checked(request) ? fmt::format(R"({{"access_token":"token-{}","expires_in":{},"token_type":"Bearer"}})", number, lifetime) : "{}");
    return 200;
  }

  bool checked(const infra::HttpClientRequest& request) const {
    const auto form = infra::parse_query(request.body);
    const std::string_view grant = infra::find_value(*form, "grant_type").value_or(""), jwt = infra::find_value(*form, "assertion").value_or("");
    const auto end = jwt.rfind('.');
    const auto key = infra::VerificationKey::rsa(kPair.modulus, kPair.exponent);
    if (request.method != "POST" || grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" || end == std::string_view::npos) return false;
    if (!key->verify(infra::SignatureScheme::kRs256, as_bytes(jwt.substr(0, end)), *infra::from_base64url(jwt.substr(end + 1)))) return false;
    const auto dot = jwt.find('.');
    const JsonObject head = parse_json(as_text(*infra::from_base64url(jwt.substr(0, dot))))->as_object(), claims = parse_json(as_text(*infra::from_base64url(jwt.substr(dot + 1, end - dot - 1))))->as_object();
    const std::int64_t now = clock.now() / kSecond;
    return head.at("alg") == "RS256" && head.at("kid") == "k1" && claims.at("iss") == "me@project.example" && claims.at("aud") == "https://oauth.example/token" &&
           claims.at("scope") == "https://www.googleapis.com/auth/cloud-platform" && claims.at("iat") == now && claims.at("exp") == now + 3600;
  }
};

struct Tokens : testing::Test {
  TestClock clock;
  TokenPlace place{clock};
  AccessTokens tokens{clock};
  std::string get(const std::string& credential = account()) {
    const auto token = tokens.get(credential, place, {});
    return token ? *token : token.error().message;
  }
};

TEST_F(Tokens, AreKeptUntilShortlyBeforeTheirEnd) {
  EXPECT_EQ(get(), "token-1");
  clock.time += 3290 * kSecond;
  EXPECT_EQ(get(), "token-1");
  clock.time += 20 * kSecond;
  EXPECT_EQ(get(), "token-2");
  EXPECT_EQ(get(account("https://oauth.example/token") + " "), "token-3");  // another credential
  EXPECT_EQ(place.asked, 3);
}

TEST_F(Tokens, AFailureLeavesTheOldOneInUse) {
  EXPECT_EQ(get(), "token-1");
  clock.time += 3400 * kSecond;
  place.failing = 1;
  EXPECT_EQ(get(), "token-1");
  EXPECT_EQ(get(), "token-1");  // and nobody asks again at once
  EXPECT_EQ(place.asked, 2);
  clock.time += 40 * kSecond;
  EXPECT_EQ(get(), "token-3");
  clock.time += 3590 * kSecond;  // it is sent no more
  place.failing = 1;
  EXPECT_EQ(get(), "https://oauth.example/token answered 400: Invalid JWT Signature.");
  EXPECT_EQ(get(), "token-5");
}

TEST_F(Tokens, OneAsksForAll) {
  place.wait = true;
  std::vector<std::jthread> callers;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) callers.emplace_back([&] { right += get() == "token-1"; });
  while (place.asked == 0) std::this_thread::yield();
  place.wait = false;
  callers.clear();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(place.asked, 1);
}

TEST_F(Tokens, OddAnswersAreNoTokens) {
  for (const std::string reply : {"{}", "<html>", "[]", R"({"access_token":""})", R"({"access_token":"a b"})", "{\"access_token\":\"a\\nb\"}"}) {
    place.reply = reply;
    EXPECT_EQ(get(), "https://oauth.example/token answered without a token") << reply;
  }
  place.reply = R"({"access_token":"brief","expires_in":"soon"})";
  EXPECT_EQ(get(), "brief");
  EXPECT_EQ(get(), "brief");
  EXPECT_EQ(place.asked, 8);  // how long it is good is not known, so it is not kept
}

TEST_F(Tokens, WhatAnAccountHasToHave) {
  EXPECT_EQ(get("{"), "the service account is no JSON object");
  EXPECT_EQ(get("{}"), "the service account has no client_email");
  EXPECT_EQ(get(R"({"client_email":"a"})"), "the service account has no private_key");
  EXPECT_EQ(get(R"({"client_email":"a","private_key":"b","token_uri":"ftp://x"})"), "the service account has no token_uri");
  EXPECT_EQ(get(R"({"client_email":"a","private_key":"b","token_uri":"https://x"})"), "the service account has a private_key that cannot be used");
  EXPECT_EQ(tokens.get("{}", place, {}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(place.asked, 0);
}

TEST_F(Tokens, ModelsAreAskedWithThem) {
  ProviderTarget target = target_of("vertex");
  target.url = "https://eu-1-aiplatform.example/v1/projects/p/locations/eu-1/publishers/google";
  target.credential = [] { return Result<std::string>(account()); };
  target.tokens = std::make_shared<AccessTokens>(clock);
  const auto ask = [&] { return (*open_provider(target, place))->generate({}, question(), [](const ChatDelta&) { return true; }); };
  EXPECT_TRUE(ask());
  EXPECT_EQ(place.last, "Bearer token-1");
  EXPECT_TRUE(ask());
  EXPECT_EQ(place.asked, 1);
  target.tokens = std::make_shared<AccessTokens>(clock);
  place.failing = 1;
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.error().message, "provider up: https://oauth.example/token answered 400: Invalid JWT Signature.");
}

}  // namespace
}  // namespace stoa::gateway
