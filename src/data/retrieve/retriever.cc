#include "data/retrieve/retriever.h"

#include <algorithm>
#include <map>

#include "base/utf8.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxQuery = 32'768, kMaxResults = 100, kMaxCollections = 100;

Status check(std::span<const std::string> collections, const std::string& query, const SearchOptions& options, bool has_embedder, bool has_reranker) {
  if (collections.empty() || collections.size() > kMaxCollections) {
    return fail(ErrorCode::kInvalidArgument, "{} collections: a search takes 1 to {}", collections.size(), kMaxCollections);
  }
  if (query.empty() || query.size() > kMaxQuery || !is_valid_utf8(query)) {
    return fail(error(ErrorCode::kInvalidArgument, "a query has 1 to {} bytes of UTF-8, this one has {}", kMaxQuery, query.size()).with_param("query"));
  }
  if (options.k < 1 || options.k > kMaxResults) {
    return fail(error(ErrorCode::kInvalidArgument, "{} results: a search gives 1 to {}", options.k, kMaxResults).with_param("max_num_results"));
  }
  if (options.mode == SearchMode::kVector && !has_embedder) {
    return fail(error(ErrorCode::kInvalidArgument, "no embedding model is loaded").with_hint("search by text, or pull an embedding model"));
  }
  if (options.rerank > kMaxResults || (options.rerank > 0 && options.rerank < options.k)) {
    return fail(error(ErrorCode::kInvalidArgument, "{} passages to rerank: at least the {} that are asked for, and at most {}", options.rerank, options.k, kMaxResults)
                    .with_param("rerank"));
  }
  if (options.rerank > 0 && !has_reranker) {
    return fail(error(ErrorCode::kInvalidArgument, "no reranking model is loaded").with_param("rerank").with_hint("name one as models.reranker, or search without"));
  }
  return options.filter.check();
}

}  // namespace

Result<SearchMode> parse_search_mode(std::string_view name) {
  if (name == "hybrid") return SearchMode::kHybrid;
  if (name == "text") return SearchMode::kText;
  if (name == "vector") return SearchMode::kVector;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not a way to search", name).with_hint("use hybrid, text or vector"));
}

Result<Fusion> parse_fusion(std::string_view name) {
  if (name == "weighted") return Fusion::kWeighted;
  if (name == "rrf") return Fusion::kRanks;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not a way to fuse two searches", name).with_hint("use weighted or rrf"));
}

double fused_score(const Standing& why, bool text, bool vector, Fusion fusion, const FusionOptions& options) {
  const double meaning = std::max(0.0, (why.passage_cosine + why.sentence_cosine) / 2);
  if (!vector) return why.text_score;
  if (!text) return meaning;
  const double text_weight = options.text_weight, vector_weight = 1 - options.text_weight;
  if (fusion == Fusion::kWeighted) return text_weight * why.text_score + vector_weight * meaning;
  const auto share = [&](int rank) { return rank > 0 ? (options.rank_k + 1) / (options.rank_k + rank) : 0; };  // of what the first place gives
  return text_weight * share(why.text_rank) + vector_weight * share(why.vector_rank);
}

Retriever::Retriever(Catalog& catalog, const Index& index, Embedder* embedder, Reranker* reranker, FusionOptions fusion)
    : catalog_(catalog), index_(index), embedder_(embedder), reranker_(reranker), fusion_(fusion) {}

