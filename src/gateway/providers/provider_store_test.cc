#include "gateway/providers/provider_store.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/error_table.h"
#include "governance/access/test_access.h"
#include "governance/protection/memory_protection.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::gateway {
namespace {

using governance::Action;

class ProviderStoreContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  static Principal principal(std::string id, std::string project = "proj_a") { return {id, "tenant_a", std::move(project), id + "-user", {}, "admin"}; }
  governance::Permit permit(const Call& call) const { return *access_->check(call, Action::kModelManage, governance::Resource::of(call.principal, "provider")); }
  static Provider cloud(std::string name = "cloud") {
    return {.name = std::move(name), .family = "openai", .url = "https://api.example/v1", .options = {{"server", "vllm"}}, .models = {{"big", 1000}, {"small"}}, .residency = "eu-1", .on_prem = true};
  }
  std::string code(const auto& result) { return result ? "ok" : std::string(error_info(result.error().code).name); }
  std::string credential(const std::string& project, const Provider& provider) {
    auto read = store_->target(project, provider, provider.models.front()).credential();
    return read ? *read : "failed: " + read.error().message;
  }

  std::unique_ptr<governance::Access> access_ = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  governance::MemoryProtection protection_{*database_};
  std::unique_ptr<governance::AuditLog> audit_ = *governance::AuditLog::open(*database_);
  std::unique_ptr<ProviderStore> store_ = *ProviderStore::open(*database_, *protection_.sealer, *audit_);
  const Call ann_ = Call::of(principal("key_ann")), eve_ = Call::of(principal("key_eve", "proj_b"));
};

INSTANTIATE_TEST_SUITE_P(, ProviderStoreContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(ProviderStoreContract, KeepsProvidersOfAProject) {
  const auto added = store_->add(permit(ann_), ann_, cloud());
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(code(store_->add(permit(ann_), ann_, cloud())), "conflict");
  EXPECT_EQ(code(store_->add(permit(eve_), eve_, cloud())), "ok");  // names are a project's own
  const auto read = store_->get(permit(ann_), "cloud");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->url + read->family + read->residency + read->options.at("server"), "https://api.example/v1openaieu-1vllm");
  EXPECT_TRUE(read->on_prem);
  EXPECT_EQ(read->models, (std::vector<ProviderModel>{{"big", 1000}, {"small", kDefaultContext}}));
  EXPECT_FALSE(read->credential_set);
  EXPECT_EQ(code(store_->get(permit(ann_), "other")), "not_found");
  EXPECT_EQ(code(store_->remove(permit(ann_), ann_, "cloud")), "ok");
  EXPECT_EQ(code(store_->remove(permit(ann_), ann_, "cloud")), "not_found");
  EXPECT_EQ(store_->list(permit(ann_))->size(), 0u);
  EXPECT_EQ(store_->list(permit(eve_))->size(), 1u);
}

TEST_P(ProviderStoreContract, SeesWhatOtherProcessesChange) {
  const auto elsewhere = *ProviderStore::open(*database_, *protection_.sealer, *audit_);
  const auto soon = [&](std::string_view what, const std::function<bool()>& seen) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!seen() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(5));
    EXPECT_TRUE(seen()) << what;
  };
  ASSERT_TRUE(store_->of_project("proj_a"));
  const std::uint64_t before = store_->generation();
  ASSERT_TRUE(elsewhere->add(permit(ann_), ann_, cloud()));
  soon("added", [&] { return (*store_->of_project("proj_a"))->size() == 1; });
  EXPECT_GT(store_->generation(), before) << "what was made of the providers before does not hold any more";
  for (const std::string key : {"sk-one", "sk-two"}) {
    ASSERT_TRUE(elsewhere->set_credential(permit(ann_), ann_, "cloud", key));
    soon(key, [&] { return credential("proj_a", cloud()) == key; });
  }
  ASSERT_TRUE(elsewhere->remove(permit(ann_), ann_, "cloud"));
  soon("removed", [&] { return (*store_->of_project("proj_a"))->empty(); });
  const std::uint64_t after = store_->generation();
  std::this_thread::sleep_for(2 * ProviderStore::kRefresh);
  EXPECT_EQ(store_->generation(), after) << "nothing has changed";
}

