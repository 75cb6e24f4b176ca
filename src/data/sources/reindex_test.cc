#include <algorithm>
#include <set>

#include "data/sources/test_ingest.h"

namespace stoa::data {
namespace {

using ReindexTest = IngestTest;

TEST_F(ReindexTest, ACollectionIsMadeAnewBesideWhatIsSearched) {
  const Call ann = call("ann"), bob = call("bob");
  const std::string sentence = "Die Häuser am Fluss sind alt und stehen in einer langen Reihe nebeneinander. ";
  std::string text;
  for (int i = 0; i < 12; ++i) text += sentence;
  run(ann, {{"a.txt", text + "eins"}, {"b.txt", text + "zwei"}});
  run(bob, {{"c.txt", text + "drei"}}, "user:bob", false);
  const auto chunks = rows("chunks");
  EXPECT_EQ(hits(ann, "haus"), 0u) << "English words";
  const std::size_t before = hits(ann, "Häuser");

  EXPECT_EQ(ingest_->reindex(ann, {collection_, "klingon", {}, {}}).error().param, "language");
  EXPECT_EQ(ingest_->reindex(ann, {collection_, {}, 3, {}}).error().param, "chunk_tokens");
  EXPECT_EQ(ingest_->reindex(ann, {"vs_none", {}, {}, {}}).error().code, ErrorCode::kNotFound);
  const auto job = ingest_->reindex(ann, {collection_, "de", 32, {}});
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(ingest_->reindex(ann, {collection_, {}, {}, {}}).error().code, ErrorCode::kConflict);

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
  swept();
  ingest_->stop_worker();
  EXPECT_GT(rows("chunks"), chunks);
  EXPECT_EQ(rows("chunks"), *sql_->query("SELECT SUM(chunks) FROM documents")->at(0).get<std::int64_t>(0));
  const std::size_t after = hits(ann, "haus");
  EXPECT_GT(after, before);
  EXPECT_GT(hits(bob, "haus"), after) << "and what bob alone may read";
  EXPECT_EQ(catalog_->collection(ann, collection_)->settings, (CollectionSettings{"german", 32, "", ""}));
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

TEST_F(ReindexTest, ACollectionGetsAnotherEmbeddingModelBesideTheOneItHas) {
  const Call ann = call("ann");
  run(ann, {{"a.txt", "alpha word"}, {"b.txt", "beta word"}});
  const auto near = [&](Embedder& model) {
    const std::vector<std::string> ids{collection_};
    return index_->search_vector({ann.principal, ids, nullptr, 10}, model.embed({}, std::vector<std::string>{"alpha"})->values, model.model())->size();
  };
  const auto models = [&] {
    std::set<std::string> names;
    const auto rows = *sql_->query("SELECT embedding_model FROM documents");
    for (const auto& row : rows) names.insert(*row.get<std::string>(0));
    return names;
  };
  LetterEmbedder few("few", 'm');
  const auto unknown = ingest_->reindex(ann, {collection_, {}, {}, "nobody"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(unknown.error().param, "embedding_model");

  const auto job = ingest_->reindex(ann, {collection_, {}, {}, "few"});
  ASSERT_TRUE(job) << job.error().message;
  halt();
  boot();
  EXPECT_EQ(near(embedder_), 2u) << "until all is made";
  EXPECT_EQ(near(few), 0u);
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_EQ(ingest_->wait(ann, *job, Deadline::after(std::chrono::seconds(20)))->status, JobStatus::kCompleted);
  ingest_->stop_worker();
  EXPECT_EQ(near(embedder_), 0u);
  EXPECT_EQ(near(few), 2u);
  EXPECT_EQ(catalog_->collection(ann, collection_)->settings.embedding_model, "few");
  // What comes later has the same model, and so has what is read at the next start.
  run(ann, {{"c.txt", "gamma word"}}, "public", false);
  EXPECT_EQ(near(few), 3u);
  EXPECT_EQ(models(), std::set<std::string>{"few"});
  halt();
  boot();
  EXPECT_EQ(near(few), 3u);
  EXPECT_EQ(run(ann, {{"c.txt", "gamma word"}}, "public", false).unchanged, 1);
  const auto back = ingest_->reindex(ann, {collection_, {}, {}, ""});
  ASSERT_TRUE(ingest_->start_worker());
  (void)ingest_->wait(ann, *back, Deadline::after(std::chrono::seconds(20)));
  ingest_->stop_worker();
  EXPECT_EQ(near(embedder_), 3u);
  EXPECT_EQ(models(), std::set<std::string>{"letters"});
}

TEST_F(ReindexTest, TurnsOverWhileOthersBringDocumentsIn) {
  const Call ann = call("ann");
  const auto files = [](const std::string& name, int many) {
    std::map<std::string, std::string> some;
    for (int i = 0; i < many; ++i) some[name + std::to_string(i) + ".txt"] = name + " Haus " + std::to_string(i);
    return some;
  };
  run(ann, files("first", 30));
  const auto reindex = ingest_->reindex(ann, {collection_, "de", {}, {}});
  ASSERT_TRUE(reindex);
  std::vector<std::string> jobs;
  for (const char* name : {"second", "third", "fourth"}) jobs.push_back(create(ann, files(name, 100), "public", false));
  embedder_.pause_ = milliseconds(5);
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_EQ(ended(ann, *reindex).status, JobStatus::kCompleted);
  ingest_->stop_worker();
  for (const auto& job : jobs) {
    const auto at = ingest_->progress(ann, job);
    EXPECT_EQ(at->status, JobStatus::kRunning) << "the collection turned over while files were left";
    EXPECT_GT(at->done, 0) << "and did not keep all others waiting until then";
  }
  EXPECT_EQ(catalog_->collection(ann, collection_)->settings.language, "german");
  embedder_.pause_ = milliseconds(0);
  ASSERT_TRUE(ingest_->start_worker());
  for (const auto& job : jobs) EXPECT_EQ(ended(ann, job).failed, 0);
  ingest_->stop_worker();
  EXPECT_EQ(index_->search_text({ann.principal, std::vector<std::string>{collection_}, nullptr, 1000}, "häuser")->size(), 330u);
}

TEST_F(ReindexTest, WhatChangesWhileACollectionIsMadeAnew) {
  const Call ann = call("ann");
  std::map<std::string, std::string> files{{"a.txt", "alpha word"}, {"b.txt", "beta word"}, {"c.txt", "gamma word"}, {"e.txt", "epsilon word"}};
  for (int i = 0; i < 40; ++i) files["other" + std::to_string(i) + ".txt"] = "others " + std::to_string(i);  // or the others would wait until all is made
  run(ann, files);
  const auto id_of = [&](std::string_view path) {
    const auto page = catalog_->documents(ann, collection_, {.limit = 100});
    const auto found = std::ranges::find(page->items, path, &Document::path);
    return found == page->items.end() ? std::string() : found->id;
  };
  // A job whose first documents were made while others come, change and go: the worker takes the jobs in turns.
  const auto job = ingest_->reindex(ann, {collection_, {}, 64, {}});
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
  const auto failing = ingest_->reindex(ann, {collection_, {}, 48, {}});
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_GT(ingest_->wait(ann, *failing, Deadline::after(std::chrono::seconds(20)))->failed, 0);
  ingest_->stop_worker();
  EXPECT_EQ(hits(ann, "word"), 3u);
  const auto cancelled = ingest_->reindex(ann, {collection_, "de", {}, {}});
  ASSERT_TRUE(cancelled);
  ASSERT_TRUE(ingest_->cancel(ann, *cancelled));
  ASSERT_TRUE(ingest_->start_worker());
  swept();
  ingest_->stop_worker();
  EXPECT_EQ(catalog_->collection(ann, collection_)->settings, (CollectionSettings{"english", 48, "", ""}));
}

// Texts of several passages of 16 tokens.
std::map<std::string, std::string> several(int many) {
  std::map<std::string, std::string> files;
  for (int i = 0; i < many; ++i) {
    std::string& text = files[std::to_string(i) + ".txt"];
    for (int j = 0; j < 6; ++j) text += "Of word " + std::to_string(j) + " in text " + std::to_string(i) + " there is little more than this to say. ";
  }
  return files;
}

TEST_F(ReindexTest, PassagesAreAsLongAsAskedForAndTheModelReads) {
  const Call ann = call("ann");
  std::string text;
  for (int i = 0; i < 100; ++i) text += "A sentence of forty bytes and no more. ";  // 975 tokens, as the model counts them
  run(ann, {{"a.txt", text}});
  const auto check = [&](int most, int asked, std::int64_t passages) {
    embedder_.max_tokens_ = most;
    const auto job = ingest_->reindex(ann, {collection_, {}, asked, {}});
    ASSERT_TRUE(job);
    ASSERT_TRUE(ingest_->start_worker());
    EXPECT_EQ(ended(ann, *job).failed, 0);
    swept();
    ingest_->stop_worker();
    EXPECT_EQ(rows("chunks"), passages) << asked << " of at most " << most;
  };
  check(256, 0, 5);
  check(2000, 1500, 1);
  check(2000, 512, 2);
  check(256, 512, 4);
  check(2000, 64, 15);
}

// The process was gone after the commit, before the passages that it replaced were deleted.
TEST_F(ReindexTest, WhatATurnOverLeavesIsDeletedByWhoStartsNext) {
  const Call ann = call("ann");
  constexpr int kTexts = 60;  // with more passages than are deleted at once
  run(ann, several(kTexts));
  const auto fine = ingest_->reindex(ann, {collection_, {}, 16, {}});
  ASSERT_TRUE(ingest_->start_worker());
  ASSERT_EQ(ended(ann, *fine).status, JobStatus::kCompleted);
  swept();
  ingest_->stop_worker();
  const std::vector<std::string> ids{collection_};
  const auto before = *index_->search_text({ann.principal, ids, nullptr, 1000}, "word");
  ASSERT_TRUE(sql_->execute("CREATE TABLE kept AS SELECT * FROM chunks"));
  ASSERT_GT(rows("kept"), 256);
  const auto coarse = ingest_->reindex(ann, {collection_, {}, 48, "few"});
  ASSERT_TRUE(ingest_->start_worker());
  ASSERT_EQ(ended(ann, *coarse).status, JobStatus::kCompleted);
  swept();
  ingest_->stop_worker();
  const auto live = rows("chunks");
  ASSERT_LT(live, rows("kept"));
  ASSERT_TRUE(sql_->execute("INSERT INTO chunks SELECT * FROM kept"));
  ASSERT_TRUE(sql_->execute("UPDATE documents SET stale = 1"));
  halt();
  boot();

  const auto check = [&] {
    const auto after = *index_->search_text({ann.principal, ids, nullptr, 1000}, "word");
    EXPECT_EQ(static_cast<std::int64_t>(after.size()), live);
    EXPECT_EQ(catalog_->passages(ann, after)->size(), after.size());
    LetterEmbedder few("few", 'm');
    EXPECT_EQ(static_cast<std::int64_t>(index_->search_vector({ann.principal, ids, nullptr, 1000}, few.embed({}, std::vector<std::string>{"a"})->values, "few")->size()), live);
    EXPECT_EQ(catalog_->collection(ann, collection_)->counts.chunks, live);
    EXPECT_EQ(catalog_->passages(ann, before)->size(), 0u) << "what a search found before";
    const auto page = catalog_->documents(ann, collection_, {.limit = 100});
    ASSERT_EQ(page->items.size(), std::size_t{kTexts});
    for (const Document& document : page->items) {
      const auto texts = *catalog_->document_text(ann, document.id);
      EXPECT_EQ(static_cast<std::int64_t>(texts.size()), document.chunks);
    }
  };
  check();
  ASSERT_TRUE(ingest_->start_worker());
  swept();
  ingest_->stop_worker();
  EXPECT_EQ(rows("chunks"), live);
  check();

  // Neither who cancels a job that has ended, nor a document that comes anew, nor one that gets other readers, touches what lives.
  ASSERT_TRUE(ingest_->cancel(ann, *coarse));
  auto files = several(kTexts);
  files["0.txt"] += "And a word again.";
  ASSERT_TRUE(ingest_->start_worker());
  swept();
  EXPECT_EQ(rows("chunks"), live);
  EXPECT_EQ(ended(ann, create(ann, files, "group:x", false)).failed, 0);
  swept();
  ingest_->stop_worker();
  EXPECT_EQ(rows("chunks"), *sql_->query("SELECT SUM(chunks) FROM documents")->at(0).get<std::int64_t>(0));
  const Call reader = call("eve", {"x"});
  EXPECT_EQ(static_cast<std::int64_t>(index_->search_text({reader.principal, ids, nullptr, 1000}, "word")->size()), rows("chunks"));
}

TEST_F(ReindexTest, BeginsAgainWithAnotherModelOfTheServer) {
  const Call ann = call("ann");
  run(ann, several(20));
  const auto before = rows("chunks");
  const auto job = ingest_->reindex(ann, {collection_, {}, 32, {}});
  ASSERT_TRUE(job);
  embedder_.pause_ = milliseconds(50);
  ASSERT_TRUE(ingest_->start_worker());
  while (ingest_->progress(ann, *job)->done < 8) std::this_thread::yield();
  ingest_->stop_worker();
  ASSERT_GT(rows("chunks"), before);

  // It reads some of the files, and the others keep what they have: nothing of what the first model made is taken for its own.
  LetterEmbedder other("other", 'q');
  other.fail_on_ = 8;
  ingest_ = std::make_unique<Ingest>(*catalog_, letter_embedders(other), ledger_.get(), limits_);
  ASSERT_TRUE(ingest_->start_worker());
  const auto end = ended(ann, *job);
  EXPECT_EQ(end.status, JobStatus::kCompleted);
  EXPECT_GT(end.failed, 12);
  swept();
  ingest_->stop_worker();
  EXPECT_EQ(*sql_->query("SELECT SUM(embedding_model = 'letters') FROM documents")->at(0).get<std::int64_t>(0), end.failed);
  EXPECT_EQ(rows("chunks"), *sql_->query("SELECT SUM(chunks) FROM documents")->at(0).get<std::int64_t>(0));
  EXPECT_EQ(static_cast<std::int64_t>(hits(ann, "word")), std::min<std::int64_t>(rows("chunks"), 100));
}

}  // namespace
}  // namespace stoa::data
