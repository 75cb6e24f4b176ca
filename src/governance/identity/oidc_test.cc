#include "governance/identity/oidc.h"

#include <gtest/gtest.h>

#include <future>
#include <map>

#include "governance/access/test_access.h"
#include "governance/identity/identity.h"
#include "infra/crypto/encoding.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

constexpr Micros kSecond = 1'000'000, kHour = 3600 * kSecond;
constexpr std::string_view kIssuer = "https://id.example";

class TestClock final : public Clock {
 public:
  Micros now() const override { return time; }
  Micros time = 1'800'000'000 * kSecond;
};

infra::SigningKey key_of(int seed) { return *infra::SigningKey::from_seed(Bytes(32, static_cast<std::byte>(seed))); }

// An issuer whose keys can be changed, and that can go away.
struct Issuer {
  std::map<std::string, infra::SigningKey> keys{{"k1", key_of(1)}};
  bool reachable = true;
  int fetched = 0;

  Result<std::string> get(const std::string& url) {
    ++fetched;
    if (!reachable) return fail(ErrorCode::kUnavailable, "id.example: nothing answers");
    if (url == "https://id.example/.well-known/openid-configuration") return dump_json(JsonObject{{"issuer", kIssuer}, {"jwks_uri", "https://id.example/keys"}});
    if (url != "https://id.example/keys") return fail(ErrorCode::kNotFound, "{}: status 404", url);
    JsonArray list;
    for (const auto& [id, key] : keys) list.push_back(JsonObject{{"kty", "OKP"}, {"crv", "Ed25519"}, {"kid", id}, {"x", infra::to_base64url(key.public_key())}});
    return dump_json(JsonObject{{"keys", list}});
  }
  FetchDocument fetcher() {
    return [this](const std::string& url) { return get(url); };
  }
};

class IssuerKeysTest : public testing::Test {
 protected:
  ErrorCode verify(std::string_view kid, int seed) {
    const auto jwt = parse_jwt(sign_jwt(key_of(seed), kid, "JWT", JsonObject{{"iss", kIssuer}}));
    const auto verified = keys_.verify(*jwt);
    return verified ? ErrorCode{} : verified.error().code;
  }
  static constexpr ErrorCode kFine{};

  TestClock clock_;
  Issuer issuer_;
  IssuerKeys keys_{std::string(kIssuer), issuer_.fetcher(), clock_};
};

TEST_F(IssuerKeysTest, FetchesOnceAndThenWorksFromMemory) {
  EXPECT_EQ(verify("k1", 1), kFine);
  EXPECT_EQ(issuer_.fetched, 2);  // the description and the keys
  EXPECT_EQ(verify("k1", 1), kFine);
  EXPECT_EQ(verify("k1", 2), ErrorCode::kUnauthenticated);  // another's signature under a known id asks nobody
  EXPECT_EQ(issuer_.fetched, 2);
}

TEST_F(IssuerKeysTest, FollowsARotationAtMostOnceInAWhile) {
  EXPECT_EQ(verify("k1", 1), kFine);
  clock_.time += 11 * kSecond;
  issuer_.keys.emplace("k2", key_of(2));
  EXPECT_EQ(verify("k2", 2), kFine);
  EXPECT_EQ(issuer_.fetched, 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(verify(fmt::format("guess{}", i), 2), ErrorCode::kUnauthenticated);
  EXPECT_EQ(issuer_.fetched, 3);
  issuer_.keys.erase("k1");  // withdrawn
  clock_.time += 301 * kSecond;
  EXPECT_TRUE(keys_.refresh());
  EXPECT_EQ(verify("k1", 1), ErrorCode::kUnauthenticated);
}

TEST_F(IssuerKeysTest, OutlivesAnIssuerThatIsAwayForABoundedTime) {
  EXPECT_EQ(verify("k1", 1), kFine);
  issuer_.reachable = false;
  clock_.time += kHour;
  EXPECT_FALSE(keys_.refresh());
  EXPECT_EQ(verify("k1", 1), kFine);
  EXPECT_EQ(verify("k2", 2), ErrorCode::kUnavailable);  // perhaps a new key: nobody can tell
  clock_.time += 24 * kHour;
  EXPECT_EQ(verify("k1", 1), ErrorCode::kUnavailable);
  issuer_.reachable = true;
  EXPECT_EQ(verify("k1", 1), ErrorCode::kUnavailable);  // the last attempt was just now
  clock_.time += 11 * kSecond;
  EXPECT_EQ(verify("k1", 1), kFine);
}

constexpr std::string_view kProviders = R"(providers:
  - name: corp
    issuer: https://id.example
    audience: [stoa]
    client_id: stoa-cli
    role: viewer
    groups: {"Engineering Team": eng}
    roles: {platform: operator, eng: developer}
    clients:
      - {id: ci, role: developer, scopes: [dataset.read]}
      - {id: robot, subject: 1234-5678, name: robot-account, role: viewer}
)";