TEST_P(ProviderStoreContract, ChecksWhatItIsGiven) {
  const std::pair<std::string_view, std::function<void(Provider&)>> table[] = {
      {"name", [](Provider& p) { p.name = "Up"; }},          {"name", [](Provider& p) { p.name = ""; }},
      {"family", [](Provider& p) { p.family = "x"; }},       {"url", [](Provider& p) { p.url = "file:///etc/passwd"; }},
      {"options", [](Provider& p) { p.options = {{"x", "y"}}; }}, {"models", [](Provider& p) { p.models = {{"a"}, {"a"}}; }},
      {"models", [](Provider& p) { p.models = {{"a b"}}; }},  {"models", [](Provider& p) { p.models = {{"a", 0}}; }},
      {"models", [](Provider& p) { p.models.assign(1001, {"a"}); }}, {"residency", [](Provider& p) { p.residency = "a\nb"; }},
  };
  for (const auto& [param, spoil] : table) {
    Provider provider = cloud();
    spoil(provider);
    const auto refused = store_->add(permit(ann_), ann_, provider);
    ASSERT_FALSE(refused) << param;
    EXPECT_EQ(refused.error().param, param);
  }
  ASSERT_TRUE(store_->add(permit(ann_), ann_, cloud()));
  for (const std::string_view bad : {"", "two\nlines", "caf\xc3\xa9"}) EXPECT_EQ(code(store_->set_credential(permit(ann_), ann_, "cloud", bad)), "invalid_argument");
  EXPECT_EQ(code(store_->set_credential(permit(ann_), ann_, "cloud", std::string((16u << 10) + 1, 'a'))), "invalid_argument");
  EXPECT_EQ(code(store_->set_credential(permit(ann_), ann_, "none", "x")), "not_found");
  ASSERT_TRUE(database_->transaction([](infra::SqlTransaction& transaction) -> Status {
    for (std::size_t i = 1; i < ProviderStore::kMaxProviders; ++i)
      STOA_CHECK(transaction.execute("INSERT INTO providers (id, tenant, project, name, family, url, options, models, residency, on_prem, created, updated) "
                                     "SELECT id || ?, tenant, project, name || ?, family, url, options, models, residency, on_prem, created, updated FROM providers WHERE name = 'cloud'",
                                     {static_cast<std::int64_t>(i), static_cast<std::int64_t>(i)}));
    return {};
  }));
  EXPECT_EQ(code(store_->add(permit(ann_), ann_, cloud("one-more"))), "resource_exhausted");
}

TEST_P(ProviderStoreContract, CredentialsAreSealedAndReadAtOnce) {
  const Provider provider = *store_->add(permit(ann_), ann_, cloud());
  ASSERT_TRUE(store_->add(permit(eve_), eve_, cloud()));
  EXPECT_EQ(credential("proj_a", provider), "");
  ASSERT_TRUE(store_->set_credential(permit(ann_), ann_, "cloud", "sk-first"));
  EXPECT_EQ(credential("proj_a", provider), "sk-first");
  EXPECT_EQ(credential("proj_b", provider), "");
  EXPECT_TRUE(store_->get(permit(ann_), "cloud")->credential_set);
  const auto again = store_->set_credential(permit(ann_), ann_, "cloud", "sk-second");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(credential("proj_a", provider), "sk-second");
  const auto rows = database_->query("SELECT sealed FROM provider_credentials");
  ASSERT_EQ(rows->size(), 1u);
  const Bytes sealed = *rows->front().get<Bytes>(0);
  EXPECT_FALSE(std::string_view(reinterpret_cast<const char*>(sealed.data()), sealed.size()).contains("sk-second"));
}

