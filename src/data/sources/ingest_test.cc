#include "data/sources/ingest.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include <gtest/gtest.h>

#include "base/id.h"
#include "data/sources/blob_collector.h"
#include "data/sources/walk.h"
#include "infra/blob/blob.h"
#include "infra/bus/local/local.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

// Vectors from the letters of a text: equal texts are near, nothing else is promised. Can be told to fail or to block.
class LetterEmbedder : public Embedder {
 public:
  Result<Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    if (fail_on_ >= 0 && calls_++ >= fail_on_) return fail(ErrorCode::kUnavailable, "the model is gone");
    Embeddings out;
    out.dimensions = dimensions();
    for (const auto& text : texts) {
      std::vector<float> v(26, 0.01F);
      for (const char c : text) {
        if (c >= 'a' && c <= 'z') v[static_cast<std::size_t>(c - 'a')] += 1;
      }
      float norm = 0;
      for (const float x : v) norm += x * x;
      for (const float x : v) out.values.push_back(x / std::sqrt(norm));
      out.tokens.push_back(*approximate_tokens(text));
    }
    out.compute_micros = 10;
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return approximate_tokens(text); }
  int dimensions() const override { return 26; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "letters"; }

  int fail_on_ = -1, calls_ = 0;
};

std::string digest_of(std::string_view text) { return "sha256:" + infra::sha256_hex(text); }

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
    ingest_ = std::make_unique<Ingest>(*catalog_, &embedder_, ledger_.get());
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
  std::string collection_;
  std::size_t missing_ = 0;
};

TEST_F(IngestTest, UnchangedChangedRelabelledRemoved) {
  const Call ann = call("ann");
  auto end = run(ann, {{"a.md", "# A\nalpha text"}, {"b.txt", "beta text"}, {"bad.pdf", "%PDF-1.4 no"}});
  EXPECT_EQ(end.total, 3);
  EXPECT_EQ(end.done, 3);
  EXPECT_EQ(end.failed, 1);
  ASSERT_EQ(end.errors.size(), 1u);
  EXPECT_EQ(end.errors[0].path, "bad.pdf");
  EXPECT_GT(end.tokens, 0);
  EXPECT_EQ(hits(ann, "text"), 2u);

  end = run(ann, {{"a.md", "# A\nalpha text"}, {"b.txt", "gamma text"}});
  EXPECT_EQ(missing_, 1u);
  EXPECT_EQ(end.unchanged, 1);
  EXPECT_EQ(end.removed, 0);
  EXPECT_EQ(hits(ann, "beta"), 0u);
  EXPECT_EQ(hits(ann, "gamma"), 1u);

  end = run(ann, {{"a.md", "# A\nalpha text"}}, "group:eng");
  EXPECT_EQ(end.removed, 1);
  EXPECT_EQ(end.chunks, 0);  // only relabelled
  EXPECT_EQ(hits(ann, "text"), 0u);
  EXPECT_EQ(hits(call("bob", {"eng"}), "alpha"), 1u);
  EXPECT_EQ(rows("documents"), 1);
  EXPECT_EQ(rows("chunks"), 1);

  // The one who brought it in, though no reader, replaces it rather than adding a second one.
  run(ann, {{"a.md", "# A\nomega text"}}, "group:eng");
  EXPECT_EQ(rows("documents"), 1);
  EXPECT_EQ(hits(call("bob", {"eng"}), "omega"), 1u);
}

TEST_F(IngestTest, GoesOnAfterACrash) {
  const Call ann = call("ann");
  std::map<std::string, std::string> files;
  for (int i = 0; i < 12; ++i) files["f" + std::to_string(i) + ".txt"] = "common word and number " + std::to_string(i);
  const std::string job = create(ann, files);
  // Three times the process is gone after some files, at a moment of its own choosing.
  for (int life = 0; life < 3; ++life) {
    ASSERT_TRUE(ingest_->start_worker());
    (void)ingest_->wait(ann, job, Deadline::after(std::chrono::milliseconds(3)));
    halt();
    boot();
    EXPECT_EQ(hits(ann, "common"), static_cast<std::size_t>(rows("documents")));
  }
  ASSERT_TRUE(ingest_->start_worker());
  const auto end = ingest_->wait(ann, job, Deadline::after(std::chrono::seconds(20)));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, JobStatus::kCompleted);
  EXPECT_EQ(end->done, 12);
  EXPECT_EQ(end->failed, 0);
  EXPECT_EQ(rows("documents"), 12);
  EXPECT_EQ(rows("chunks"), 12);
  EXPECT_EQ(hits(ann, "common"), 12u);
  halt();
  boot();
  EXPECT_EQ(hits(ann, "common"), 12u);
}

