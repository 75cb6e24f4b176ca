#include "data/sources/test_ingest.h"

#include <fstream>
#include <thread>

#include "data/sources/walk.h"

namespace stoa::data {
namespace {

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

TEST_F(IngestTest, WhoBringsAFileAgainForOtherReadersOwnsItInTheIndexToo) {
  const auto owner = [&] { return index_->documents(collection_).begin()->second.owner; };
  run(call("ann"), {{"a.txt", "word"}});
  EXPECT_EQ(owner(), "user_ann");
  run(call("bob"), {{"a.txt", "word"}}, "group:eng");
  EXPECT_EQ(owner(), "user_bob");
  EXPECT_EQ(hits(call("eve", {"eng"}), "word"), 1u);
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

TEST_F(IngestTest, ALongFileTakesAsLongAsItsBatchesDo) {
  const Call ann = call("ann");
  limits_.batch = 4;
  limits_.max_batch_time = std::chrono::milliseconds(500);
  halt();
  boot();
  std::string text;
  for (int i = 0; i < 400; ++i) text += "This is the sentence of number " + std::to_string(i) + ", and it says little more than that about itself.\n\n";
  embedder_.pause_ = std::chrono::milliseconds(20);
  const auto whole = run(ann, {{"long.txt", text}}, "public", false);
  EXPECT_EQ(whole.failed, 0) << whole.errors.at(0).message;
  EXPECT_EQ(whole.file_chunks, 0) << "none is at hand any more";
  const int batches = embedder_.batches_;
  ASSERT_GT(batches * embedder_.pause_.load(), 2 * limits_.max_batch_time) << "the file is long enough to tell";

  const auto at_work = [&](const std::string& job) {
    embedder_.batches_ = 0;
    EXPECT_TRUE(ingest_->start_worker());
    IngestProgress at;
    for (int i = 0; i < 4000 && at.file_embedded == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      at = *ingest_->progress(ann, job);
    }
    EXPECT_GT(at.file_embedded, 0);
    EXPECT_EQ(at.file_chunks, whole.chunks);
  };
  const std::string left = create(ann, {{"left.txt", text + "left"}}, "public", false), next = create(ann, {{"next.txt", "and the next"}}, "public", false);
  at_work(left);
  ASSERT_TRUE(ingest_->cancel(ann, left));
  EXPECT_EQ(ended(ann, next).failed, 0);
  EXPECT_LT(embedder_.batches_, batches / 2) << "what was cancelled is left within some batches";
  ingest_->stop_worker();

  const std::string again = create(ann, {{"again.txt", text + "again"}}, "public", false);
  at_work(again);
  ingest_->stop_worker();
  EXPECT_LT(embedder_.batches_, batches / 2) << "the end of the server waits for one batch";
  EXPECT_EQ(ingest_->progress(ann, again)->done, 0);
  embedder_.pause_ = milliseconds(0);
  ASSERT_TRUE(ingest_->start_worker());
  EXPECT_EQ(ended(ann, again).failed, 0);
  ingest_->stop_worker();

  embedder_.pause_ = std::chrono::hours(1);
  const auto hung = run(ann, {{"hung.txt", "never"}}, "public", false);
  EXPECT_EQ(hung.failed, 1);
  EXPECT_TRUE(hung.errors.at(0).message.contains("the deadline passed"));
  EXPECT_EQ(rows("documents"), 3);
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
    for (int i = 0; i < 3000; ++i) {
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
  for (const std::string& gone : {made->id, std::string("vs_none"), std::string()}) {
    EXPECT_EQ(catalog_->collection(ann, gone).error().code, ErrorCode::kNotFound) << gone;
    EXPECT_EQ(catalog_->searchable(ann, std::vector{gone}).error().code, ErrorCode::kNotFound) << gone;
  }
}

TEST_F(IngestTest, ACollectionIsGoneAtOnceAndItsRowsAfterwards) {
  const Call ann = call("ann");
  const auto made = catalog_->create_collection(ann, {"kept", {}, {}});
  ASSERT_TRUE(made);
  std::map<std::string, std::string> files;
  for (int file = 0; file < 3; ++file)
    for (int i = 0; i < 900; ++i) files[fmt::format("{}.md", file)] += fmt::format("# section {} of {}\n\nword {}\n\n", i, file, i);
  run(ann, files);
  ASSERT_GT(rows("chunks"), 2000);
  const std::string document = catalog_->documents(ann, collection_)->items.at(0).id, sent = create(ann, {{"3.md", "more"}});
  const auto waiting = ingest_->create_job(ann, {collection_, "other", {}, *AccessList::parse("public"), {}, false});
  ASSERT_TRUE(waiting);
  EXPECT_TRUE(catalog_->remove_collection(ann, collection_));

  // The process may end before its rows are deleted, or between two of the steps.
  for (int life = 0; life < 3; ++life) {
    const std::vector<std::string> ids{collection_};
    EXPECT_EQ(hits(ann, "word"), 0u);
    EXPECT_EQ(catalog_->collections(ann)->items.size(), 1u);
    EXPECT_EQ(catalog_->find_collection(ann, "docs").error().code, ErrorCode::kNotFound);
    const std::vector<Error> errors{catalog_->collection(ann, collection_).error(), catalog_->remove_collection(ann, collection_).error(), catalog_->searchable(ann, ids).error(),
                                    catalog_->documents(ann, collection_).error(), catalog_->document(ann, document).error(), catalog_->open_document(ann, document).error(),
                                    catalog_->document_text(ann, document).error(), catalog_->set_attributes(ann, document, {}).error(), catalog_->remove_document(ann, document).error(),
                                    catalog_->change_collection(ann, collection_, {"back", {}, {}}).error(), ingest_->reindex(ann, {collection_, {}, {}, {}}).error(),
                                    ingest_->create_job(ann, {collection_, "folder", {}, *AccessList::parse("public"), {}, false}).error()};
    for (const Error& error : errors) EXPECT_EQ(error.code, ErrorCode::kNotFound) << error.message;
    for (const std::string& job : {sent, waiting->id}) {
      const auto progress = ingest_->progress(ann, job);
      EXPECT_TRUE(progress || life == 2) << "in the last all rows may be gone";
      if (progress) {
        EXPECT_EQ(progress->status, JobStatus::kCancelled);
      }
    }
    EXPECT_FALSE(ingest_->start(ann, waiting->id));
    if (life < 2) {
      EXPECT_GT(rows("chunks"), life == 0 ? 2000 : 0);
    }
    halt();
    boot();
    if (life == 0) continue;
    ASSERT_TRUE(ingest_->start_worker());
    const Deadline soon = Deadline::after(std::chrono::seconds(20));
    const std::int64_t before = rows("chunks");
    while (rows("chunks") == before && before > 0 && !soon.passed()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (life == 1) ingest_->stop_worker();
  }
  EXPECT_TRUE(catalog_->change_collection(ann, made->id, {"kept", {}, {}})) << "others write between the steps";
  swept();
  ingest_->stop_worker();
  EXPECT_EQ(rows("collections"), 1);
  for (const char* table : {"documents", "chunks", "ingest_jobs", "ingest_files"}) EXPECT_EQ(rows(table), 0) << table;
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
  ASSERT_TRUE(ingest_->start_worker());
  swept();
  ingest_->stop_worker();
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
