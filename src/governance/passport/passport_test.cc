#include "governance/passport/passport.h"

#include <gtest/gtest.h>

#include "governance/passport/passport_store.h"
#include "infra/journal/group.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

AnswerRecord record(const std::string& id, const std::string& principal = "user_ann") {
  AnswerRecord r;
  r.id = id;
  r.kind = "response";
  r.mode = "generative";
  r.request_id = "req_" + id;
  r.trace_id = "trace_" + id;
  r.principal.id = principal;
  r.principal.tenant = "tenant_a";
  r.principal.project = "proj_a";
  r.principal.groups = {"hr"};
  r.decisions = {{"model.use", "model m", "role \"developer\"", "roles.policy:5"}};
  r.model = {"m", "sha256:ab", "grounding", "sha256:cd", {{"temperature", "0.7"}, {"seed", "42"}}};
  r.sources = {{"doc_1", "sha256:ef", "chunk_1", 3, "group:hr"}};
  r.salt = std::string(32, 'a');
  r.question = salted_digest(r.salt, "When?");
  r.answer = salted_digest(r.salt, "On Monday, \u201cearly\u201d.");
  r.citations = {{0, 9, 0, 12, 21, salted_digest(r.salt, "On Monday")}};
  r.usage.prompt_tokens = 12;
  r.cost = 34;
  r.currency = "USD";
  r.started = 1'700'000'000'000'000;
  return r;
}

class PassportContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  void SetUp() override {
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(log_->append(AuditEntry{.tenant = "tenant_b"}));
    ASSERT_TRUE(keep(record("resp_1")));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(log_->append(AuditEntry{.tenant = "tenant_a"}));
  }
  Status keep(const AnswerRecord& answer) {
    AuditEntry entry = AuditEntry::of(answer.principal, "model.use", "POST /v1/responses");
    entry.request_id = answer.request_id;
    infra::JournalGroup group;
    STOA_CHECK(store_->keep(group, StoredRecord::of(answer), entry));
    return log_->append(group, std::move(entry));
  }
  Call call(const std::string& principal, const std::string& tenant = "tenant_a") {
    Call call;
    call.principal.id = principal;
    call.principal.tenant = tenant;
    return call;
  }
  std::string made() { return dump_json(store_->passport(call("user_ann"), "resp_1", false).value()); }
  Result<PassportCheck> verified(const std::string& text) { return verify_passport(text, checkpoints_->key()); }

  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<AuditLog> log_ = std::move(*AuditLog::open(*database_));
  infra::SigningKey key_ = *infra::SigningKey::from_seed(as_bytes(std::string(32, 'k')));
  std::unique_ptr<AuditCheckpoints> checkpoints_ = std::move(*AuditCheckpoints::open(*database_, *log_, key_, {}));
  std::unique_ptr<PassportStore> store_ = std::move(*PassportStore::open(*database_, *log_, *checkpoints_));
};
INSTANTIATE_TEST_SUITE_P(, PassportContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(PassportContract, HoldsAndSaysWhatWasRecorded) {
  const auto text = made();
  const auto found = verified(text);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(dump_json(found->record), record_text(record("resp_1")));
  EXPECT_EQ(found->entry.sequence, 6);
  EXPECT_EQ(found->entry.record, record_digest(record_text(record("resp_1"))));
  EXPECT_EQ(found->entry.answer, "resp_1");
  EXPECT_EQ(found->checkpoint.size, 9);
  EXPECT_TRUE(verified(dump_json_pretty(parse_json(text).value()))) << "white space between members says nothing";
}

TEST_P(PassportContract, NoFlippedBitStaysUnseen) {
  const auto text = made();
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      ASSERT_FALSE(verified(changed)) << "bit " << bit << " of byte " << at << ": " << changed;
    }
  }
  for (std::size_t end = 0; end < text.size(); end += 7) EXPECT_FALSE(verified(text.substr(0, end)));
}

// A record that was exchanged together with its entry's digest is not in the signed tree.
TEST_P(PassportContract, NothingFromElsewhereFits) {
  ASSERT_TRUE(keep(record("resp_2", "user_bob")));
  const auto first = parse_json(made()).value().as_object();
  const auto second = store_->passport(call("user_bob"), "resp_2", false).value();
  for (const char* part : {"record", "audit"}) {
    JsonObject mixed = first;
    mixed[part] = second.at(part);
    const auto found = verified(dump_json(mixed));
    ASSERT_FALSE(found) << part;
    EXPECT_EQ(found.error().code, ErrorCode::kDataLoss);
  }
  const auto other = infra::SigningKey::from_seed(as_bytes(std::string(32, 'x')));
  EXPECT_EQ(verify_passport(made(), CheckpointKey::of(other->public_key())).error().code, ErrorCode::kDataLoss);
}

TEST_P(PassportContract, OtherTextsAreNoPassports) {
  for (const char* text : {"", "{}", "[]", "null", R"({"format":"stoa-passport/2","record":{},"audit":{},"key":""})", R"({"format":1,"record":{},"audit":{},"key":""})"})
    EXPECT_EQ(verified(text).error().code, ErrorCode::kInvalidArgument) << text;
}

TEST_P(PassportContract, IsFoundByWhoMaySeeIt) {
  const struct { const char *id, *principal, *tenant; bool everyones, found; } cases[] = {
      {"resp_1", "user_ann", "tenant_a", false, true},      {"req_resp_1", "user_ann", "tenant_a", false, true}, {"trace_resp_1", "user_ann", "tenant_a", false, true},
      {"resp_1", "user_bob", "tenant_a", false, false},     {"resp_1", "user_bob", "tenant_a", true, true},      {"resp_1", "user_ann", "tenant_b", true, false},
      {"resp_2", "user_ann", "tenant_a", true, false},      {"", "user_ann", "tenant_a", true, false}};
  for (const auto& c : cases) {
    const auto found = store_->passport(call(c.principal, c.tenant), c.id, c.everyones);
    ASSERT_EQ(found.has_value(), c.found) << c.id << " for " << c.principal << " of " << c.tenant;
    EXPECT_TRUE(found || found.error().code == ErrorCode::kNotFound);
  }
}

// They made an entry of its own for each record.
TEST_P(PassportContract, RecordsOfEarlierReleasesAreFoundAndHold) {
  const auto old = record("resp_old");
  infra::JournalGroup group;
  AuditEntry unused;
  ASSERT_TRUE(store_->keep(group, StoredRecord::of(old), unused));
  AuditEntry entry = AuditEntry::of(old.principal, "answer.record", "answer resp_old");
  entry.reason = record_digest(record_text(old));
  entry.request_id = old.request_id;
  ASSERT_TRUE(log_->append(AuditEntry{.tenant = "tenant_a", .request_id = old.request_id}));
  ASSERT_TRUE(log_->append(std::move(entry)));
  const auto text = dump_json(store_->passport(call("user_ann"), "resp_old", false).value());
  EXPECT_TRUE(verified(text)) << text;
  std::string other = text;
  other.replace(other.find("answer resp_old"), 15, "answer resp_odd");
  EXPECT_FALSE(verified(other));
}

TEST_P(PassportContract, KeepingAgainChangesNothing) {
  auto changed = record("resp_1");
  changed.cost = 99;
  ASSERT_TRUE(keep(changed));
  EXPECT_TRUE(verified(made()));
  EXPECT_EQ(dump_json(parse_json(made())->at("record")), record_text(record("resp_1")));
}

}  // namespace
}  // namespace stoa::governance
