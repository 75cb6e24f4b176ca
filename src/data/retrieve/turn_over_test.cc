// Searches while a collection is made anew again and again.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/id.h"
#include "data/index/test_embedder.h"
#include "data/retrieve/retriever.h"
#include "data/sources/ingest.h"
#include "governance/protection/memory_protection.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

constexpr int kDocuments = 16, kWords = 48, kRounds = 15;  // at most 100 passages, which one search can give

std::string text_of(int document) {
  std::string text;
  for (int i = 0; i < kWords; ++i) text += (i == 0 ? "" : " ") + fmt::format("d{}w{}", document, i);
  return text;
}

std::vector<std::string> sorted_words(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream in(text);
  for (std::string word; in >> word;) words.push_back(word);
  std::ranges::sort(words);
  return words;
}

class TurnOverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    sql_ = std::move(*infra::open_sqlite(folder_ / "stoa.db"));
    protection_ = std::make_unique<governance::MemoryProtection>(*sql_);
    catalog_ = std::make_unique<Catalog>(*sql_, protection_->blobs, index_);
    ASSERT_TRUE(catalog_->open("letters"));
    call_.principal = {"user_ann", "tenant_1", "proj_a", "ann", {}, "developer"};
    collection_ = catalog_->create_collection(call_, {"docs", {}, {}})->id;
    ingest_ = std::make_unique<Ingest>(*catalog_, letter_embedders(embedder_));
    IngestSpec spec{collection_, "folder", {}, *AccessList::parse("public"), {}, false};
    for (int i = 0; i < kDocuments; ++i) spec.files.push_back({fmt::format("{}.txt", i), "sha256:" + infra::sha256_hex(text_of(i)), static_cast<std::int64_t>(text_of(i).size()), ""});
    const auto job = ingest_->create_job(call_, spec);
    ASSERT_TRUE(job);
    for (int i = 0; i < kDocuments; ++i) ASSERT_TRUE(ingest_->put_blob(call_, job->id, spec.files[static_cast<std::size_t>(i)].digest, as_bytes(text_of(i))));
    ASSERT_TRUE(ingest_->start(call_, job->id));
    ASSERT_TRUE(ingest_->start_worker());
    ASSERT_EQ(ingest_->wait(call_, job->id, Deadline::after(std::chrono::seconds(20)))->failed, 0);
  }
  void TearDown() override {
    ingest_.reset();
    catalog_.reset();
    protection_.reset();
    sql_.reset();
    std::filesystem::remove_all(folder_);
  }

  // What a search that asks for all gets wrong; empty: nothing. Each word of each document is to be in one passage.
  std::string wrong(Retriever& retriever, const SearchOptions& options, const std::string& query) {
    const auto found = retriever.search(call_, std::span(&collection_, 1), query, options);
    if (!found) return found.error().message;
    std::map<std::string, std::string> texts;
    for (const Passage& passage : *found) texts[passage.path] += passage.text + " ";
    if (texts.size() != kDocuments) return fmt::format("{} documents in {} passages", texts.size(), found->size());
    for (int i = 0; i < kDocuments; ++i)
      if (sorted_words(texts[fmt::format("{}.txt", i)]) != sorted_words(text_of(i))) return fmt::format("of document {}: {}", i, texts[fmt::format("{}.txt", i)]);
    return {};
  }

  const std::filesystem::path folder_ = std::filesystem::temp_directory_path() / new_id("turn_over_test");
  std::unique_ptr<infra::SqlDatabase> sql_;
  std::unique_ptr<governance::MemoryProtection> protection_;
  Index index_;
  std::unique_ptr<Catalog> catalog_;
  LetterEmbedder embedder_;
  std::unique_ptr<Ingest> ingest_;
  Call call_;
  std::string collection_;
};

TEST_F(TurnOverTest, SearchesAlwaysFindAll) {
  Retriever retriever(*catalog_, index_, letter_embedders(embedder_));
  std::string all;
  for (int i = 0; i < kDocuments; ++i) all += text_of(i) + " ";
  struct Searcher {
    SearchOptions options;
    std::string query;
    int searches = 0;
    std::string wrong{};
  };
  std::vector<Searcher> searchers{{{.k = 100, .mode = SearchMode::kText}, all},
                                  {{.k = 100, .mode = SearchMode::kVector}, "dw"},
                                  {{.k = 100, .mode = SearchMode::kVector, .min_score = 0.5}, "dw"},
                                  {{.k = 100, .mode = SearchMode::kHybrid, .min_score = 0.1}, all}};
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (Searcher& searcher : searchers)
    threads.emplace_back([&] {
      for (; !done && searcher.wrong.empty(); ++searcher.searches) searcher.wrong = wrong(retriever, searcher.options, searcher.query);
    });
  for (int round = 0; round < kRounds; ++round) {
    // Other passages, other passages and vectors, and the same once more.
    const auto job = ingest_->reindex(call_, {collection_, {}, round % 3 == 2 ? std::optional<int>() : 16 << round % 3, round % 4 < 2 ? "" : "few"});
    EXPECT_TRUE(job);
    if (!job) break;
    const auto end = ingest_->wait(call_, *job, Deadline::after(std::chrono::seconds(20)));
    EXPECT_EQ(end->status, JobStatus::kCompleted);
    EXPECT_EQ(end->failed, 0);
  }
  done = true;
  for (auto& thread : threads) thread.join();
  for (const Searcher& searcher : searchers) {
    EXPECT_EQ(searcher.wrong, "") << static_cast<int>(searcher.options.mode) << " after " << searcher.searches << " searches";
    EXPECT_GT(searcher.searches, 0);
  }
}

}  // namespace
}  // namespace stoa::data
