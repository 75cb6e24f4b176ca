#include "data/sources/index_snapshots.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <new>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "base/id.h"
#include "data/sources/ingest.h"
#include "governance/protection/memory_protection.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

// Two numbers, of the letters a and b.
class AbEmbedder : public Embedder {
 public:
  Result<Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    Embeddings out{.dimensions = 2};
    for (const auto& text : texts) {
      out.values.push_back(1 + static_cast<float>(std::ranges::count(text, 'a')));
      out.values.push_back(1 + static_cast<float>(std::ranges::count(text, 'b')));
      out.tokens.push_back(1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return approximate_tokens(text); }
  int dimensions() const override { return 2; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "ab"; }
};

Call as(const std::string& user) {
  Call call;
  call.principal = {"user_" + user, "tenant_1", "proj_a", user, {}, "developer"};
  return call;
}

struct World {
  World() {
    std::filesystem::create_directories(folder);
    start();
    collection = catalog->create_collection(as("ann"), {"docs", {}, {}})->id;
  }
  ~World() { std::filesystem::remove_all(folder); }

  // The rows stay, everything in memory is new. How many passages came from the rows.
  std::size_t start(const std::string& model = "ab", IndexSnapshotOptions options = {.min_passages = 1}) {
    stop();
    index = std::make_unique<Index>();
    snapshots = *IndexSnapshots::open(folder / "index", *index, *protection.sealer, options);
    catalog = std::make_unique<Catalog>(*sql, protection.blobs, *index);
    EXPECT_TRUE(catalog->open(model, snapshots.get()));
    std::size_t from_rows = 0;
    for (const auto& state : index->collections()) from_rows += state.changes;
    return from_rows;
  }
  void stop(bool killed = false) {
    if (killed && std::filesystem::exists(file())) std::filesystem::copy_file(file(), folder / "kept", std::filesystem::copy_options::overwrite_existing);
    catalog.reset();
    snapshots.reset();
    index.reset();
    if (killed && std::filesystem::exists(folder / "kept")) std::filesystem::copy_file(folder / "kept", file(), std::filesystem::copy_options::overwrite_existing);
  }
  std::filesystem::path file() const { return folder / "index" / (collection + ".snapshot"); }

  void bring(const std::map<std::string, std::string>& files, const std::string& access = "public", const Attributes& attributes = {}, const std::string& into = {}) {
    AbEmbedder embedder;
    Ingest ingest(*catalog, &embedder);
    IngestSpec spec{into.empty() ? collection : into, "folder", {}, *AccessList::parse(access), attributes, false};
    for (const auto& [path, text] : files) spec.files.push_back({path, "sha256:" + infra::sha256_hex(text), static_cast<std::int64_t>(text.size()), ""});
    const auto job = ingest.create_job(as("ann"), spec);
    for (const auto& [path, text] : files) (void)ingest.put_blob(as("ann"), job->id, "sha256:" + infra::sha256_hex(text), as_bytes(text));
    ASSERT_TRUE(ingest.start(as("ann"), job->id));
    ASSERT_TRUE(ingest.start_worker());
    ASSERT_EQ(ingest.wait(as("ann"), job->id, Deadline::after(std::chrono::seconds(20)))->failed, 0);
    ingest.stop_worker();
  }
  // What everybody who may read something finds, by words and by vectors, as one text.
  std::string found() {
    std::string all;
    const std::vector<std::string> ids{collection};
    const Filter recent{FilterOp::kGt, "year", {2000.0}, {}};
    for (const char* user : {"ann", "bob"}) {
      const Call call = as(user);
      for (const Filter* filter : {static_cast<const Filter*>(nullptr), &recent}) {
        const auto text = index->search_text({call.principal, ids, filter, 50}, "word");
        const auto vector = index->search_vector({call.principal, ids, filter, 50}, std::vector<float>{1, 0.2F});
        for (const auto* hits : {&text, &vector})
          for (const Hit& hit : **hits) all += fmt::format("{}:{:.4f} ", hit.key, hit.score);
        all += "\n";
      }
    }
    return all;
  }