TEST_P(ProviderStoreContract, ACredentialDoesNotMoveToAnotherPlace) {
  Provider provider = *store_->add(permit(ann_), ann_, cloud());
  ASSERT_TRUE(store_->set_credential(permit(ann_), ann_, "cloud", "sk-first"));
  provider.url = "https://api.example/v2";
  provider.models = {{"new"}};
  EXPECT_TRUE(store_->replace(permit(ann_), ann_, provider)->credential_set);
  EXPECT_EQ(credential("proj_a", provider), "sk-first");
  provider.url = "https://evil.example/v1";
  EXPECT_FALSE(store_->replace(permit(ann_), ann_, provider)->credential_set);
  EXPECT_EQ(credential("proj_a", provider), "");
  provider.url = "https://api.example/v1";  // nor does it come back
  EXPECT_FALSE(store_->replace(permit(ann_), ann_, provider)->credential_set);
  EXPECT_EQ(credential("proj_a", provider), "");
  ASSERT_TRUE(store_->set_credential(permit(ann_), ann_, "cloud", "sk-first"));
  provider.family = "anthropic";
  provider.options = {};
  EXPECT_FALSE(store_->replace(permit(ann_), ann_, provider)->credential_set);
  provider.name = "none";
  EXPECT_EQ(code(store_->replace(permit(ann_), ann_, provider)), "not_found");
}

TEST_P(ProviderStoreContract, ChangesAreSeenAtOnceAndInTheAuditLog) {
  EXPECT_EQ((*store_->of_project("proj_a"))->size(), 0u);
  const std::uint64_t before = store_->generation();
  Provider provider = *store_->add(permit(ann_), ann_, cloud());
  EXPECT_GT(store_->generation(), before);
  const auto snapshot = *store_->of_project("proj_a");
  EXPECT_EQ(snapshot->size(), 1u);
  EXPECT_EQ(*store_->of_project("proj_a"), snapshot);  // the same, as long as nothing changes
  EXPECT_EQ((*store_->of_project("proj_b"))->size(), 0u);
  ASSERT_TRUE(store_->set_credential(permit(ann_), ann_, "cloud", "sk-secret"));
  EXPECT_TRUE((*store_->of_project("proj_a"))->front().credential_set);
  ASSERT_TRUE(store_->replace(permit(ann_), ann_, provider));
  ASSERT_TRUE(store_->remove(permit(ann_), ann_, "cloud"));
  EXPECT_EQ((*store_->of_project("proj_a"))->size(), 0u);
  EXPECT_EQ(snapshot->front().name, "cloud");  // whoever holds it may go on
  const std::uint64_t quiet = store_->generation();
  EXPECT_EQ(code(store_->remove(permit(ann_), ann_, "cloud")), "not_found");
  EXPECT_EQ(store_->generation(), quiet);
  std::string entries;
  const auto logged = audit_->query({.tenant = "tenant_a"});
  for (const auto& entry : *logged) {
    entries += entry.action + " " + entry.resource + "; ";
    EXPECT_EQ(entry.principal, "key_ann");
  }
  EXPECT_EQ(entries, "provider.add provider cloud; provider.credential.set provider cloud; provider.change provider cloud; provider.remove provider cloud; ");
}

TEST_P(ProviderStoreContract, RotationSealsCredentialsAnew) {
  const Provider provider = *store_->add(permit(ann_), ann_, cloud());
  ASSERT_TRUE(store_->set_credential(permit(ann_), ann_, "cloud", "sk-first"));
  EXPECT_EQ(credential("proj_a", provider), "sk-first");
  const auto keys = *protection_.sealer->project("proj_a");
  const auto found = governance::reseal_rows(*database_, keys, ProviderStore::sealed_table(), [] { return false; });
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, 0);  // there is one key as yet, and the rows are found
  EXPECT_EQ(credential("proj_a", provider), "sk-first");
}

}  // namespace
}  // namespace stoa::gateway
