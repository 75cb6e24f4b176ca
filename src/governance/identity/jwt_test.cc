#include "governance/identity/jwt.h"

#include <gtest/gtest.h>

#include <functional>

#include "governance/identity/jwks.h"
#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

// RFC 7515, A.2 (RS256), A.3 (ES256); RFC 8037, A.4 (Ed25519).
constexpr std::string_view kKeys = R"({"keys":[
 {"kty":"RSA","kid":"rsa","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"},
 {"kty":"EC","crv":"P-256","kid":"ec","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
 {"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
 {"kty":"oct","kid":"shared","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
 {"kty":"RSA","kid":"for-encryption","use":"enc","n":"AQAB","e":"AQAB"}, 7]})";
constexpr std::string_view kRs256 =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
constexpr std::string_view kEs256 =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

TEST(Jwt, PublishedVectors) {
  const auto keys = KeySet::parse(kKeys);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_EQ(keys->size(), 3u);
  for (const std::string_view text : {kRs256, kEs256}) {
    auto jwt = parse_jwt(text);
    ASSERT_TRUE(jwt) << jwt.error().message;
    EXPECT_EQ(jwt->issuer, "joe");
    EXPECT_EQ(jwt->expires, 1'300'819'380'000'000);
    EXPECT_TRUE(keys->verify(*jwt));
    jwt->signed_text.back() ^= 1;
    EXPECT_FALSE(keys->verify(*jwt));
  }
  // RFC 8037's text is no JSON, so its signature is checked by itself.
  const auto key = infra::VerificationKey::ed25519(*infra::from_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
  const Bytes signature = *infra::from_base64url("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
  EXPECT_TRUE(key->verify(infra::SignatureScheme::kEdDsa, as_bytes("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"), signature));
}

const infra::SigningKey& signer() {
  static const auto key = *infra::SigningKey::from_seed(Bytes(32, std::byte{1}));
  return key;
}
std::string keys_of(const infra::SigningKey& key, std::string_view id) {
  return dump_json(JsonObject{{"keys", JsonArray{JsonObject{{"kty", "OKP"}, {"crv", "Ed25519"}, {"kid", id}, {"alg", "EdDSA"}, {"use", "sig"}, {"x", infra::to_base64url(key.public_key())}}}}});
}
std::string encode(std::string_view text) { return infra::to_base64url(as_bytes(text)); }
std::string signed_with(std::string_view header, std::string_view body) {
  const std::string text = encode(header) + "." + encode(body);
  return text + "." + infra::to_base64url(signer().sign(as_bytes(text)));
}

TEST(Jwt, RefusesWhatIsMalformedOrBringsItsOwnKey) {
  const std::string body = R"({"iss":"i"})", header = R"({"alg":"EdDSA","kid":"k"})";
  ASSERT_TRUE(parse_jwt(signed_with(header, body)));
  const std::string table[] = {
      "", ".", "..", "a.b.c", "eyJ.eyJ.x", std::string(20'000, 'a'), signed_with(header, body) + ".x", signed_with(header, body) + "=",
      encode(header) + "." + encode(body) + ".", encode(header) + "." + encode(body),
      signed_with(R"({"alg":"none"})", body), signed_with(R"({"alg":"None"})", body), signed_with(R"({"alg":"HS256"})", body), signed_with(R"({})", body),
      signed_with(R"({"alg":["EdDSA"]})", body), signed_with(R"([])", body), signed_with(R"({"alg":"EdDSA","crit":["exp"]})", body),
      signed_with(R"({"alg":"EdDSA","jku":"https://evil.example/keys"})", body), signed_with(R"({"alg":"EdDSA","jwk":{"kty":"OKP"}})", body),
      signed_with(R"({"alg":"EdDSA","x5u":"https://evil.example"})", body), signed_with(R"({"alg":"EdDSA","b64":false})", body),
      signed_with(R"({"alg":"EdDSA","kid":7})", body), signed_with(header, "[]"), signed_with(header, "no json"), signed_with(header, R"({"iss":7})"),
      signed_with(header, R"({"exp":"soon"})"), signed_with(header, R"({"exp":-1})"), signed_with(header, R"({"exp":1e300})"), signed_with(header, R"({"aud":{}})"),
      signed_with(header, R"({"aud":["a",7]})"), signed_with(header, R"({"nonce":[]})"), signed_with(header, std::string(30, '[') + std::string(30, ']')),
  };
  for (const auto& text : table) {
    const auto jwt = parse_jwt(text);
    ASSERT_FALSE(jwt) << text.substr(0, 100);
    EXPECT_EQ(jwt.error().code, ErrorCode::kUnauthenticated);
    EXPECT_EQ(jwt.error().message.find("evil"), std::string::npos);
  }
}

TEST(Jwt, KeysAreChosenByIdAndKind) {
  const auto keys = KeySet::parse(keys_of(signer(), "k1"));
  const auto other = KeySet::parse(keys_of(*infra::SigningKey::from_seed(Bytes(32, std::byte{2})), "k1"));
  ASSERT_TRUE(keys && other);
  const struct { std::string_view header; bool has; } table[] = {
      {R"({"alg":"EdDSA","kid":"k1"})", true}, {R"({"alg":"EdDSA"})", true}, {R"({"alg":"EdDSA","kid":"../../k1"})", false},
      {R"({"alg":"EdDSA","kid":"k1' OR '1'='1"})", false}, {R"({"alg":"RS256","kid":"k1"})", false}, {R"({"alg":"ES256","kid":"k1"})", false}};
  for (const auto& [header, has] : table) {
    const auto jwt = parse_jwt(signed_with(header, R"({"iss":"i"})"));
    ASSERT_TRUE(jwt);
    EXPECT_EQ(keys->has(*jwt), has) << header;
    EXPECT_EQ(keys->verify(*jwt), has) << header;
    EXPECT_FALSE(other->verify(*jwt));
  }
  for (const std::string_view bad : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[]})", R"({"keys":[{"kty":"oct","k":"AAAA"}]})",
                                     R"({"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]})", R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]})"})
    EXPECT_FALSE(KeySet::parse(bad)) << bad;
}