  const std::filesystem::path folder = std::filesystem::temp_directory_path() / new_id("snapshots_test");
  std::unique_ptr<infra::SqlDatabase> sql = std::move(*infra::open_memory());
  governance::MemoryProtection protection{*sql};
  std::unique_ptr<Index> index;
  std::unique_ptr<IndexSnapshots> snapshots;
  std::unique_ptr<Catalog> catalog;
  std::string collection;
};

TEST(IndexSnapshots, AStartReadsThemAndTheRowsHaveTheLastWord) {
  World world;
  world.bring({{"1.txt", "word a a"}, {"2.txt", "word b"}, {"3.txt", "word a b b"}}, "public", {{"year", 2020.0}});
  world.bring({{"4.txt", "word bob"}}, "user:bob");
  const std::string before = world.found();
  EXPECT_EQ(world.start(), 0u) << "all of it from the snapshot";
  EXPECT_EQ(world.found(), before);

  // Killed after changes: the snapshot is of before.
  world.bring({{"1.txt", "word a a a a"}, {"5.txt", "word five"}});
  world.bring({{"2.txt", "word b"}}, "user:bob");
  const auto third = world.catalog->documents(as("ann"), world.collection, {.limit = 100});
  for (const Document& document : third->items) {
    if (document.path == "3.txt") {
      ASSERT_TRUE(world.catalog->remove_document(as("ann"), document.id));
    } else if (document.path == "5.txt") {
      ASSERT_TRUE(world.catalog->set_attributes(as("ann"), document.id, {{"year", 2021.0}}));
    }
  }
  const std::string after = world.found();
  EXPECT_NE(after, before);
  world.stop(true);
  EXPECT_GT(world.start(), 0u);
  EXPECT_EQ(world.found(), after);
}

TEST(IndexSnapshots, WhatDoesNotFitCostsTimeOnly) {
  World world;
  world.bring({{"1.txt", "word a a"}, {"2.txt", "word b"}});
  const std::string found = world.found();
  world.stop();
  const auto change = [&](auto&& action) {
    std::fstream file(world.file(), std::ios::in | std::ios::out | std::ios::binary);
    action(file);
  };
  const auto flip = [&](std::streamoff at) {
    change([&](std::fstream& file) {
      file.seekg(at);
      const int was = file.get();
      file.seekp(at);
      file.put(static_cast<char>(was ^ 1));
    });
  };
  const auto size = std::filesystem::file_size(world.file());
  const std::vector<std::function<void()>> damages{
      [&] { flip(static_cast<std::streamoff>(size) - 3); },
      [&] { flip(10); },
      [&] { std::filesystem::resize_file(world.file(), size - 1); },
      [&] { std::filesystem::resize_file(world.file(), 20); },
      [&] { std::filesystem::resize_file(world.file(), 0); },
      [&] { std::filesystem::resize_file(world.file(), size + 100); },
      [&] { std::filesystem::remove(world.file()); },
  };
  for (const auto& damage : damages) {
    damage();
    EXPECT_GT(world.start(), 0u);
    EXPECT_EQ(world.found(), found);
    world.stop();
    EXPECT_GE(std::filesystem::file_size(world.file()), size);
  }
  EXPECT_GT(world.start("another model"), 0u) << "vectors of another model";
  world.start();
  EXPECT_EQ(world.found(), found);
}

TEST(IndexSnapshots, TheirFilesGoWithWhatTheyHold) {
  World world;
  world.bring({{"1.txt", "word planted-secret"}});
  const std::string found = world.found();
  world.start();
  ASSERT_TRUE(std::filesystem::exists(world.file()));
  std::ifstream file(world.file(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  EXPECT_FALSE(bytes.contains("planted")) << "sealed";
  std::ofstream(world.folder / "index" / "vs_gone.snapshot") << "x";
  std::ofstream(world.folder / "index" / "vs_half.unfinished") << "x";
  world.start();
  EXPECT_FALSE(std::filesystem::exists(world.folder / "index" / "vs_gone.snapshot"));
  EXPECT_FALSE(std::filesystem::exists(world.folder / "index" / "vs_half.unfinished"));
  EXPECT_EQ(world.found(), found);
  ASSERT_TRUE(world.catalog->remove_collection(as("ann"), world.collection));
  EXPECT_FALSE(std::filesystem::exists(world.file()));
}

TEST(IndexSnapshots, OfWhatGoesMeanwhileNoFileStays) {
  World world;
  world.bring({{"1.txt", "word"}});
  world.start();
  ASSERT_TRUE(std::filesystem::exists(world.file()));
  world.index->remove_collection(world.collection);
  EXPECT_EQ(world.snapshots->save(*world.protection.sealer->project("proj_a"), world.collection).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(world.file()));
}

TEST(IndexSnapshots, OneThatIsWrittenHoldsUpItsOwnCollectionOnly) {
  World world;
  world.bring({{"1.txt", "word a"}});
  const std::string other = world.catalog->create_collection(as("ann"), {"other", {}, {}})->id;
  world.bring({{"1.txt", "word a"}, {"2.txt", "word b"}}, "public", {}, other);
  const auto first_of = [&](const std::string& collection) { return world.catalog->documents(as("ann"), collection)->items.at(0).id; };
  const auto passages_of = [&](const std::string& collection) {
    const auto states = world.index->collections();
    return std::ranges::find(states, collection, &Index::CollectionState::id)->passages;
  };
  const std::string own = first_of(world.collection);
  std::promise<void> begun, finish;
  std::thread keeper([&] {
    bool first = true;
    EXPECT_TRUE(world.index->save(world.collection, [&](ByteSpan) -> Status {
      if (std::exchange(first, false)) begun.set_value(), finish.get_future().wait();
      return {};
    }));
  });
  begun.get_future().wait();
  std::thread held_up([&] { EXPECT_TRUE(world.catalog->remove_document(as("ann"), own)); });
  const auto is_there = [&] { return world.sql->query_one("SELECT 1 FROM documents WHERE id = ?", {own})->has_value(); };
  for (int i = 0; i < 2000 && is_there(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // then its write is at hand
  EXPECT_TRUE(world.catalog->set_attributes(as("ann"), first_of(other), {{"year", 2020.0}}));
  EXPECT_TRUE(world.catalog->remove_document(as("ann"), first_of(other)));
  EXPECT_EQ(world.catalog->collection(as("ann"), other)->counts.completed, 1);
  EXPECT_EQ(passages_of(other), 1u);
  EXPECT_EQ(passages_of(world.collection), 1u) << "it waits";
  finish.set_value();
  keeper.join();
  held_up.join();
  EXPECT_EQ(passages_of(world.collection), 0u);
}

TEST(IndexSnapshots, AreWrittenWhileTheServerRuns) {
  World world;
  world.start("ab", {.min_passages = 1, .changed = 0.1, .every = std::chrono::milliseconds(5)});
  world.bring({{"1.txt", "word a a"}});
  for (int i = 0; i < 2000 && !std::filesystem::exists(world.file()); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(std::filesystem::exists(world.file()));
}

TEST(IndexSnapshots, WhatCouldNotBePutInItsPlaceIsTriedAgain) {
  World world;
  world.bring({{"1.txt", "word a a"}});
  std::filesystem::create_directories(world.file() / "in the way");
  const auto keys = *world.protection.sealer->project("proj_a");
  EXPECT_FALSE(world.snapshots->save(keys, world.collection));
  EXPECT_EQ(std::ranges::distance(std::filesystem::directory_iterator(world.folder / "index")), 1) << "nothing half done is left";
  EXPECT_GT(world.index->collections().at(0).changes, 0u);
  std::filesystem::remove_all(world.file());
  EXPECT_TRUE(world.snapshots->save(keys, world.collection));
  EXPECT_EQ(world.index->collections().at(0).changes, 0u);
}

// Throws as a refused allocation does, some times, then works.
class ThrowingKeys : public infra::KeyManagement {
 public:
  std::string_view provider() const override { return keys_->provider(); }
  Result<infra::WrappedKey> wrap(const infra::SecretKey& key, std::string_view context) override {
    if (throws > 0 && throws-- > 0) throw std::bad_alloc();
    return keys_->wrap(key, context);
  }
  Result<infra::SecretKey> unwrap(const infra::WrappedKey& wrapped, std::string_view context) override { return keys_->unwrap(wrapped, context); }
  Status rotate() override { return keys_->rotate(); }
  Result<infra::MasterKeyStatus> describe() override { return keys_->describe(); }

  std::atomic<int> throws = 3;

 private:
  std::unique_ptr<infra::KeyManagement> keys_ = infra::open_memory_keys();
};

TEST(IndexSnapshots, TheKeeperOutlivesWhatIsThrown) {
  World world;
  ThrowingKeys keys;
  const auto sealer = std::move(*governance::Sealer::open(*world.sql, keys));
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_other"));
  ASSERT_TRUE(index.put("vs_1", {"d1", *AccessList::parse("public"), {}, {{1, "word", {}}}}));
  const auto snapshots = *IndexSnapshots::open(world.folder / "other", index, *sealer, {.min_passages = 1, .changed = 0.1, .every = std::chrono::milliseconds(5)});
  snapshots->start();
  const auto file = world.folder / "other" / "vs_1.snapshot";
  for (int i = 0; i < 2000 && !std::filesystem::exists(file); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(keys.throws, 0);
  EXPECT_TRUE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace stoa::data