TEST_F(IngestTest, OneFailingFileDoesNotStopTheRest) {
  embedder_.fail_on_ = 1;
  const auto end = run(call("ann"), {{"a.txt", "first"}, {"b.txt", "second"}});
  EXPECT_EQ(end.done, 2);
  EXPECT_EQ(end.failed, 1);
  ASSERT_EQ(end.errors.size(), 1u);
  EXPECT_TRUE(end.errors[0].message.contains("the model is gone"));
  EXPECT_EQ(rows("documents"), 1);
}

TEST_F(IngestTest, ACollectionIsMadeAnewBesideWhatIsSearched) {
  const Call ann = call("ann"), bob = call("bob");
  const std::string sentence = "Die Häuser am Fluss sind alt und stehen in einer langen Reihe nebeneinander. ";
  std::string text;
  for (int i = 0; i < 12; ++i) text += sentence;
  run(ann, {{"a.txt", text + "eins"}, {"b.txt", text + "zwei"}});
  run(bob, {{"c.txt", text + "drei"}}, "user:bob", false);
  const auto chunks = rows("chunks");
  EXPECT_EQ(hits(ann, "haus"), 0u) << "English words";
  const std::size_t before = hits(ann, "Häuser");

  EXPECT_EQ(ingest_->reindex(ann, {collection_, "klingon", {}}).error().param, "language");
  EXPECT_EQ(ingest_->reindex(ann, {collection_, {}, 3}).error().param, "chunk_tokens");
  EXPECT_EQ(ingest_->reindex(ann, {"vs_none", {}, {}}).error().code, ErrorCode::kNotFound);
  const auto job = ingest_->reindex(ann, {collection_, "de", 32});
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(ingest_->reindex(ann, {collection_, {}, {}}).error().code, ErrorCode::kConflict);

  // While it runs, the process is gone now and then; what is searched stays what it was until all of it is there.
  for (int life = 0; life < 3; ++life) {
    ASSERT_TRUE(ingest_->start_worker());
    (void)ingest_->wait(ann, *job, Deadline::after(std::chrono::milliseconds(2)));
    halt();
    boot();
    if (ingest_->progress(ann, *job)->status == JobStatus::kRunning) {
      EXPECT_EQ(hits(ann, "haus"), 0u);
      EXPECT_EQ(hits(ann, "Häuser"), before);
    }
  }
  // One comes, one changes, one gets other readers while it runs.
  ASSERT_TRUE(ingest_->start_worker());
  const auto end = ingest_->wait(ann, *job, Deadline::after(std::chrono::seconds(20)));
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, JobStatus::kCompleted);
  EXPECT_EQ(end->failed, 0);
  ingest_->stop_worker();
  EXPECT_GT(rows("chunks"), chunks);
  EXPECT_EQ(rows("chunks"), *sql_->query("SELECT SUM(chunks) FROM documents")->at(0).get<std::int64_t>(0));
  EXPECT_EQ(rows("chunks WHERE staged <> ''"), 0);
  const std::size_t after = hits(ann, "haus");
  EXPECT_GT(after, before);
  EXPECT_GT(hits(bob, "haus"), after) << "and what bob alone may read";
  EXPECT_EQ(catalog_->collection(ann, collection_)->settings, (CollectionSettings{"german", 32}));
  halt();
  boot();
  EXPECT_EQ(hits(ann, "haus"), after);
  // What comes later is made with the same settings.
  run(ann, {{"d.txt", text}}, "public", false);
  EXPECT_GT(hits(ann, "haus"), after);
  const auto found = catalog_->passages(ann, *index_->search_text({ann.principal, std::vector<std::string>{collection_}, nullptr, 100}, "haus"));
  ASSERT_TRUE(found);
  for (const auto& one : *found) EXPECT_LT(one.passage.text.size(), text.size() / 2);
}