TEST(Jwt, ClaimsHaveToFitTheRules) {
  const Micros now = Micros{1'800'000'000} * 1'000'000;
  const JwtRules rules{.issuer = "https://id.example", .audiences = {"stoa", "other"}, .schemes = {}, .nonce = "n1"};
  const JsonObject good{{"iss", "https://id.example"}, {"aud", "stoa"}, {"exp", 1'800'000'300}, {"iat", 1'800'000'000}, {"nbf", 1'800'000'000}, {"nonce", "n1"}};
  const auto check = [&](std::string_view name, const std::function<void(JsonObject&)>& change, bool accepted, std::string_view type = "JWT") {
    JsonObject claims = good;
    change(claims);
    const auto jwt = parse_jwt(sign_jwt(signer(), "k1", type, claims));
    ASSERT_TRUE(jwt) << name;
    const auto checked = check_claims(*jwt, rules, now);
    EXPECT_EQ(checked.has_value(), accepted) << name << (checked ? "" : ": " + checked.error().message);
    if (!checked) {
      EXPECT_EQ(checked.error().code, ErrorCode::kUnauthenticated);
    }
  };
  const auto set = [](std::string_view name, Json value) { return [name, value](JsonObject& claims) { claims[name] = value; }; };
  const auto drop = [](std::string_view name) { return [name](JsonObject& claims) { claims.erase(name); }; };
  check("as it should be", [](JsonObject&) {}, true);
  check("an access token", [](JsonObject&) {}, true, "at+jwt");
  check("an access token, spelled out", [](JsonObject&) {}, true, "application/AT+JWT");
  check("a logout token", [](JsonObject&) {}, false, "logout+jwt");
  check("a trailing slash", set("iss", "https://id.example/"), false);
  check("no issuer", drop("iss"), false);
  check("another audience", set("aud", "billing"), false);
  check("no audience", drop("aud"), false);
  check("one of several audiences", set("aud", JsonArray{"billing", "stoa"}), true);
  check("expired within the skew", set("exp", 1'799'999'941), true);
  check("expired", set("exp", 1'799'999'940), false);
  check("no end", drop("exp"), false);
  check("begins within the skew", set("nbf", 1'800'000'060), true);
  check("begins later", set("nbf", 1'800'000'061), false);
  check("made in the future", set("iat", 1'800'000'061), false);
  check("fractions of seconds", set("exp", 1'800'000'000.5), true);
  check("another sign-in", set("nonce", "n2"), false);
  check("no nonce", drop("nonce"), false);

  JwtRules strict = rules;
  strict.schemes = {infra::SignatureScheme::kRs256};
  EXPECT_FALSE(check_claims(*parse_jwt(sign_jwt(signer(), "k1", "JWT", good)), strict, now));
}

TEST(Jwt, ClaimsByPath) {
  const auto jwt = parse_jwt(sign_jwt(signer(), "k", "JWT", JsonObject{{"realm_access", JsonObject{{"roles", JsonArray{"a", 7, "b"}}}}, {"https://x.example/g", "one"}, {"n", 7}}));
  ASSERT_TRUE(jwt);
  EXPECT_EQ(texts_claim(*jwt, "realm_access.roles"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(texts_claim(*jwt, "https://x.example/g"), (std::vector<std::string>{"one"}));
  for (const std::string_view path : {"n", "n.x", "realm_access", "realm_access.none", "none.roles", "", "."}) EXPECT_TRUE(texts_claim(*jwt, path).empty()) << path;
  EXPECT_EQ(text_claim(*jwt, "https://x.example/g"), "one");
  EXPECT_EQ(text_claim(*jwt, "n"), "");
}

TEST(Jwt, Discovery) {
  const auto document = [](std::string_view issuer, std::string_view keys) {
    return dump_json(JsonObject{{"issuer", issuer}, {"jwks_uri", keys}, {"authorization_endpoint", "https://id.example/auth"}, {"token_endpoint", "https://id.example/token"}});
  };
  const auto found = parse_discovery(document("https://id.example", "https://id.example/keys"), "https://id.example");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->keys, "https://id.example/keys");
  EXPECT_EQ(found->token, "https://id.example/token");
  EXPECT_FALSE(parse_discovery(document("https://id.example/", "https://id.example/keys"), "https://id.example"));
  EXPECT_FALSE(parse_discovery(document("https://evil.example", "https://evil.example/keys"), "https://id.example"));
  EXPECT_FALSE(parse_discovery(document("https://id.example", "http://id.example/keys"), "https://id.example"));
  EXPECT_FALSE(parse_discovery(document("https://id.example", ""), "https://id.example"));
  EXPECT_FALSE(parse_discovery("[]", "https://id.example"));
  EXPECT_EQ(discovery_url("https://id.example/tenant/"), "https://id.example/tenant/.well-known/openid-configuration");
  const struct { std::string_view url; bool fine; } table[] = {{"https://a", true}, {"http://127.0.0.1:80/x", true}, {"http://localhost:8", true}, {"http://[::1]:8", true},
                                                               {"http://a", false}, {"http://127.evil.example", false}, {"ftp://127.0.0.1", false}, {"https://u:p@a", false}, {"", false}, {"a", false}};
  for (const auto& [url, fine] : table) EXPECT_EQ(check_issuer_url(url).has_value(), fine) << url;
}

}  // namespace
}  // namespace stoa::governance
