#include "governance/protection/key_admin.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "governance/access/test_access.h"
#include "governance/protection/memory_protection.h"
#include "infra/blob/disk/disk.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/backends.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::governance {
namespace {

namespace fs = std::filesystem;
using infra::SqlValue;

// Wraps the memory twin and fails on demand.
class FragileKeys final : public infra::KeyManagement {
 public:
  bool down = false;
  int unwrapped = 0;

  std::string_view provider() const override { return inner_->provider(); }
  Result<infra::WrappedKey> wrap(const infra::SecretKey& key, std::string_view context) override {
    if (down) return fail(ErrorCode::kUnavailable, "memory: cannot be reached");
    return inner_->wrap(key, context);
  }
  Result<infra::SecretKey> unwrap(const infra::WrappedKey& wrapped, std::string_view context) override {
    ++unwrapped;
    if (down) return fail(ErrorCode::kUnavailable, "memory: cannot be reached");
    return inner_->unwrap(wrapped, context);
  }
  Status rotate() override { return inner_->rotate(); }
  Result<infra::MasterKeyStatus> describe() override { return inner_->describe(); }

 private:
  std::unique_ptr<infra::KeyManagement> inner_ = infra::open_memory_keys();
};

class TestClock final : public Clock {
 public:
  Micros time = 1'000'000'000;
  Micros now() const override { return time; }
};

constexpr std::string_view kNotes =
    "CREATE TABLE notes (id TEXT PRIMARY KEY, project TEXT NOT NULL, text TEXT NOT NULL, author TEXT NOT NULL, blob TEXT NOT NULL, sealed BLOB)";

class ProtectionContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  ProtectionContract() {
    EXPECT_TRUE(sql->execute(kNotes));
    admin.add_tables({notes()});
    admin.on_change([this](const std::string& project, bool readable) { told.emplace_back(project, readable); });
  }

  static SealedTable notes() {
    return {.name = "notes", .ids = {"id"}, .project = "t.project", .from = "notes t", .columns = {"text", "author"},
            .blobs = "SELECT blob FROM notes WHERE project = ? AND blob <> ''"};
  }
  void add(const std::string& id, const std::string& project, const std::string& text) {
    const auto keys = sealer->project(project);
    ASSERT_TRUE(keys) << keys.error().message;
    const auto stored = blobs.put(*keys, as_bytes("blob of " + text));
    ASSERT_TRUE(stored);
    const auto sealed = seal_record(*keys, row_context("notes", id), {text, "somebody"});
    ASSERT_TRUE(sql->execute("INSERT INTO notes (id, project, text, author, blob, sealed) VALUES (?, ?, '', '', ?, ?)", {id, project, stored->address, *sealed}));
  }
  Result<std::string> read(const std::string& id) {
    STOA_TRY(row, sql->query_one("SELECT project, sealed FROM notes WHERE id = ?", {id}));
    std::string project;
    Bytes sealed;
    STOA_CHECK(row->read(project, sealed));
    STOA_TRY(keys, sealer->project(project));
    STOA_TRY(record, open_record(keys, row_context("notes", id), sealed, 2));
    return record.text(0);
  }
  std::uint32_t version(const std::string& id) {
    return *sealed_version(*(*sql->query_one("SELECT sealed FROM notes WHERE id = ?", {id}))->get<Bytes>(0));
  }
  Status run() { return admin.run_pending(blobs, [] { return false; }); }