TEST_F(IngestTest, WhatChangesWhileACollectionIsMadeAnew) {
  const Call ann = call("ann");
  run(ann, {{"a.txt", "alpha word"}, {"b.txt", "beta word"}, {"c.txt", "gamma word"}, {"e.txt", "epsilon word"}});
  const auto id_of = [&](std::string_view path) {
    const auto page = catalog_->documents(ann, collection_, {.limit = 100});
    const auto found = std::ranges::find(page->items, path, &Document::path);
    return found == page->items.end() ? std::string() : found->id;
  };
  // A job whose first documents were made while others come, change and go: the worker takes the jobs in turns.
  const auto job = ingest_->reindex(ann, {collection_, {}, 64});
  ASSERT_TRUE(job);
  create(ann, {{"a.txt", "alpha changed word"}, {"d.txt", "delta word"}}, "public", false);
  create(ann, {{"b.txt", "beta word"}}, "user:bob", false);
  ASSERT_TRUE(catalog_->remove_document(ann, id_of("c.txt")));
  ASSERT_TRUE(catalog_->set_attributes(ann, id_of("e.txt"), {{"k", 1.0}}));
  ASSERT_TRUE(ingest_->start_worker());
  const auto end = ingest_->wait(ann, *job, Deadline::after(std::chrono::seconds(20)));
  ingest_->stop_worker();
  ASSERT_EQ(end->status, JobStatus::kCompleted);
  EXPECT_EQ(hits(ann, "word"), 3u);
  EXPECT_EQ(hits(ann, "changed"), 1u);
  EXPECT_EQ(hits(ann, "delta"), 1u);
  EXPECT_EQ(hits(ann, "beta") + hits(ann, "gamma"), 0u);
  EXPECT_EQ(hits(call("bob"), "beta"), 1u);
  const Filter filter{FilterOp::kEq, "k", {1.0}, {}};
  EXPECT_EQ(index_->search_text({ann.principal, std::vector<std::string>{collection_}, &filter, 10}, "word")->size(), 1u);
  halt();
  boot();
  EXPECT_EQ(hits(ann, "word"), 3u);

  // One whose original cannot be read any more keeps its passages; a job that is cancelled leaves everything as it was.
  embedder_.fail_on_ = 2;
  const auto failing = ingest_->reindex(ann, {collection_, {}, 48});
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_GT(ingest_->wait(ann, *failing, Deadline::after(std::chrono::seconds(20)))->failed, 0);
  ingest_->stop_worker();
  EXPECT_EQ(hits(ann, "word"), 3u);
  const auto cancelled = ingest_->reindex(ann, {collection_, "de", {}});
  ASSERT_TRUE(cancelled);
  ASSERT_TRUE(ingest_->cancel(ann, *cancelled));
  EXPECT_EQ(rows("chunks WHERE staged <> ''"), 0);
  EXPECT_EQ(catalog_->collection(ann, collection_)->settings, (CollectionSettings{"english", 48}));
}

using IngestAttacks = IngestTest;

