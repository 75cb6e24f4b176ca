// A catalog and its ingest over files, whose process can be gone and start again; for tests.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "base/id.h"
#include "data/index/test_embedder.h"
#include "data/sources/blob_collector.h"
#include "data/sources/ingest.h"
#include "infra/blob/blob.h"
#include "infra/bus/local/local.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {

inline std::string digest_of(std::string_view text) { return "sha256:" + infra::sha256_hex(text); }

class IngestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / new_id("ingest_test");
    std::filesystem::create_directories(folder_);
    boot();
    auto made = catalog_->create_collection(call("ann"), {"docs", {}, {}});
    ASSERT_TRUE(made) << made.error().message;
    collection_ = made->id;
  }
  void TearDown() override {
    halt();
    std::filesystem::remove_all(folder_);
  }

  // A process starts over the same files; its memory is new.
  void boot() {
    auto opened = infra::open_sqlite(folder_ / "stoa.db");
    ASSERT_TRUE(opened) << opened.error().message;
    sql_ = std::move(*opened);
    index_ = std::make_unique<Index>();
    events_ = std::move(*infra::open_local_bus(*sql_));
    sealer_ = *governance::Sealer::open(*sql_, *keys_);
    sealed_ = std::make_unique<governance::SealedBlobs>(*blobs_, *sealer_);
    ASSERT_TRUE(events_->subscribe(blob_collector_subscription(), collect_blobs(*sql_, *blobs_, {})));
    ledger_ = std::move(*governance::Ledger::open(*sql_, prices_));
    catalog_ = std::make_unique<Catalog>(*sql_, *sealed_, *index_, events_.get());
    const Status status = catalog_->open("letters");
    ASSERT_TRUE(status) << status.error().message;
    ingest_ = std::make_unique<Ingest>(*catalog_, letter_embedders(embedder_), ledger_.get(), limits_);
  }
  void halt() {
    ingest_.reset();
    catalog_.reset();
    ledger_.reset();
    events_.reset();
    index_.reset();
    sealed_.reset();
    sealer_.reset();
    sql_.reset();
  }

  static Call call(const std::string& user, std::vector<std::string> groups = {}, const std::string& project = "proj_a") {
    Call call;
    call.principal = {"user_" + user, "tenant_1", project, user, std::move(groups), "developer"};
    return call;
  }

  std::string create(const Call& who, const std::map<std::string, std::string>& files, const std::string& access = "public", bool prune = true) {
    IngestSpec spec{collection_, "folder", {}, *AccessList::parse(access), {}, prune};
    std::map<std::string, std::string> by_digest;
    for (const auto& [path, text] : files) {
      spec.files.push_back({path, digest_of(text), static_cast<std::int64_t>(text.size()), ""});
      by_digest[digest_of(text)] = text;
    }
    const auto job = ingest_->create_job(who, spec);
    EXPECT_TRUE(job) << job.error().message;
    if (!job) return {};
    missing_ = job->missing.size();
    for (const auto& digest : job->missing) EXPECT_TRUE(ingest_->put_blob(who, job->id, digest, as_bytes(by_digest[digest])));
    const Status started = ingest_->start(who, job->id);
    EXPECT_TRUE(started) << started.error().message;
    return job->id;
  }
  IngestProgress run(const Call& who, const std::map<std::string, std::string>& files, const std::string& access = "public", bool prune = true) {
    const std::string job = create(who, files, access, prune);
    (void)ingest_->start_worker();
    auto end = ingest_->wait(who, job, Deadline::after(std::chrono::seconds(20)));
    ingest_->stop_worker();
    EXPECT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->status, JobStatus::kCompleted);
    return *end;
  }
  IngestProgress ended(const Call& who, const std::string& job) {
    const auto end = ingest_->wait(who, job, Deadline::after(std::chrono::seconds(20)));
    EXPECT_TRUE(end) << end.error().message;
    return end.value_or(IngestProgress());
  }
  // Until what was replaced or removed is deleted, while the worker runs.
  void swept() {
    const Deadline end = Deadline::after(std::chrono::seconds(20));
    const auto left = [&] { return rows("documents WHERE stale = 1") + rows("collections WHERE project = ''"); };
    while (left() > 0 && !end.passed()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(left(), 0);
    EXPECT_EQ(rows("chunks k JOIN documents d ON d.id = k.document WHERE k.generation <> d.generation"), 0);
  }
  std::size_t hits(const Call& who, std::string_view query) {
    const std::vector<std::string> ids{collection_};
    return index_->search_text({who.principal, ids, nullptr, 100}, query)->size();
  }
  std::int64_t rows(std::string_view table) { return *sql_->query("SELECT COUNT(*) FROM " + std::string(table))->at(0).get<std::int64_t>(0); }

  std::filesystem::path folder_;
  std::unique_ptr<infra::BlobStore> blobs_ = infra::open_memory_blobs();
  std::unique_ptr<infra::KeyManagement> keys_ = infra::open_memory_keys();
  std::unique_ptr<infra::SqlDatabase> sql_;
  std::unique_ptr<governance::Sealer> sealer_;
  std::unique_ptr<governance::SealedBlobs> sealed_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<infra::EventBus> events_;
  const governance::PriceBook prices_ = *governance::PriceBook::load(STOA_SOURCE_DIR "/share/prices.yaml");
  std::unique_ptr<governance::Ledger> ledger_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Ingest> ingest_;
  LetterEmbedder embedder_;
  IngestLimits limits_;
  std::string collection_;
  std::size_t missing_ = 0;
};

}  // namespace stoa::data