TEST(Providers, FileIsRead) {
  const auto providers = parse_providers(kProviders, "providers.yaml");
  ASSERT_TRUE(providers) << providers.error().message;
  ASSERT_EQ(providers->size(), 1u);
  const OidcProvider& provider = providers->front();
  EXPECT_EQ(provider.audiences, std::vector<std::string>{"stoa"});
  EXPECT_EQ(provider.clients.size(), 2u);
  EXPECT_EQ(provider.clients[0].subject, "ci");
  EXPECT_TRUE(parse_providers("", "x")->empty());

  const std::string start = "providers:\n  - name: a\n    issuer: https://a\n    audience: stoa\n";
  ASSERT_TRUE(parse_providers(start, "x"));
  const std::string table[] = {"providers:\n  - name: a\n    issuer: https://a\n", "providers:\n  - name: a\n    issuer: http://a\n    audience: stoa\n",
                               start + "    isuer: x\n", start + "    algorithms: [none]\n", start + "    algorithms: HS256\n", start + "    audience: []\n",
                               start + start.substr(11), start + "    clients: [{id: x}]\n", start + "    groups: {a: 'b c'}\n", start + "    provision: perhaps\n", "prviders: []\n"};
  for (const auto& text : table) {
    const auto refused = parse_providers(text, "x.yaml");
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find("x.yaml:"), std::string::npos) << refused.error().message;
  }
}

TEST(Providers, ClaimsBecomeNames) {
  const OidcProvider provider = parse_providers(kProviders, "x")->front();
  const auto map = [&](const JsonObject& claims) { return map_claims(provider, *parse_jwt(sign_jwt(key_of(1), "k1", "JWT", claims))); };

  const auto ann = map({{"sub", "1"}, {"preferred_username", "ann"}, {"groups", JsonArray{"Engineering Team", "hr", "no name!"}}});
  ASSERT_TRUE(ann);
  EXPECT_EQ(ann->name, "ann");
  EXPECT_EQ(ann->groups, (std::vector<std::string>{"eng", "hr"}));
  EXPECT_EQ(ann->role, "developer");
  EXPECT_FALSE(ann->service);
  EXPECT_EQ(map({{"sub", "1"}, {"preferred_username", "bob"}, {"groups", JsonArray{"eng", "platform"}}})->role, "operator");  // the first line that fits
  EXPECT_EQ(map({{"sub", "1"}, {"preferred_username", "bob"}})->role, "viewer");
  EXPECT_EQ(map({{"sub", "1"}, {"email", "eve@x.example"}, {"email_verified", true}})->name, "eve@x.example");

  const auto ci = map({{"sub", "ci"}, {"client_id", "ci"}});
  ASSERT_TRUE(ci);
  EXPECT_TRUE(ci->service);
  EXPECT_EQ(ci->scopes, std::vector<std::string>{"dataset.read"});
  EXPECT_EQ(map({{"azp", "ci"}})->name, "ci");
  EXPECT_EQ(map({{"sub", "1234-5678"}, {"azp", "robot"}})->name, "robot-account");

  for (const JsonObject& claims : {JsonObject{}, {{"sub", "1"}}, {{"sub", "1"}, {"email", "ann@x.example"}}, {{"sub", "1"}, {"email", "ann@x.example"}, {"email_verified", "true"}},
                                   {{"sub", "1"}, {"preferred_username", "a b"}}, {{"sub", "other"}, {"client_id", "other"}}, {{"sub", "ci"}, {"client_id", "other"}},
                                   {{"sub", "7"}, {"client_id", "ci"}}})
    EXPECT_EQ(map(claims).error().code, ErrorCode::kPermissionDenied) << dump_json(claims);

  OidcProvider strict = provider;
  strict.role.clear();
  EXPECT_FALSE(map_claims(strict, *parse_jwt(sign_jwt(key_of(1), "k", "JWT", {{"sub", "1"}, {"preferred_username", "bob"}}))));
}

class OidcContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(identity_->ensure_default());
    open(std::string(kProviders));
  }
  void open(const std::string& file) {
    auto opened = OidcUsers::open(*parse_providers(file, "x"), *external_, issuer_.fetcher(), clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    oidc_ = std::move(*opened);
  }
  std::string token(JsonObject claims, int seed = 1, std::string_view kid = "k1") const {
    for (const auto& [name, value] : JsonObject{{"iss", kIssuer}, {"aud", "stoa"}, {"exp", clock_.time / kSecond + 600}})
      if (!claims.contains(name)) claims[name] = value;
    return sign_jwt(key_of(seed), kid, "JWT", claims);
  }
  std::string ann(JsonArray groups = {"eng"}) const { return token({{"sub", "1"}, {"preferred_username", "ann"}, {"groups", std::move(groups)}}); }
  Result<Principal> sign_in(const std::string& text) {
    if (auto known = oidc_->known(text)) return *known;
    STOA_TRY(jwt, parse_jwt(text));
    return oidc_->authenticate(text, jwt);
  }
  ErrorCode refused(const std::string& text) {
    const auto principal = sign_in(text);
    EXPECT_FALSE(principal);
    return principal ? ErrorCode::kInternal : principal.error().code;
  }
  std::size_t audited(std::string action) {
    AuditQuery query;
    query.action = std::move(action);
    return audit_->query(query)->size();
  }

  TestClock clock_;
  Issuer issuer_;
  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<AuditLog> audit_ = *AuditLog::open(*database_, clock_);
  std::unique_ptr<Access> access_ = access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<Identity> identity_ = *Identity::open(*database_, *audit_, *access_, Bytes(32, std::byte{7}), clock_);
  std::unique_ptr<ExternalUsers> external_ = *ExternalUsers::open(*database_, *audit_, clock_);
  std::unique_ptr<OidcUsers> oidc_;
};
INSTANTIATE_TEST_SUITE_P(, OidcContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(OidcContract, ProvidersAreReplacedWhileItRuns) {
  ASSERT_TRUE(sign_in(ann()));
  const std::string text = ann();
  EXPECT_EQ(sign_in(text)->role, "developer");
  // Other rules: also for a token that is remembered, and with the keys that are known.
  std::string changed(kProviders);
  changed.replace(changed.find("eng: developer"), 14, "eng: auditor");
  const FetchDocument nowhere = [](const std::string&) -> Result<std::string> { return fail(ErrorCode::kUnavailable, "the network is down"); };
  ASSERT_TRUE(oidc_->replace(*parse_providers(changed, "x"), nowhere));
  EXPECT_EQ(sign_in(text)->role, "auditor");
  // What is wrong changes nothing.
  std::string wrong(kProviders);
  wrong.replace(wrong.find("[dataset.read]"), 14, "[data.read]");
  EXPECT_EQ(oidc_->replace(*parse_providers(wrong, "x"), nowhere).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(sign_in(text)->role, "auditor");
  // The provider is gone, and comes back: its keys are fetched anew.
  ASSERT_TRUE(oidc_->replace({}, nowhere));
  EXPECT_TRUE(oidc_->providers()->empty());
  EXPECT_EQ(refused(text), ErrorCode::kUnauthenticated);
  ASSERT_TRUE(oidc_->replace(*parse_providers(kProviders, "x"), issuer_.fetcher()));
  EXPECT_EQ(sign_in(text)->role, "developer");
}

TEST_P(OidcContract, TheThreadAsksForProvidersBeforeKeys) {
  std::promise<void> asked_again;
  int asked = 0;
  ASSERT_TRUE(oidc_->replace({}, issuer_.fetcher()));
  oidc_->start([&] {
    if (++asked == 1) static_cast<void>(oidc_->replace(*parse_providers(kProviders, "x"), issuer_.fetcher()));
    if (asked == 2) asked_again.set_value();
  }, milliseconds(3'600'000));
  oidc_->hurry();
  auto done = asked_again.get_future();
  while (done.wait_for(milliseconds(1)) != std::future_status::ready) oidc_->hurry();
  EXPECT_EQ(sign_in(ann())->role, "developer");
  oidc_.reset();
}

TEST_P(OidcContract, UsersAreMadeOnceAndRecognised) {
  const auto first = sign_in(ann());
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_TRUE(first->id.starts_with("user_"));
  EXPECT_EQ(first->user, "ann");
  EXPECT_EQ(first->groups, std::vector<std::string>{"eng"});
  EXPECT_EQ(first->tenant, identity_->ensure_default()->tenant.id);
  EXPECT_EQ(audited("identity.user.provision"), 1u);
  const auto again = sign_in(ann({"eng", "hr"}));
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(again->groups, (std::vector<std::string>{"eng", "hr"}));
  EXPECT_EQ(audited("identity.user.provision"), 1u);
  EXPECT_EQ(audited("identity.user.groups"), 1u);
  const auto robot = sign_in(token({{"sub", "ci"}, {"client_id", "ci"}}));
  ASSERT_TRUE(robot) << robot.error().message;
  EXPECT_EQ(robot->scopes, std::vector<std::string>{"dataset.read"});
  EXPECT_NE(robot->id, first->id);
}

TEST_P(OidcContract, ADisabledUserIsOutAtOnce) {
  const std::string text = ann();
  ASSERT_TRUE(sign_in(text));
  ASSERT_TRUE(database_->execute("UPDATE users SET disabled = 1 WHERE name = 'ann'"));
  EXPECT_EQ(refused(text), ErrorCode::kUnauthenticated);  // though it is remembered
  EXPECT_EQ(refused(ann({"hr"})), ErrorCode::kUnauthenticated);
  ASSERT_TRUE(database_->execute("UPDATE users SET disabled = 0 WHERE name = 'ann'"));
  EXPECT_TRUE(sign_in(text));
}

TEST_P(OidcContract, NobodyBecomesAnotherByTheirName) {
  const std::string tenant = identity_->ensure_default()->tenant.id;
  ASSERT_TRUE(database_->execute("INSERT INTO users (id, tenant, name, created) VALUES ('user_local', ?, 'ann', 0)", {tenant}));
  EXPECT_EQ(refused(ann()), ErrorCode::kPermissionDenied);
  open(std::string(kProviders) + "    link_existing: true\n");
  const auto linked = sign_in(ann());
  ASSERT_TRUE(linked) << linked.error().message;
  EXPECT_EQ(linked->id, "user_local");
  EXPECT_EQ(audited("identity.user.link"), 1u);
  EXPECT_EQ(refused(token({{"sub", "2"}, {"preferred_username", "ann"}})), ErrorCode::kPermissionDenied);  // who renamed themselves
}

TEST_P(OidcContract, ProvisioningCanBeOff) {
  open(std::string(kProviders) + "    provision: false\n");
  EXPECT_EQ(refused(ann()), ErrorCode::kPermissionDenied);
  open(std::string(kProviders) + "    tenant: nowhere\n");
  EXPECT_EQ(refused(ann()), ErrorCode::kUnavailable);
}

TEST_P(OidcContract, RefusesTokensOfOthers) {
  ASSERT_TRUE(sign_in(ann()));
  const int fetched = issuer_.fetched;
  const JsonObject claims{{"sub", "1"}, {"preferred_username", "ann"}};
  const auto with = [&](std::string_view name, Json value) {
    JsonObject changed = claims;
    changed[name] = value;
    return token(changed);
  };
  EXPECT_EQ(refused(with("aud", "billing")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(refused(with("iss", "https://evil.example")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(refused(with("exp", 1'799'999'000)), ErrorCode::kUnauthenticated);
  EXPECT_EQ(refused(token(claims, 2)), ErrorCode::kUnauthenticated);
  EXPECT_EQ(refused(token(claims, 2, "k9")), ErrorCode::kUnauthenticated);
  EXPECT_EQ(refused("eyJ.eyJ.x"), ErrorCode::kUnauthenticated);
  EXPECT_EQ(issuer_.fetched, fetched);  // none of them made the server ask
  std::string text = ann();
  text.back() = text.back() == 'A' ? 'B' : 'A';
  EXPECT_EQ(refused(text), ErrorCode::kUnauthenticated);
}

TEST_P(OidcContract, AnExpiredTokenIsForgotten) {
  const std::string text = ann();
  ASSERT_TRUE(sign_in(text));
  issuer_.reachable = false;
  clock_.time += 659 * kSecond;
  EXPECT_TRUE(sign_in(text));
  clock_.time += kSecond;
  EXPECT_EQ(refused(text), ErrorCode::kUnauthenticated);
}

}  // namespace
}  // namespace stoa::governance