TEST_F(IngestAttacks, OthersLearnNothing) {
  const Call ann = call("ann"), bob = call("bob"), stranger = call("ann", {}, "proj_b");
  run(ann, {{"secret.txt", "secret plan"}}, "user:ann");
  const auto seen = catalog_->documents(ann, collection_);
  ASSERT_TRUE(seen);
  ASSERT_EQ(seen->items.size(), 1u);
  const std::string id = seen->items[0].id;
  EXPECT_TRUE(catalog_->open_document(ann, id));
  EXPECT_EQ(catalog_->documents(bob, collection_)->items.size(), 0u);
  EXPECT_EQ(catalog_->collection(bob, collection_)->counts.total, 0);
  EXPECT_EQ(catalog_->collection(ann, collection_)->counts.total, 1);
  EXPECT_EQ(catalog_->document(bob, id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(catalog_->open_document(bob, id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(catalog_->remove_document(bob, id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(catalog_->document(bob, id).error().message, catalog_->document(bob, "doc_none").error().message.replace(13, 8, id));
  EXPECT_EQ(catalog_->collection(stranger, collection_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(catalog_->remove_collection(stranger, collection_).error().code, ErrorCode::kNotFound);
  const std::vector<Hit> guess{{1, 1.0}, {2, 1.0}};
  EXPECT_EQ(catalog_->passages(bob, guess)->size(), 0u);
  const auto own = catalog_->passages(ann, guess);
  ASSERT_EQ(own->size(), 1u);
  EXPECT_EQ(own->front().passage.document_version, seen->items[0].digest);
  EXPECT_EQ(own->front().passage.readers, "user:ann");

  // Knowing a digest is no right to the bytes; the same path of another reader stays another document.
  IngestSpec spec{collection_, "folder", {{"secret.txt", digest_of("secret plan"), 11, ""}}, *AccessList::parse("user:bob"), {}, true};
  const auto job = ingest_->create_job(bob, spec);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->missing.size(), 1u);
  EXPECT_EQ(ingest_->start(bob, job->id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(ingest_->progress(ann, job->id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(run(bob, {{"other.txt", "mine"}}, "user:bob").removed, 0);
  EXPECT_EQ(catalog_->documents(ann, collection_)->items.size(), 1u);
}

TEST_F(IngestTest, AttachShowsItsStateAndReplaces) {
  const Call ann = call("ann");
  const auto attach = [&](const std::string& text, const std::string& name) {
    EXPECT_TRUE(sealed_->put(*sealer_->project("proj_a"), as_bytes(text)));
    return ingest_->attach(ann, {collection_, "file-1", name, digest_of(text), static_cast<std::int64_t>(text.size()), "", *AccessList::parse("public"), {{"k", 1.0}}, {}});
  };
  const auto first = attach("# T\nhello there", "t.md");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->status, DocumentStatus::kInProgress);
  const auto settled = [&] {
    (void)ingest_->start_worker();
    Document at;
    for (int i = 0; i < 200; ++i) {
      at = *catalog_->document_of_file(ann, collection_, "file-1");
      if (at.status != DocumentStatus::kInProgress) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ingest_->stop_worker();
    return at;
  };
  Document at = settled();
  EXPECT_EQ(at.status, DocumentStatus::kCompleted);
  EXPECT_EQ(at.title, "T");
  EXPECT_EQ(hits(ann, "hello"), 1u);
  EXPECT_EQ(catalog_->document_text(ann, at.id)->at(0), "hello there");
  ASSERT_TRUE(attach("%PDF-1.4 broken", "t.pdf"));
  at = settled();
  EXPECT_EQ(at.status, DocumentStatus::kFailed);
  EXPECT_EQ(at.error_code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(hits(ann, "hello"), 0u);
  EXPECT_TRUE(catalog_->remove_document(ann, at.id));
  EXPECT_EQ(catalog_->document_of_file(ann, collection_, "file-1").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(attach("once more", "t.md"));
  EXPECT_EQ(settled().status, DocumentStatus::kCompleted);
  EXPECT_EQ(run(ann, {{"kept.txt", "once kept"}}).failed, 0);
  EXPECT_EQ(hits(ann, "once"), 2u);
  EXPECT_TRUE(catalog_->remove_documents_of_file(call("ann", {}, "proj_b"), "file-1"));
  EXPECT_EQ(hits(ann, "once"), 2u);
  EXPECT_TRUE(catalog_->remove_documents_of_file(ann, "file-1"));
  EXPECT_EQ(hits(ann, "once"), 1u);
  EXPECT_FALSE(catalog_->remove_documents_of_file(ann, ""));  // documents of folders have no file
}

TEST_F(IngestTest, RefusesBadInput) {
  const Call ann = call("ann");
  const std::string good = digest_of("x");
  for (const std::string path : {"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "\xFF"}) {
    EXPECT_FALSE(ingest_->create_job(ann, {collection_, "s", {{path, good, 1, ""}}, {}, {}, false})) << path;
  }
  EXPECT_FALSE(ingest_->create_job(ann, {collection_, "s", {{"a", "md5:1", 1, ""}}, {}, {}, false}));
  EXPECT_FALSE(ingest_->create_job(ann, {collection_, "s", {{"a", good, 1, ""}, {"a", good, 1, ""}}, {}, {}, false}));
  EXPECT_EQ(ingest_->create_job(ann, {"vs_none", "s", {}, {}, {}, false}).error().code, ErrorCode::kNotFound);
  const auto job = ingest_->create_job(ann, {collection_, "s", {{"a", good, 1, ""}}, {}, {}, false});
  ASSERT_TRUE(job);
  EXPECT_EQ(ingest_->put_blob(ann, job->id, good, as_bytes("y")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ingest_->put_blob(ann, job->id, digest_of("y"), as_bytes("y")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(ingest_->cancel(ann, job->id));
  EXPECT_EQ(ingest_->progress(ann, job->id)->status, JobStatus::kCancelled);
  EXPECT_EQ(ingest_->start(ann, job->id).error().code, ErrorCode::kConflict);
}

TEST_F(IngestTest, CollectionsChangePageAndExpire) {
  const Call ann = call("ann");
  auto made = catalog_->create_collection(ann, {"second", {{"k", "v"}}, 7});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->expires, made->created + Micros{7} * 86'400'000'000);
  EXPECT_EQ(catalog_->find_collection(ann, "second")->id, made->id);
  const auto page = catalog_->collections(ann, {1, "", false});
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->more);
  EXPECT_EQ(page->items.at(0).id, made->id);
  EXPECT_EQ(catalog_->collections(ann, {1, made->id, false})->items.at(0).id, collection_);
  EXPECT_EQ(catalog_->change_collection(ann, made->id, {"third", {}, std::optional<int>()})->name, "third");
  EXPECT_FALSE(catalog_->collection(ann, made->id)->expires);
  EXPECT_FALSE(catalog_->create_collection(ann, {"x", {}, 0}));
  EXPECT_FALSE(catalog_->collections(ann, {0, "", false}));
  EXPECT_TRUE(catalog_->remove_collection(ann, made->id));
  EXPECT_EQ(catalog_->collection(ann, made->id).error().code, ErrorCode::kNotFound);
}

TEST(Walk, FolderWithTraps) {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / new_id("walk_test"), outside = fs::temp_directory_path() / new_id("walk_out");
  fs::create_directories(root / "sub");
  const auto put = [](const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; };
  put(root / "b.txt", "b");
  put(root / "sub" / "a.md", "# a");
  put(root / ".hidden", "h");
  put(root / "big.txt", std::string(200, 'x'));
  put(root / "bin.txt", std::string("\0\1", 2));
  put(outside, "secret");
  fs::create_symlink(outside, root / "out.txt");
  fs::create_symlink(root / "b.txt", root / "in.txt");
  fs::create_directory_symlink(root, root / "sub" / "loop");
  WalkLimits limits;
  limits.max_file_bytes = 100;
  const auto walked = walk_folder(root, limits);
  ASSERT_TRUE(walked);
  std::vector<std::string> paths, skipped;
  for (const auto& file : walked->files) paths.push_back(file.file.path);
  for (const auto& file : walked->skipped) skipped.push_back(file.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"b.txt", "in.txt", "sub/a.md"}));
  EXPECT_EQ(skipped, (std::vector<std::string>{"big.txt", "bin.txt", "out.txt"}));
  EXPECT_EQ(walked->files[0].file.digest, digest_of("b"));
  EXPECT_EQ(walk_folder(root / "b.txt")->files.at(0).file.path, "b.txt");
  EXPECT_EQ(walk_folder(root / "none").error().code, ErrorCode::kNotFound);
  fs::remove_all(root);
  fs::remove(outside);
}

TEST_F(IngestTest, BlobsGoWithTheLastDocumentThatNamesThem) {
  const auto held = [&] {
    (void)events_->start();
    EXPECT_TRUE(events_->drain(Deadline::after(std::chrono::seconds(20))));
    std::set<std::string> found;
    EXPECT_TRUE(blobs_->for_each([&](const std::string& digest, std::uint64_t) -> Result<bool> {
      found.insert(digest);
      return true;
    }));
    return found;
  };
  const auto digests = [&](std::initializer_list<const char*> texts) {
    std::set<std::string> out;
    for (const char* text : texts) out.insert(sealed_->address_of(*sealer_->project("proj_a"), digest_of(text)));
    return out;
  };
  const Call ann = call("ann");
  run(ann, {{"a.txt", "one"}, {"b.txt", "two"}, {"c.txt", "two"}, {"bad.pdf", "%PDF-1.4 broken"}});
  EXPECT_EQ(held(), digests({"one", "two"})) << "nobody can open what could not be read";
  run(ann, {{"a.txt", "changed"}, {"b.txt", "two"}, {"c.txt", "three"}});
  EXPECT_EQ(held(), digests({"changed", "two", "three"})) << "b.txt still has the bytes that c.txt had";
  run(ann, {{"b.txt", "two"}});
  EXPECT_EQ(held(), digests({"two"})) << "pruned";
  const std::string waiting = create(ann, {{"d.txt", "four"}});  // started, not worked on
  EXPECT_EQ(held(), digests({"two", "four"}));
  ASSERT_TRUE(ingest_->cancel(ann, waiting));
  EXPECT_EQ(held(), digests({"two"}));

  // A crash between the removal of the rows and that of the bytes: the next start completes it.
  events_->stop();
  ASSERT_TRUE(catalog_->remove_collection(ann, collection_));
  EXPECT_TRUE(*sealed_->exists(*sealer_->project("proj_a"), digest_of("two")));
  halt();
  boot();
  EXPECT_EQ(held(), digests({}));
}

TEST_F(IngestTest, EmbeddingIsPaidOnceAFile) {
  const Call ann = call("ann");
  const auto paid = [&] {
    auto totals = *ledger_->usage({.tenant = "", .project = "proj_a", .principal = "user_ann", .model = "letters", .by = governance::UsageGroup::kKind});
    return totals.empty() ? governance::UsageTotal{} : totals[0];
  };
  embedder_.fail_on_ = 1;  // the second file's embedding fails: not paid
  run(ann, {{"a.txt", "one two three"}, {"b.txt", "four five six"}});
  EXPECT_EQ(paid().group, "ingest");
  EXPECT_EQ(paid().requests, 1);
  EXPECT_EQ(paid().compute_micros, 10);
  EXPECT_GT(paid().input_tokens, 0);
  embedder_.fail_on_ = -1;
  run(ann, {{"a.txt", "one two three"}, {"b.txt", "four five six"}});
  EXPECT_EQ(paid().requests, 2) << "the unchanged file costs nothing";
  EXPECT_EQ(paid().compute_micros, 20);
  EXPECT_EQ(ledger_->budget("proj_a")->reserved, 0);

  // Settled, then killed before the document was committed: done again, paid once.
  const std::string job = create(ann, {{"c.txt", "seven eight"}}, "public", false);
  Call first = ann;
  first.request_id = job + ".0";
  auto reservation = ledger_->reserve(first, "ingest", "letters", 100);
  ASSERT_TRUE(reservation);
  Usage usage;
  usage.compute_micros = 1000;
  ASSERT_TRUE(ledger_->settle(*reservation, usage));
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_EQ(ingest_->wait(ann, job, Deadline::after(std::chrono::seconds(20)))->failed, 0);
  ingest_->stop_worker();
  EXPECT_EQ(paid().requests, 3);
  EXPECT_EQ(paid().compute_micros, 1020);

  ASSERT_TRUE(ledger_->set_budget("proj_a", 0));
  const auto refused = run(ann, {{"d.txt", "nine ten"}}, "public", false);
  EXPECT_EQ(refused.failed, 1);
  ASSERT_EQ(refused.errors.size(), 1u);
  EXPECT_NE(refused.errors[0].message.find("budget"), std::string::npos) << refused.errors[0].message;
}

}  // namespace
}  // namespace stoa::data
