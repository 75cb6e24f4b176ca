#include "gateway/cache/cache.h"

#include "gateway/cache/test_cache.h"
#include "governance/access/test_access.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::gateway {

std::unique_ptr<infra::SqlDatabase> memory_database() { return infra::sqlite_backends().front().open(); }
std::unique_ptr<governance::Access> roles_of_tests() { return governance::access_for_tests(STOA_SOURCE_DIR); }

namespace {

TEST_F(CacheTest, NothingIsKeptUntilAProjectSaysSo) {
  EXPECT_EQ(ask(call(), question()).text, "hi #1");
  EXPECT_EQ(ask(call(), question()).text, "hi #2");
  set("answers: deterministic");
  EXPECT_EQ(ask(call("proj_b"), question()).text, "hi #3");
  EXPECT_EQ(ask(call("proj_b"), question()).text, "hi #4");
}

TEST_F(CacheTest, EqualRequestsAreAnsweredAlike) {
  set("answers: deterministic");
  const Heard first = ask(call("proj_a", "req_1"), question());
  EXPECT_EQ(first.kind(), "");
  const Heard again = ask(call("proj_a", "req_2"), question());
  EXPECT_EQ(again.text, first.text);
  EXPECT_EQ(again.kind(), "exact");
  EXPECT_EQ(again.outcome->cache->source, "req_1");
  EXPECT_EQ(again.outcome->target, "up/big");
  EXPECT_EQ(again.outcome->usage.prompt_tokens, 7) << "for its price";
  EXPECT_EQ(again.logprobs, first.logprobs);
  EXPECT_LT(again.pieces, first.pieces);
  EXPECT_EQ(ask(call(), question("ho")).text, "ho #2");
  ChatRequest warm = question();
  warm.sampling.temperature = 1;
  EXPECT_EQ(ask(call(), warm).text, "hi #3") << "chance decides";
  EXPECT_EQ(ask(call(), warm).text, "hi #4");
  warm.sampling.seed = 7;
  EXPECT_EQ(ask(call(), warm).text, "hi #5");
  EXPECT_EQ(ask(call(), warm).text, "hi #5");
  const CacheStats stats = cache_->stats("proj_a");
  EXPECT_EQ(stats.answers, 3U);
  EXPECT_EQ(stats.hits, 2);
  EXPECT_EQ(stats.misses, 3);
  EXPECT_EQ(metrics_.counter("stoa_cache_requests_total", "", {{"result", "hit"}}).value(), 2);
  EXPECT_GT(metrics_.gauge("stoa_cache_bytes", "").value(), 0);
  set("answers: all");
  warm.sampling.seed.reset();
  EXPECT_EQ(ask(call(), warm).text, ask(call(), warm).text);
}

TEST_F(CacheTest, ToolCallsSurvive) {
  set("answers: deterministic");
  model_->calls_tool = true;
  const Heard first = ask(call(), question()), again = ask(call(), question());
  EXPECT_EQ(again.kind(), "exact");
  EXPECT_EQ(again.tool, "call_1f");
  EXPECT_EQ(again.arguments, "{\"a\":1}");
  EXPECT_EQ(again.outcome->finish, FinishReason::kToolCalls);
  EXPECT_EQ(first.arguments, again.arguments);
}

TEST_F(CacheTest, CallersMayWantItFresh) {
  set("answers: deterministic");
  ask(call(), question());
  EXPECT_EQ(ask(call(), question(), {.read = false}).text, "hi #2");
  EXPECT_EQ(ask(call(), question()).text, "hi #2") << "what is fresh is kept";
  EXPECT_EQ(ask(call(), question(), {.read = false, .write = false}).text, "hi #3");
  EXPECT_EQ(ask(call(), question()).text, "hi #2");
  CacheNote note;
  ask(call(), question(), {.note = &note});
  ASSERT_TRUE(note.state());
  EXPECT_EQ(note.state()->hit->kind, "exact");
  EXPECT_EQ(note.state()->key.size(), 64U);
}

TEST_F(CacheTest, AlternativesDiffer) {
  set("answers: all");
  ChatRequest request = question();
  request.sampling.temperature = 1;
  const auto one = cache_->wrap(model_, "proj_a", "");
  EXPECT_EQ(ask(*one, call(), request).text, "hi #1");
  EXPECT_EQ(ask(*one, call(), request).text, "hi #2");
  const auto two = cache_->wrap(model_, "proj_a", "");
  EXPECT_EQ(ask(*two, call(), request).text, "hi #1");
  EXPECT_EQ(ask(*two, call(), request).text, "hi #2");
  EXPECT_EQ(ask(*two, call(), request).text, "hi #3");
}

TEST_F(CacheTest, OnlyWholeAnswersAreKept) {
  set("answers: deterministic");
  model_->fails = true;
  EXPECT_FALSE(ask(call(), question()).outcome);
  model_->fails = false;
  model_->breaks = true;
  EXPECT_EQ(ask(call(), question()).outcome->finish, FinishReason::kError);
  model_->breaks = false;
  int left = 1;
  EXPECT_EQ(ask(*cache_->wrap(model_, "proj_a", ""), call(), question(), [&] { return left-- > 0; }).outcome->finish, FinishReason::kCancelled);
  EXPECT_EQ(ask(call(), question()).text, "hi #4");
  EXPECT_EQ(ask(call(), question()).text, "hi #4");
}

TEST_F(CacheTest, TimeAndBoundsEndIt) {
  set("{answers: deterministic, ttl_seconds: 10, max_entries: 2}");
  ask(call(), question("a"));
  clock_.pass(9 * kSecond);
  EXPECT_EQ(ask(call(), question("a")).kind(), "exact");
  clock_.pass(2 * kSecond);
  EXPECT_EQ(ask(call(), question("a")).kind(), "");
  ask(call(), question("b"));
  ask(call(), question("a"));
  ask(call(), question("c"));
  EXPECT_EQ(cache_->stats("proj_a").answers, 2U);
  EXPECT_EQ(ask(call(), question("a")).kind(), "exact") << "used last but one";
  EXPECT_EQ(ask(call(), question("b")).kind(), "");
  set("{answers: deterministic, max_bytes: 1000}");
  for (int i = 0; i < 20; ++i) ask(call(), question(std::to_string(i)));
  EXPECT_LE(cache_->stats("proj_a").answer_bytes, 1000U);
  ASSERT_TRUE(cache_->texts().remove(call(), "cache", ""));
  EXPECT_EQ(cache_->stats("proj_a").answers, 0U) << "what is not wanted any more is not kept";
}

TEST_F(CacheTest, AnswersAreKeptForThoseWhoMayUseTheSameTargets) {
  set("answers: deterministic");
  model_->of_route = true;
  EXPECT_EQ(ask(call(), question()).text, "hi #1");
  forbidden_ = "up/big";
  EXPECT_EQ(ask(call(), question()).text, "hi #2");
  forbidden_ = "";
  EXPECT_EQ(ask(call(), question()).text, "hi #1");
  Call restricted = call();
  restricted.origin.data_class = "restricted";
  EXPECT_EQ(ask(restricted, question()).text, "hi #3") << "routing looks at it";
}

TEST_F(CacheTest, IsPurgedByKeyTagDocumentAndModel) {
  set("{answers: deterministic, embeddings: true}");
  Call tagged = call();
  tagged.origin.tags = {"team=x"};
  ChatRequest grounded = question("cited");
  grounded.sources = {"doc_1@v1", "doc_2@v1"};
  ChatRequest other = question("other");
  other.model = "n";
  CacheNote note;
  const auto fill = [&] {
    ask(tagged, question("tagged"));
    ask(call(), grounded);
    ask(call(), other);
    ask(call(), question("plain"), {.note = &note});
  };
  const auto purged = [&](const CachePurge& what) { return cache_->purge(call(), what).value_or(99); };
  fill();
  EXPECT_EQ(purged({.tag = "team=y"}), 0U);
  EXPECT_EQ(purged({.tag = "team=x"}), 1U);
  EXPECT_EQ(purged({.document = "doc_2"}), 1U);
  EXPECT_EQ(purged({.model = "n"}), 1U);
  EXPECT_EQ(purged({.key = note.state()->key, .model = "n"}), 0U) << "all that is named has to fit";
  EXPECT_EQ(purged({.key = note.state()->key}), 1U);
  EXPECT_EQ(cache_->stats("proj_a").answers, 0U);
  fill();
  EXPECT_EQ(purged({.all = true}), 4U);
  fill();
  cache_->forget_document("doc_1");
  EXPECT_EQ(cache_->stats("proj_a").answers, 3U);
  EXPECT_EQ(ask(call(), grounded).kind(), "");
  EXPECT_EQ(cache_->purge(call(), {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(cache_->purge(call("proj_a", "r", "viewer"), {.all = true}).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(cache_->purge(call("proj_b"), {.all = true}).value_or(9), 0U);
  EXPECT_EQ(cache_->stats("proj_a").answers, 4U) << "another project's";
  cache_->forget_project("proj_a");
  EXPECT_EQ(cache_->stats("proj_a").answers, 0U);
}

TEST_F(CacheTest, WhatIsMadeWhileSomethingIsPurgedIsNotKept) {
  set("answers: deterministic");
  model_->hold_all();
  std::thread asking([&] { ask(call(), question()); });
  while (model_->asked == 0) std::this_thread::sleep_for(milliseconds(1));
  cache_->forget_document("doc_9");
  model_->open();
  asking.join();
  EXPECT_EQ(cache_->stats("proj_a").answers, 0U);
}

TEST_F(CacheTest, QuestionsThatAreAlikeShareAnswersWhereTheProjectWantsIt) {
  set("answers: deterministic");
  ask(call("proj_a", "req_1"), question("listen to me"));
  EXPECT_EQ(ask(call(), question("silent to me")).kind(), "") << "off by default";
  set("{answers: deterministic, semantic: {threshold: 0.99, ttl_seconds: 60}}");
  ask(call("proj_a", "req_5"), question("listen to them"));
  const Heard like = ask(call(), question("silent to them"));
  EXPECT_EQ(like.kind(), "semantic");
  EXPECT_EQ(like.outcome->cache->source, "req_5");
  EXPECT_GT(like.outcome->cache->similarity, 0.99);
  EXPECT_EQ(ask(call(), question("something else entirely")).kind(), "");
  ChatRequest framed = question("silent to them");
  framed.messages[0].content = "be rude";
  EXPECT_EQ(ask(call(), framed).kind(), "") << "another frame";
  framed = question("silent to them");
  framed.sources = {"doc_1@1"};
  EXPECT_EQ(ask(call(), framed).kind(), "") << "other documents";
  ask(call(), question("what is 2 and 3"));
  EXPECT_EQ(ask(call(), question("what is 2 and 4")).kind(), "") << "other numbers";
  EXPECT_EQ(ask(call(), question("is what 2 and 3")).kind(), "semantic");
  const std::string longer(80, 'x');
  ask(call(), question(longer + "a"));
  EXPECT_EQ(ask(call(), question(longer + "b")).kind(), "") << "longer than what can be compared";
  clock_.pass(61 * kSecond);
  EXPECT_EQ(ask(call(), question("silent to them")).kind(), "");
}

TEST_F(CacheTest, EmbeddingsAreKept) {
  const auto embedder = cache_->wrap(letters_);
  const std::vector<std::string> texts{"ab", "cd"}, more{"cd", "ef", "ab"};
  const auto plain = *embedder->embed(call(), texts);
  EXPECT_EQ(plain.cached_texts, 0);
  set("embeddings: true");
  (void)embedder->embed(call(), texts);
  EXPECT_EQ(letters_.asked, 4);
  const auto mixed = *embedder->embed(call(), more);
  EXPECT_EQ(letters_.asked, 5) << "one was not known";
  EXPECT_EQ(mixed.cached_texts, 2);
  EXPECT_EQ(mixed.cached_tokens, 4);
  EXPECT_EQ(mixed.tokens, (std::vector<int>{2, 2, 2}));
  EXPECT_TRUE(std::equal(plain.values.begin(), plain.values.begin() + 26, mixed.values.begin() + 52)) << "each in its place";
  EXPECT_TRUE(std::equal(plain.values.begin() + 26, plain.values.end(), mixed.values.begin()));
  (void)embedder->embed(call("proj_b"), texts);
  EXPECT_EQ(letters_.asked, 7) << "another project";
}

}  // namespace
}  // namespace stoa::gateway