  std::unique_ptr<infra::SqlDatabase> sql = GetParam().open();
  FragileKeys keys;
  TestClock clock;
  std::unique_ptr<infra::BlobStore> store = infra::open_memory_blobs();
  std::unique_ptr<Sealer> sealer = *Sealer::open(*sql, keys, {.look = milliseconds(0), .pause = milliseconds(0)}, clock);
  SealedBlobs blobs{*store, *sealer};
  std::unique_ptr<AuditLog> audit = *AuditLog::open(*sql);
  KeyAdmin admin{*sql, keys, *sealer, *audit, clock};
  std::unique_ptr<Access> access = access_for_tests(STOA_SOURCE_DIR);
  const Call who = Call::of({.id = "user_1", .tenant = "tenant_1", .project = "proj_a", .role = "admin"});
  Permit permit(const std::string& project) { return access->check(who, Action::kProtectionManage, {.tenant = "tenant_1", .project = project}).value(); }
  Permit master_permit() { return access->check(Call::of({.id = std::string(kLocalOperator), .tenant = "tenant_1", .project = "proj_a", .role = "admin"}), Action::kKmsManage, {}).value(); }
  std::vector<std::pair<std::string, bool>> told;
};
INSTANTIATE_TEST_SUITE_P(, ProtectionContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(ProtectionContract, ValuesOpenWhereTheyWereSealed) {
  const auto sealed = sealer->seal("proj_a", "notes:1", as_bytes("secret"));
  ASSERT_TRUE(sealed);
  EXPECT_EQ(as_text(*sealed).find("secret"), std::string_view::npos);
  EXPECT_EQ(as_text(*sealer->open("proj_a", "notes:1", *sealed)), "secret");
  EXPECT_EQ(sealer->open("proj_a", "notes:2", *sealed).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(sealer->open("proj_b", "notes:1", *sealed).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(sealer->open("proj_a", "notes:1", as_bytes("plain text")).error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(sealer->project("").error().code, ErrorCode::kPermissionDenied);
  const auto a = *sealer->project("proj_a"), b = *sealer->project("proj_b");
  EXPECT_EQ(a.tag("path", "x"), a.tag("path", "x"));
  EXPECT_NE(a.tag("path", "x"), a.tag("name", "x"));
  EXPECT_NE(a.tag("path", "x"), b.tag("path", "x")) << "equal values of two projects are not known to be equal";
  EXPECT_NE(a.tag("pa", "thx"), a.tag("path", "x"));
}

TEST_P(ProtectionContract, RecordsAreReadWithinTheirBounds) {
  const Bytes record = pack_record({"one", "", std::string_view("t\0wo", 4)});
  EXPECT_EQ(*unpack_record(record, 3), (std::vector<std::string_view>{"one", "", std::string_view("t\0wo", 4)}));
  EXPECT_EQ(unpack_record(record, 4).error().code, ErrorCode::kDataLoss);
  for (std::size_t cut = 1; cut < record.size(); ++cut) (void)unpack_record(ByteSpan(record).first(cut), 0);
  EXPECT_FALSE(unpack_record(as_bytes(std::string_view("\xff\xff\xff\xff", 4)), 1));
}

TEST_P(ProtectionContract, KeysAreKeptForAWhileAndLimited) {
  const auto small = *Sealer::open(*sql, keys, {.max_projects = 2, .keep = milliseconds(60'000), .look = milliseconds(0), .pause = milliseconds(0)}, clock);
  for (const std::string project : {"p1", "p2", "p1", "p2"}) EXPECT_TRUE(small->project(project));
  EXPECT_EQ(keys.unwrapped, 4) << "two keys for each project, once";
  EXPECT_TRUE(small->project("p3"));  // p1 goes
  EXPECT_TRUE(small->project("p2"));
  EXPECT_EQ(keys.unwrapped, 6);
  EXPECT_TRUE(small->project("p1"));
  EXPECT_EQ(keys.unwrapped, 8);
  keys.down = true;
  EXPECT_TRUE(small->project("p1")) << "what is in memory goes on";
  const auto refused = small->project("p4");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_GT(refused.error().retry_after, 0);
  keys.down = false;
  EXPECT_TRUE(small->project("p4"));
}

TEST_P(ProtectionContract, RotationSealsAnewAndErasesWhatIsReplaced) {
  for (int i = 0; i < 450; ++i) add("a" + std::to_string(i), "proj_a", "text " + std::to_string(i));
  add("b", "proj_b", "other");
  ASSERT_TRUE(admin.rotate(who, permit("proj_a")));
  EXPECT_EQ(*read("a7"), "text 7");
  add("new", "proj_a", "new");
  EXPECT_EQ(version("a7"), 1u);
  EXPECT_EQ(version("new"), 2u);
  ASSERT_TRUE(run());
  for (const std::string id : {"a0", "a449", "new"}) EXPECT_EQ(version(id), 2u) << id;
  EXPECT_EQ(version("b"), 1u) << "another project's rows are left alone";
  EXPECT_EQ(*read("a449"), "text 449");
  ASSERT_TRUE(run());
  EXPECT_EQ(admin.project(permit("proj_a"))->versions.size(), 3u) << "work that began before may still need it";
  clock.time += 2 * 3'600'000'000ll;
  ASSERT_TRUE(run());
  EXPECT_EQ(admin.project(permit("proj_a"))->versions.size(), 2u);
  sealer->forget_all();
  EXPECT_EQ(*read("a0"), "text 0");
  const auto project = *sealer->project("proj_a");
  EXPECT_EQ(as_text(*blobs.get(project, "sha256:" + infra::sha256_hex("blob of text 3"), 100)), "blob of text 3");
}

TEST_P(ProtectionContract, ARotationThatIsCutOffLosesNothing) {
  for (int i = 0; i < 300; ++i) add("a" + std::to_string(i), "proj_a", "text " + std::to_string(i));
  ASSERT_TRUE(admin.rotate(who, permit("proj_a")));
  for (int stops = 1; stops < 6; ++stops) {
    int calls = 0;
    ASSERT_TRUE(admin.run_pending(blobs, [&] { return ++calls > stops; }));
    sealer->forget_all();
    for (int i = 0; i < 300; i += 37) EXPECT_EQ(*read("a" + std::to_string(i)), "text " + std::to_string(i));
  }
  ASSERT_TRUE(run());
  EXPECT_EQ(version("a299"), 2u);
}

TEST_P(ProtectionContract, RevokedIsUnreadableAtOnceAndCanBeGivenBack) {
  add("a", "proj_a", "mine");
  add("b", "proj_b", "other");
  const auto elsewhere = *Sealer::open(*sql, keys, {.look = milliseconds(0)}, clock);  // another process
  ASSERT_TRUE(elsewhere->project("proj_a"));
  ASSERT_TRUE(admin.revoke(who, permit("proj_a"), false));
  EXPECT_EQ(read("a").error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(read("a").error().message.find("revoked"), std::string::npos);
  EXPECT_EQ(elsewhere->project("proj_a").error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(*read("b"), "other");
  EXPECT_EQ(told, (std::vector<std::pair<std::string, bool>>{{"proj_a", false}}));
  EXPECT_EQ(admin.rotate(who, permit("proj_a")).error().code, ErrorCode::kConflict);
  ASSERT_TRUE(admin.restore(who, permit("proj_a")));
  EXPECT_EQ(*read("a"), "mine");
  EXPECT_EQ(admin.restore(who, permit("proj_a")).error().code, ErrorCode::kConflict);
  EXPECT_EQ(told.back(), (std::pair<std::string, bool>{"proj_a", true}));
  EXPECT_EQ(admin.revoke(who, permit("proj_x"), false).error().code, ErrorCode::kNotFound);
  std::vector<std::string> actions;
  const auto entries = audit->query({});
  ASSERT_TRUE(entries);
  for (const auto& entry : *entries) actions.push_back(entry.action + " " + entry.resource);
  EXPECT_EQ(actions, (std::vector<std::string>{"protection.revoke project proj_a", "protection.restore project proj_a"}));
}

TEST_P(ProtectionContract, ProjectsSayWhatTheyKeep) {
  EXPECT_EQ(sealer->project("proj_a")->keep(), (ContentKeep{true, false}));
  for (const std::string_view name : {"none", "responses", "traces", "all"}) {
    ASSERT_TRUE(admin.set_keep(who, permit("proj_a"), *parse_keep(name)));
    EXPECT_EQ(keep_name(sealer->project("proj_a")->keep()), name);
    EXPECT_EQ(admin.project(permit("proj_a"))->keep, name);
  }
  EXPECT_EQ(sealer->project("proj_b")->keep(), ContentKeep{}) << "another project's policy is its own";
  ASSERT_TRUE(admin.set_keep(who, permit("proj_a"), {}));
  EXPECT_EQ(sealer->project("proj_a")->keep(), ContentKeep{});
  EXPECT_EQ(parse_keep("some").error().code, ErrorCode::kInvalidArgument);
}

TEST_P(ProtectionContract, DestroyedIsGone) {
  add("a", "proj_a", "mine");
  ASSERT_TRUE(admin.revoke(who, permit("proj_a"), false));
  ASSERT_TRUE(admin.revoke(who, permit("proj_a"), true));
  EXPECT_EQ(admin.restore(who, permit("proj_a")).error().code, ErrorCode::kConflict);
  EXPECT_EQ(admin.revoke(who, permit("proj_a"), true).error().code, ErrorCode::kConflict);
  EXPECT_NE(read("a").error().message.find("destroyed"), std::string::npos);
  EXPECT_TRUE(admin.project(permit("proj_a"))->versions.empty());
}

TEST_P(ProtectionContract, ChangesOfOtherProcessesAreTold) {
  add("a", "proj_a", "mine");
  ASSERT_TRUE(run());
  KeyAdmin other{*sql, keys, *sealer, *audit, clock};
  ASSERT_TRUE(other.revoke(who, permit("proj_a"), false));
  ASSERT_TRUE(run());
  ASSERT_TRUE(run());
  ASSERT_TRUE(other.restore(who, permit("proj_a")));
  ASSERT_TRUE(run());
  EXPECT_EQ(told, (std::vector<std::pair<std::string, bool>>{{"proj_a", false}, {"proj_a", true}}));
}

TEST_P(ProtectionContract, RewrapsUnderANewMasterKey) {
  add("a", "proj_a", "mine");
  add("b", "proj_b", "other");
  EXPECT_EQ(*admin.rewrap(who, master_permit()), 0);
  EXPECT_EQ(*admin.rotate_master(who, master_permit()), 4);
  const auto status = admin.project(permit("proj_a"));
  ASSERT_TRUE(status);
  for (const auto& key : status->versions) EXPECT_EQ(key.master, "2");
  sealer->forget_all();
  EXPECT_EQ(*read("a"), "mine");
}

TEST_P(ProtectionContract, OldRowsAreTakenOver) {
  for (int i = 0; i < 500; ++i)
    ASSERT_TRUE(sql->execute("INSERT INTO notes (id, project, text, author, blob) VALUES (?, ?, ?, 'me', ?)",
                             {fmt::format("n{:03}", i), i % 2 == 0 ? "proj_a" : "proj_b", "old " + std::to_string(i), *store->put(as_bytes("plain " + std::to_string(i)))}));
  SealedTable table = notes();
  table.also_columns = ", t.blob";
  table.also = [&](const ProjectKeys& project, std::vector<std::string>& fields, const infra::SqlRow& row) -> Result<std::vector<std::pair<std::string, SqlValue>>> {
    STOA_TRY(digest, row.get<std::string>(4));
    STOA_TRY(bytes, store->get(digest, 1000));
    STOA_TRY(stored, blobs.put(project, bytes));
    fields.push_back(stored.digest);
    return std::vector<std::pair<std::string, SqlValue>>{{"blob", stored.address}};
  };
  EXPECT_EQ(*seal_old_rows(*sql, *sealer, table), 500);
  EXPECT_EQ(*seal_old_rows(*sql, *sealer, table), 0);
  EXPECT_EQ(*read("n499"), "old 499");
  EXPECT_EQ(*(*sql->query_one("SELECT COUNT(*) FROM notes WHERE text <> '' OR author <> ''"))->get<std::int64_t>(0), 0);
  ASSERT_TRUE(admin.scrub(blobs));
  int left = 0;
  ASSERT_TRUE(store->for_each([&](const std::string& address, std::uint64_t) -> Result<bool> {
    ++left;
    return blobs.is_sealed(address);
  }));
  EXPECT_EQ(left, 500);
  const auto project = *sealer->project("proj_b");
  EXPECT_EQ(as_text(*blobs.get(project, "sha256:" + infra::sha256_hex("plain 499"), 100)), "plain 499");
}

TEST_P(ProtectionContract, BlobsOfAllSizesReadInParts) {
  const auto a = *sealer->project("proj_a"), b = *sealer->project("proj_b");
  std::mt19937 random(3);
  for (const std::size_t size : {0, 1, 65'535, 65'536, 65'537, 131'072, 5'000'000}) {
    Bytes plain(size);
    for (auto& byte : plain) byte = static_cast<std::byte>(random());
    const auto stored = blobs.put(a, plain);
    ASSERT_TRUE(stored);
    EXPECT_EQ(blobs.put(a, plain)->address, stored->address) << "the same bytes are one blob";
    EXPECT_NE(blobs.put(b, plain)->address, stored->address) << "but not across projects";
    EXPECT_EQ(*blobs.get(a, stored->digest, size), plain);
    EXPECT_EQ(*blobs.size(a, stored->digest), size);
    EXPECT_TRUE(*blobs.exists(a, stored->digest));
    for (const std::size_t offset : {std::size_t{0}, size / 3, std::size_t{65'530}, size, size + 9}) {
      for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{20}, std::size_t{200'000}, SIZE_MAX}) {
        const auto from = plain.begin() + static_cast<std::ptrdiff_t>(std::min(offset, size));
        const std::size_t count = std::min(length, size - std::min(offset, size));
        EXPECT_EQ(*blobs.read(a, stored->digest, offset, length), Bytes(from, from + static_cast<std::ptrdiff_t>(count)));
      }
    }
    if (size > 0) {
      EXPECT_EQ(blobs.get(a, stored->digest, size - 1).error().code, ErrorCode::kTooLarge);
    }
  }
  EXPECT_EQ(blobs.get(a, "sha256:" + std::string(64, 'a'), 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(blobs.get(a, "../etc", 9).error().code, ErrorCode::kInvalidArgument);
}

TEST_P(ProtectionContract, ChangedBlobsAreNoticed) {
  const auto project = *sealer->project("proj_a");
  const auto stored = *blobs.put(project, Bytes(200'000, std::byte{7})), other = *blobs.put(project, as_bytes("another"));
  const Bytes sealed = *store->read(stored.address, 0, SIZE_MAX);
  const auto put_raw = [&](ByteSpan bytes, const std::string& address) {
    auto writer = *store->writer();
    ASSERT_TRUE(writer->write(bytes));
    ASSERT_TRUE(writer->commit_as(address));
  };
  std::mt19937 random(5);
  for (int i = 0; i < 60; ++i) {
    Bytes changed = sealed;
    changed[i < 48 ? static_cast<std::size_t>(i) : random() % changed.size()] ^= std::byte{0x10};
    put_raw(changed, stored.address);
    EXPECT_FALSE(blobs.get(project, stored.digest, 1 << 20)) << i;
  }
  for (const std::size_t left : {std::size_t{0}, std::size_t{10}, std::size_t{48}, std::size_t{60}, std::size_t{48 + 65'552}, std::size_t{48 + 2 * 65'552}, sealed.size() - 1}) {
    put_raw(ByteSpan(sealed).first(left), stored.address);
    EXPECT_FALSE(blobs.get(project, stored.digest, 1 << 20)) << left;
    EXPECT_FALSE(blobs.read(project, stored.digest, 0, 10).value_or(Bytes()).size() == 10 && left < 1000) << left;
  }
  put_raw(*store->read(other.address, 0, SIZE_MAX), stored.address);  // another blob of the same project in its place
  EXPECT_FALSE(blobs.read(project, stored.digest, 0, 5));
}

// What was in plain before is in no file after the scrub.
TEST(Protection, ScrubLeavesNothingInFiles) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("stoa-protection-test-{}", ::getpid());
  fs::create_directories(folder);
  {
    const auto sql = *infra::open_sqlite(folder / "a.db");
    auto keys = infra::open_memory_keys();
    const auto sealer = *Sealer::open(*sql, *keys);
    const auto store = *infra::open_disk_blobs(folder / "blobs");
    SealedBlobs blobs(*store, *sealer);
    const auto audit = *AuditLog::open(*sql);
    KeyAdmin admin(*sql, *keys, *sealer, *audit);
    ASSERT_TRUE(sql->execute(kNotes));
    for (int i = 0; i < 100; ++i)
      ASSERT_TRUE(sql->execute("INSERT INTO notes (id, project, text, author, blob) VALUES (?, 'p', ?, '', '')", {std::to_string(i), std::string(500, 'x') + "PLANTED"}));
    ASSERT_TRUE(store->put(as_bytes("PLANTED")));
    const SealedTable table{.name = "notes", .ids = {"id"}, .project = "t.project", .from = "notes t", .columns = {"text", "author"}};
    EXPECT_EQ(*seal_old_rows(*sql, *sealer, table), 100);
    ASSERT_TRUE(admin.scrub(blobs));
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(text.find("PLANTED"), std::string::npos) << entry.path();
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace stoa::governance
