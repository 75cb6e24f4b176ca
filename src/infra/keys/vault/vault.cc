#include "infra/keys/vault/vault.h"

#include <algorithm>
#include <thread>

#include "base/json.h"
#include "infra/crypto/encoding.h"

namespace stoa::infra {
namespace {

constexpr std::string_view kProvider = "vault";
constexpr std::uint64_t kMaxReply = 1 << 20;
constexpr std::string_view kPrefix = "vault:v";

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/'; }) &&
         !text.contains("..");
}

// What Vault says in {"errors": [...]}; its own words are short and hold no secret.
std::string complaint(const HttpResponse& reply) {
  const auto body = parse_json(reply.body);
  if (!body || !body->is_object()) return fmt::format("status {}", reply.status);
  const Json* errors = find(body->as_object(), "errors");
  if (errors == nullptr || !errors->is_array() || errors->as_array().empty() || !errors->as_array()[0].is_string()) return fmt::format("status {}", reply.status);
  return std::string(errors->as_array()[0].as_string()).substr(0, 300);
}

class VaultKeys final : public KeyManagement {
 public:
  VaultKeys(HttpSender& http, VaultOptions options) : http_(http), options_(std::move(options)) {}

  std::string_view provider() const override { return kProvider; }

  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override {
    std::string plain = to_base64(key.bytes());
    auto reply = call("POST", "encrypt/" + options_.key, JsonObject{{"plaintext", plain}, {"associated_data", to_base64(as_bytes(context))}});
    wipe(std::as_writable_bytes(std::span(plain)));
    if (!reply) return fail(std::move(reply).error());
    STOA_TRY(sealed, text_of(*reply, "ciphertext"));
    WrappedKey wrapped{std::string(kProvider), {}, Bytes(as_bytes(sealed).begin(), as_bytes(sealed).end())};
    STOA_TRY(version, version_of(sealed));
    wrapped.master = version;
    return wrapped;
  }

  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override {
    const std::string sealed(as_text(wrapped.blob));
    STOA_CHECK(version_of(sealed));
    auto reply = call("POST", "decrypt/" + options_.key, JsonObject{{"ciphertext", sealed}, {"associated_data", to_base64(as_bytes(context))}});
    if (!reply) {
      // Vault answers 400 to what it cannot decrypt, whatever the reason.
      if (reply.error().code == ErrorCode::kInvalidArgument) return fail(ErrorCode::kDataLoss, "vault: the wrapped key for {}: {}", context, reply.error().message);
      return fail(std::move(reply).error());
    }
    STOA_TRY(plain, text_of(*reply, "plaintext"));
    auto bytes = from_base64(plain);
    if (!bytes) return fail(ErrorCode::kDataLoss, "vault: the wrapped key for {} holds no key", context);
    auto key = SecretKey::from(*bytes);
    wipe(*bytes);
    if (!key) return fail(ErrorCode::kDataLoss, "vault: the wrapped key for {} holds no key", context);
    return key;
  }

  Status rotate() override {
    STOA_CHECK(call("POST", "keys/" + options_.key + "/rotate", JsonObject{}));
    return {};
  }

  Result<MasterKeyStatus> describe() override {
    STOA_TRY(reply, call("GET", "keys/" + options_.key, {}));
    MasterKeyStatus status{std::string(kProvider), fmt::format("{}/{}/{}", options_.address, options_.mount, options_.key), {}, {}};
    STOA_TRY(latest, read_int(reply, "latest_version", 1, INT64_MAX));
    if (latest) status.current = std::to_string(*latest);
    if (const Json* versions = find(reply, "keys"); versions != nullptr && versions->is_object())
      for (const auto& [version, value] : versions->as_object()) status.versions.emplace_back(version);
    std::ranges::sort(status.versions, {}, [](const std::string& version) { return std::pair(version.size(), version); });
    return status;
  }

 private:
  // The `data` of the reply; empty where there is none.
  Result<JsonObject> call(std::string method, const std::string& path, const JsonObject& body) {
    milliseconds pause = options_.pause;
    for (int attempt = 1;; ++attempt) {
      auto reply = once(method, path, body);
      if (reply || reply.error().code != ErrorCode::kUnavailable || attempt >= options_.attempts) return reply;
      std::this_thread::sleep_for(pause);
      pause *= 2;
    }
  }