Result<std::vector<Retriever::Candidate>> Retriever::rank(const Call& call, std::span<const std::string> collections, const std::string& query,
                                                          const SearchOptions& options) {
  const bool use_text = options.mode != SearchMode::kVector;
  const bool use_vector = options.mode != SearchMode::kText && embedder_ != nullptr;
  const Index::Scope scope{call.principal, collections, &options.filter, std::max({fusion_.candidates, options.k, options.rerank})};
  std::vector<float> meaning;
  std::vector<Hit> text, vector;
  if (use_vector) {
    STOA_TRY(embedded, embedder_->embed(call, std::span(&query, 1)));  // the embedder records its own span
    meaning = std::move(embedded.values);
    STOA_TRY(nearest, index_.search_vector(scope, meaning));
    vector = std::move(nearest);
  }
  if (use_text) {
    STOA_TRY(matching, index_.search_text(scope, query));
    text = std::move(matching);
  }

  std::map<ChunkKey, Standing> standings;
  for (std::size_t i = 0; i < text.size(); ++i) {
    Standing& why = standings[text[i].key];
    why.text_rank = static_cast<int>(i) + 1;
    why.text_score = text[i].score / text.front().score;
  }
  for (std::size_t i = 0; i < vector.size(); ++i) standings[vector[i].key].vector_rank = static_cast<int>(i) + 1;
  std::vector<Candidate> candidates;
  for (auto& [key, why] : standings) candidates.push_back({key, why});
  if (use_vector) STOA_CHECK(measure(call, meaning, candidates));
  for (Candidate& candidate : candidates) candidate.why.fused = fused_score(candidate.why, use_text, use_vector, options.fusion, fusion_);
  std::ranges::stable_sort(candidates, std::greater(), [](const Candidate& candidate) { return candidate.why.fused; });  // equal ones in order of their keys
  return candidates;
}

Status Retriever::measure(const Call& call, std::span<const float> query, std::vector<Candidate>& candidates) {
  std::vector<ChunkKey> keys;
  for (const Candidate& candidate : candidates) keys.push_back(candidate.key);
  STOA_TRY(found, catalog_.nearness(call, keys, query, embedder_->model()));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!found[i]) continue;
    candidates[i].why.passage_cosine = found[i]->passage;
    candidates[i].why.sentence_cosine = found[i]->sentence;
  }
  return {};
}

Result<std::vector<Found>> Retriever::open(const Call& call, const std::vector<Candidate>& candidates, const std::string& query, const SearchOptions& options) {
  const std::size_t wanted = std::max(options.k, options.rerank);
  std::vector<Hit> hits;
  for (const Candidate& candidate : candidates) {
    if (hits.size() >= wanted) break;
    if (options.rerank > 0 || candidate.why.fused >= options.min_score) hits.push_back({candidate.key, candidate.why.fused});
  }
  STOA_TRY(opened, catalog_.passages(call, hits));  // checks readers again, against the rows
  std::vector<Found> found;
  for (auto& [hit, passage] : opened) {
    const auto candidate = std::ranges::find(candidates, hits[hit].key, &Candidate::key);
    found.push_back({std::move(passage), candidate->why});
  }
  if (options.rerank > 0) {
    STOA_CHECK(rerank(call, found, query));
    std::erase_if(found, [&](const Found& one) { return one.passage.score < options.min_score; });
  }
  if (found.size() > options.k) found.resize(options.k);
  return found;
}

Status Retriever::rerank(const Call& call, std::vector<Found>& found, const std::string& query) {
  std::vector<std::string> texts;
  for (const Found& one : found) texts.push_back(one.passage.text);
  if (texts.empty()) return {};
  STOA_TRY(judged, reranker_->rerank(call, query, texts));
  if (judged.scores.size() != found.size()) return fail(ErrorCode::kInternal, "{} gave {} scores for {} passages", reranker_->model(), judged.scores.size(), found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    found[i].passage.score = relevance(judged.scores[i]);
    found[i].why.relevance = found[i].passage.score;
  }
  std::ranges::stable_sort(found, std::greater(), [](const Found& one) { return one.passage.score; });
  return {};
}

Result<std::vector<Found>> Retriever::find(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  Span span = call.span("retrieval");
  const auto run = [&]() -> Result<std::vector<Found>> {
    STOA_CHECK(check(collections, query, options, embedder_ != nullptr, reranker_ != nullptr));
    if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the search was cancelled");
    if (call.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "no time is left for the search");
    STOA_CHECK(catalog_.check_searchable(call, collections));
    STOA_TRY(candidates, rank(call, collections, query, options));
    return open(call, candidates, query, options);
  };
  auto found = run();
  if (found) {
    span.set("stoa.retrieval.passages", static_cast<std::int64_t>(found->size()));
  } else {
    span.fail(found.error().message);
  }
  return found;
}

Result<std::vector<Passage>> Retriever::search(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  STOA_TRY(found, find(call, collections, query, options));
  std::vector<Passage> passages;
  for (Found& one : found) passages.push_back(std::move(one.passage));
  return passages;
}

}  // namespace stoa::data
