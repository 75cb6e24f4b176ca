// What the tables hold, what an earlier release left in them, and what happens while a project's key is taken away.
#include <gtest/gtest.h>

#include "data/sources/ingest.h"
#include "governance/access/test_access.h"
#include "governance/protection/key_admin.h"
#include "governance/protection/memory_protection.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

class SealingTest : public testing::Test {
 protected:
  SealingTest() {
    EXPECT_TRUE(catalog.open(""));
    keys.add_tables(catalog.sealed_tables());
    keys.on_change([this](const std::string& project, bool readable) {
      EXPECT_TRUE(catalog.reload_project(project, readable));
      if (readable) ingest.resume();
    });
  }
  static Call call(const std::string& project = "proj_a") { return Call::of({.id = "user_ann", .tenant = "tenant_1", .project = project, .user = "ann", .role = "developer"}); }
  governance::Permit permit(const std::string& project) {
    return access->check(Call::of({.id = "user_adam", .tenant = "tenant_1", .project = project, .role = "admin"}), governance::Action::kProtectionManage,
                          {.tenant = "tenant_1", .project = project}).value();
  }
  std::string start(const Call& who, const std::string& collection, const std::string& path, const std::string& text) {
    const std::string digest = "sha256:" + infra::sha256_hex(text);
    const auto job = ingest.create_job(who, {collection, "planted-source", {{path, digest, static_cast<std::int64_t>(text.size()), ""}}, *AccessList::parse("public"), {{"planted-attribute", std::string("planted-value")}}});
    EXPECT_TRUE(job) << job.error().message;
    for (const auto& missing : job->missing) EXPECT_TRUE(ingest.put_blob(who, job->id, missing, as_bytes(text)));
    EXPECT_TRUE(ingest.start(who, job->id));
    return job->id;
  }
  IngestProgress wait(const Call& who, const std::string& job) {
    const auto end = ingest.wait(who, job, Deadline::after(std::chrono::seconds(20)));
    EXPECT_TRUE(end) << end.error().message;
    return end.value_or(IngestProgress());
  }
  std::size_t hits(const Call& who, const std::string& collection, std::string_view query) {
    const std::vector<std::string> ids{collection};
    return index.search_text({who.principal, ids, nullptr, 10}, query)->size();
  }
  // Every value of every table, as one text.
  std::string dump() {
    std::string all;
    const auto tables = *sql->query("SELECT name FROM sqlite_master WHERE type = 'table'");
    for (const auto& table : tables) {
      const auto rows = *sql->query("SELECT * FROM " + *table.get<std::string>(0));
      for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
          if (const auto* text = std::get_if<std::string>(&row.value(i))) all += *text + "\n";
          if (const auto* bytes = std::get_if<Bytes>(&row.value(i))) all += std::string(as_text(*bytes)) + "\n";
        }
    }
    return all;
  }

  std::unique_ptr<infra::SqlDatabase> sql = *infra::open_memory();
  governance::MemoryProtection protection{*sql};
  std::unique_ptr<governance::AuditLog> audit = *governance::AuditLog::open(*sql);
  std::unique_ptr<governance::Access> access = governance::access_for_tests(STOA_SOURCE_DIR);
  governance::KeyAdmin keys{*sql, *protection.keys, *protection.sealer, *audit};
  Index index;
  Catalog catalog{*sql, protection.blobs, index};
  Ingest ingest{catalog, nullptr};
};

TEST_F(SealingTest, TablesAndBlobsShowNothing) {
  const Call ann = call();
  const auto collection = catalog.create_collection(ann, {"planted-name", {{"planted-key", "planted-metadata"}}, {}});
  ASSERT_TRUE(collection);
  ASSERT_TRUE(ingest.start_worker());
  wait(ann, start(ann, collection->id, "planted-folder/planted-file.md", "# planted-heading\n\nThe planted-text.\n"));
  EXPECT_EQ(wait(ann, start(ann, collection->id, "planted-broken.pdf", "%PDF-1.4 planted-broken")).failed, 1);
  const std::string digest = "sha256:" + infra::sha256_hex("# planted-heading\n\nThe planted-text.\n");
  const std::string tables = dump();
  EXPECT_EQ(tables.find("planted"), std::string::npos) << tables.substr(tables.find("planted"), 100);
  EXPECT_EQ(tables.find(digest), std::string::npos) << "a digest tells who has the file that it is here";
  ASSERT_TRUE(protection.store->for_each([&](const std::string& address, std::uint64_t) -> Result<bool> {
    EXPECT_EQ(as_text(*protection.store->read(address, 0, SIZE_MAX)).find("planted"), std::string_view::npos);
    EXPECT_NE(address, digest);
    return true;
  }));
  EXPECT_EQ(catalog.find_collection(ann, "planted-name")->metadata.at("planted-key"), "planted-metadata");
  EXPECT_EQ(catalog.documents(ann, collection->id)->items.at(0).path, "planted-folder/planted-file.md");
}

