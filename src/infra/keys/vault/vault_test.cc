// Against a small server that answers as Vault's transit engine does.
#include "infra/keys/vault/vault.h"

#include <gtest/gtest.h>

#include <map>
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

class FakeVault {
 public:
  std::vector<int> refuse;  // statuses to answer with before working again
  bool stuck = false;
  std::vector<std::string> seen;  // "POST /v1/transit/encrypt/stoa {token} {namespace}"

  FakeVault() {
    Router router;
    for (const char* method : {"GET", "POST"})
      EXPECT_TRUE(router.add(method, "/{path...}", [this](const HttpRequest& request, Responder& responder) { answer(request, responder); }));
    HttpServerOptions options;
    options.port = 0;
    server_ = *HttpServer::start(options, std::move(router));
  }
  std::string url() const { return server_->url(); }

 private:
  void answer(const HttpRequest& request, Responder& responder) {
    std::unique_lock lock(mutex_);
    seen.push_back(fmt::format("{} {} {} {}", request.method, request.path, request.headers.get("X-Vault-Token"), request.headers.get("X-Vault-Namespace")));
    if (stuck) {
      lock.unlock();
      while (!responder.client_gone()) std::this_thread::sleep_for(milliseconds(1));
      return;
    }
    if (!refuse.empty()) {
      const int status = refuse.front();
      refuse.erase(refuse.begin());
      return responder.send(HttpResponse::json(status, status == 429 ? R"({"errors":["request path \"transit/encrypt/stoa\": rate limit quota exceeded"]})" : R"({"errors":["Vault is sealed"]})"));
    }
    if (request.headers.get("X-Vault-Token") != "good-token") return responder.send(HttpResponse::json(403, R"({"errors":["permission denied"]})"));
    const std::string path = request.path;
    const auto body = request.body.empty() ? Json(JsonObject()) : *parse_json(request.body);
    const auto text = [&](std::string_view name) { return std::string(body.as_object().at(name).as_string()); };
    if (path == "/v1/transit/keys/stoa/rotate") {
      keys_[static_cast<int>(keys_.size()) + 1] = *SecretKey::random();
      return responder.send({204, {}, ""});
    }
    if (path == "/v1/transit/keys/stoa") {
      JsonObject versions;
      for (const auto& [version, key] : keys_) versions[std::to_string(version)] = 1442851412;
      return responder.send(HttpResponse::json(200, dump_json(JsonObject{{"data", JsonObject{{"type", "aes256-gcm96"}, {"latest_version", keys_.size()}, {"keys", versions}}}})));
    }
    if (path == "/v1/transit/encrypt/stoa") {
      const auto aad = *from_base64(text("associated_data"));
      const auto sealed = *seal_small(keys_.rbegin()->second, aad, *from_base64(text("plaintext")));
      return responder.send(HttpResponse::json(200, dump_json(JsonObject{{"data", JsonObject{{"ciphertext", fmt::format("vault:v{}:{}", keys_.size(), to_base64(sealed))}, {"key_version", keys_.size()}}}})));
    }
    if (path == "/v1/transit/decrypt/stoa") {
      const std::string sealed = text("ciphertext");
      const std::size_t colon = sealed.find(':', 7);
      const auto key = keys_.find(std::atoi(sealed.c_str() + 7));
      const auto bytes = colon == std::string::npos ? Result<Bytes>(Bytes()) : from_base64(sealed.substr(colon + 1));
      const auto plain = key == keys_.end() || !bytes ? Result<Bytes>(fail(ErrorCode::kDataLoss, "no")) : open_small(key->second, *from_base64(text("associated_data")), *bytes);
      if (!plain) return responder.send(HttpResponse::json(400, R"({"errors":["cipher: message authentication failed"]})"));
      return responder.send(HttpResponse::json(200, dump_json(JsonObject{{"data", JsonObject{{"plaintext", to_base64(*plain)}}}})));
    }
    responder.send(HttpResponse::json(404, R"({"errors":[]})"));
  }

  std::mutex mutex_;
  std::map<int, SecretKey> keys_{{1, *SecretKey::random()}};
  std::unique_ptr<HttpServer> server_;
};

struct VaultTest : testing::Test {
  FakeVault vault;
  HttpClient client;
  std::string token = "good-token";
  VaultOptions options(std::string key = "stoa") {
    return {.address = vault.url() + "/", .key = std::move(key), .token = [this]() -> Result<std::string> { return token; }, .timeout = milliseconds(2000), .pause = milliseconds(1)};
  }
};

using VaultKeysContract = VaultTest;
TEST_F(VaultKeysContract, Holds) { check_keys_contract(**open_vault_keys(client, options())); }

TEST_F(VaultTest, SaysWhatIsWrong) {
  const SecretKey key = *SecretKey::random();
  auto with = options();
  with.name_space = "team";
  const auto keys = *open_vault_keys(client, with);
  ASSERT_TRUE(keys->wrap(key, "c"));
  EXPECT_EQ(vault.seen.back(), "POST /v1/transit/encrypt/stoa good-token team");
  vault.refuse = {429, 503};
  EXPECT_TRUE(keys->wrap(key, "c")) << "throttled, then sealed, then well";
  vault.refuse = {503, 503, 503};
  const auto sealed = keys->wrap(key, "c");
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(sealed.error().message.find("Vault is sealed"), std::string::npos);
  token = "old-token";
  const auto denied = keys->describe();
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ((denied.error().message + denied.error().hint).find("old-token"), std::string::npos) << "a token is a secret";
  token = "good-token";
  const auto missing = (*open_vault_keys(client, options("other")))->describe();
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().hint.find("vault write -f transit/keys/other"), std::string::npos);
}

TEST_F(VaultTest, WaitsAreBounded) {
  auto hasty = options();
  hasty.timeout = milliseconds(1000);
  hasty.attempts = 2;
  vault.stuck = true;
  EXPECT_EQ((*open_vault_keys(client, hasty))->describe().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(vault.seen.size(), 2u);
  hasty.address = "http://127.0.0.1:1";
  EXPECT_EQ((*open_vault_keys(client, hasty))->describe().error().code, ErrorCode::kUnavailable);
}

TEST_F(VaultTest, RefusesOddSettings) {
  for (const auto& [address, mount, key] : {std::tuple{"vault:8200", "transit", "stoa"}, {"https://v", "../sys", "stoa"}, {"https://v", "transit", "a/b"}, {"https://v", "transit", ""}}) {
    auto odd = options();
    odd.address = address;
    odd.mount = mount;
    odd.key = key;
    EXPECT_EQ(open_vault_keys(client, odd).error().code, ErrorCode::kInvalidArgument) << address << mount << key;
  }
}

}  // namespace
}  // namespace stoa::infra