  Result<JsonObject> once(const std::string& method, const std::string& path, const JsonObject& body) {
    STOA_TRY(token, options_.token());
    HttpClientRequest request{.method = method, .url = fmt::format("{}/v1/{}/{}", options_.address, options_.mount, path)};
    request.headers.add("X-Vault-Token", token);
    request.headers.add("X-Vault-Request", "true");
    if (!options_.name_space.empty()) request.headers.add("X-Vault-Namespace", options_.name_space);
    if (method == "POST") {
      request.headers.add("Content-Type", "application/json");
      request.body = dump_json(body);
    }
    request.timeouts = {options_.timeout, options_.timeout, options_.timeout, options_.timeout};
    request.max_body = kMaxReply;
    auto reply = http_.send(request);
    wipe(std::as_writable_bytes(std::span(request.body)));
    if (!reply) {
      Error problem = std::move(reply).error();
      if (problem.code == ErrorCode::kDeadlineExceeded) problem.code = ErrorCode::kUnavailable;  // its own time, not the caller's
      return fail(std::move(problem).in(kProvider));
    }
    if (reply->status >= 200 && reply->status < 300) return data_of(*reply);
    return fail(refused(*reply));
  }

  Result<JsonObject> data_of(const HttpResponse& reply) const {
    if (reply.body.empty()) return JsonObject();
    auto body = parse_json(reply.body);
    if (!body || !body->is_object()) return fail(ErrorCode::kUnavailable, "vault: {} answered with something that is not JSON", options_.address);
    const Json* data = find(body->as_object(), "data");
    return data != nullptr && data->is_object() ? data->as_object() : JsonObject();
  }

  Error refused(const HttpResponse& reply) const {
    const std::string why = complaint(reply);
    if (reply.status == 403)
      return error(ErrorCode::kPermissionDenied, "vault: {} refused the token: {}", options_.address, why)
          .with_hint(fmt::format("the token may have ended; its policy must allow {0}/encrypt/{1}, {0}/decrypt/{1} and {0}/keys/{1}", options_.mount, options_.key));
    if (reply.status == 404)
      return error(ErrorCode::kNotFound, "vault: there is no key {} at {}/{}", options_.key, options_.address, options_.mount)
          .with_hint(fmt::format("vault write -f {}/keys/{}", options_.mount, options_.key));
    if (reply.status == 429 || reply.status >= 500) return error(ErrorCode::kUnavailable, "vault: {} cannot serve now: {}", options_.address, why);
    return error(ErrorCode::kInvalidArgument, "vault: {}", why);
  }

  static Result<std::string> text_of(const JsonObject& data, std::string_view name) {
    STOA_TRY(text, read_string(data, name));
    if (!text) return fail(ErrorCode::kUnavailable, "vault: the answer has no '{}'", name);
    return *text;
  }

  // "vault:v3:..." -> "3".
  static Result<std::string> version_of(std::string_view sealed) {
    const std::size_t end = sealed.find(':', kPrefix.size());
    if (!sealed.starts_with(kPrefix) || end == std::string_view::npos || end == kPrefix.size())
      return fail(ErrorCode::kDataLoss, "vault: the wrapped key is not of the form vault:v1:...");
    return std::string(sealed.substr(kPrefix.size(), end - kPrefix.size()));
  }

  HttpSender& http_;
  const VaultOptions options_;
};

}  // namespace

Result<std::unique_ptr<KeyManagement>> open_vault_keys(HttpSender& http, VaultOptions options) {
  while (options.address.ends_with('/')) options.address.pop_back();
  if (!options.address.starts_with("https://") && !options.address.starts_with("http://"))
    return fail(ErrorCode::kInvalidArgument, "kms.vault.address: '{}' is no URL such as https://vault.example:8200", options.address);
  if (!is_name(options.mount) || !is_name(options.key) || options.key.contains('/'))
    return fail(ErrorCode::kInvalidArgument, "kms.vault: mount '{}' and key '{}' have letters, digits and -_. only", options.mount, options.key);
  return std::make_unique<VaultKeys>(http, std::move(options));
}

}  // namespace stoa::infra