TEST_F(SealingTest, ARevokedProjectLeavesTheIndexAndItsJobsWait) {
  const Call ann = call(), bob = call("proj_b");
  const std::string ours = catalog.create_collection(ann, {"ours", {}, {}})->id, theirs = catalog.create_collection(bob, {"theirs", {}, {}})->id;
  ASSERT_TRUE(ingest.start_worker());
  wait(ann, start(ann, ours, "a.txt", "lanterns"));
  ingest.stop_worker();
  const std::string waiting = start(ann, ours, "b.txt", "lighthouses");
  ASSERT_TRUE(keys.revoke(ann, permit("proj_a"), false));
  EXPECT_EQ(hits(ann, ours, "lanterns"), 0u);
  EXPECT_EQ(catalog.searchable(ann, std::span(&ours, 1)).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(catalog.documents(ann, ours).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(catalog.create_collection(ann, {"more", {}, {}}).error().code, ErrorCode::kPermissionDenied);
  ASSERT_TRUE(ingest.start_worker());
  wait(bob, start(bob, theirs, "c.txt", "lanterns"));
  EXPECT_EQ(hits(bob, theirs, "lanterns"), 1u) << "another project goes on";
  ASSERT_TRUE(keys.restore(ann, permit("proj_a")));
  EXPECT_EQ(hits(ann, ours, "lanterns"), 1u);
  EXPECT_EQ(wait(ann, waiting).status, JobStatus::kCompleted);
  EXPECT_EQ(hits(ann, ours, "lighthouses"), 1u);
}

TEST_F(SealingTest, RowsOfAnEarlierReleaseAreTakenOver) {
  const std::string text = "# Old heading\n\nThe old-text.\n", digest = *protection.store->put(as_bytes(text));
  const std::string principal = R"({"id":"user_ann","tenant":"tenant_1","project":"proj_a","user":"ann","groups":[],"role":"developer"})";
  const auto run = [&](std::string_view statement, const infra::SqlParams& params) {
    const auto done = sql->execute(statement, params);
    ASSERT_TRUE(done) << done.error().message;
  };
  run("INSERT INTO collections (id, project, name, metadata, created, last_active) VALUES ('vs_old', 'proj_a', 'old-name', '{\"k\":\"old-metadata\"}', 1, 1)", {});
  run("INSERT INTO documents (id, collection, source, path, file_id, title, content_type, digest, bytes, chunks, access, attributes, status, error_code, error, created, owner, "
      "embedding_model) VALUES ('doc_old', 'vs_old', 'old-source', 'old-path.md', '', 'old-title', 'text/markdown', ?, 29, 1, 'public', '{\"a\":\"old-attribute\"}', 1, 0, '', 1, 'user_ann', '')", {digest});
  run("INSERT INTO chunks (key, id, document, ordinal, parent, section, anchor, page, prefix, text, vector) VALUES (1, 'chunk_old', 'doc_old', 0, 0, '[\"Old heading\"]', 'old-anchor', 0, "
      "'old-prefix', 'The old-text.', ?)", {Bytes(8)});
  run("UPDATE chunk_keys SET last = 1", {});
  run("INSERT INTO ingest_jobs (id, project, collection, owner, principal, source, access, attributes, prune, attach, chunk_tokens, status, created, total, done, failed, unchanged, removed, "
      "bytes, chunks, tokens, compute_micros) VALUES ('job_old', 'proj_a', 'vs_old', 'user_ann', ?, 'old-source', 'public', '{\"a\":\"old-attribute\"}', 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0)", {principal});
  run("INSERT INTO ingest_files (job, ordinal, path, digest, bytes, content_type, document, present, status, error) VALUES ('job_old', 0, 'old-path.md', ?, 29, '', '', 1, 0, '')", {digest});

  Index fresh;
  Catalog reopened{*sql, protection.blobs, fresh};
  ASSERT_TRUE(reopened.open(""));
  ASSERT_TRUE(keys.scrub(protection.blobs));
  const std::string tables = dump();
  for (const char* word : {"old-name", "old-metadata", "old-source", "old-path", "old-title", "old-attribute", "old-text", "old-prefix", "old-anchor", "Old heading"})
    EXPECT_EQ(tables.find(word), std::string::npos) << word;
  EXPECT_EQ(tables.find(digest), std::string::npos);
  EXPECT_FALSE(*protection.store->exists(digest)) << "the plain blob is gone";
  const Call ann = call();
  EXPECT_EQ(reopened.find_collection(ann, "old-name")->metadata.at("k"), "old-metadata");
  const auto document = reopened.open_document(ann, "doc_old");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(as_text(document->bytes), text);
  EXPECT_EQ(document->document.title, "old-title");
  EXPECT_EQ(document->document.digest, digest);
  const std::vector<std::string> ids{"vs_old"};
  const auto found = fresh.search_text({ann.principal, ids, nullptr, 10}, "text");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  const auto passages = reopened.passages(ann, *found);
  ASSERT_TRUE(passages);
  EXPECT_EQ(passages->at(0).passage.text, "The old-text.");
  EXPECT_EQ(passages->at(0).passage.section, std::vector<std::string>{"Old heading"});
  // The job of that time goes on, and knows the document by its path.
  Ingest again{reopened, nullptr};
  ASSERT_TRUE(again.start_worker());
  const auto end = again.wait(ann, "job_old", Deadline::after(std::chrono::seconds(20)));
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->unchanged, 1);
}

}  // namespace
}  // namespace stoa::data
