#include "data/retrieve/retriever.h"

#include <algorithm>
#include <map>

#include "base/utf8.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxQuery = 32'768, kMaxResults = 100, kMaxCollections = 100;

Status check(std::span<const std::string> collections, const std::string& query, const SearchOptions& options, bool has_embedder) {
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
  return options.filter.check();
}

}  // namespace

Result<SearchMode> parse_search_mode(std::string_view name) {
  if (name == "hybrid") return SearchMode::kHybrid;
  if (name == "text") return SearchMode::kText;
  if (name == "vector") return SearchMode::kVector;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not a way to search", name).with_hint("use hybrid, text or vector"));
}

std::vector<Hit> fuse(std::span<const Hit> text, std::span<const Hit> vector, const FusionOptions& options) {
  std::map<ChunkKey, double> scores;
  const double best = (options.text_weight + options.vector_weight) / (options.k + 1);
  const auto add = [&](std::span<const Hit> hits, double weight) {
    for (std::size_t i = 0; i < hits.size(); ++i) scores[hits[i].key] += weight / (options.k + 1 + static_cast<double>(i)) / best;
  };
  add(text, options.text_weight);
  add(vector, options.vector_weight);
  std::vector<Hit> fused;
  for (const auto& [key, score] : scores) fused.push_back({key, score});
  std::ranges::stable_sort(fused, std::greater(), &Hit::score);
  return fused;
}

Retriever::Retriever(Catalog& catalog, const Index& index, Embedder* embedder, FusionOptions fusion)
    : catalog_(catalog), index_(index), embedder_(embedder), fusion_(fusion) {}

Result<std::vector<float>> Retriever::embed(const Call& call, const std::string& query) {
  STOA_TRY(embedded, embedder_->embed(call, std::span(&query, 1)));  // the embedder records its own span
  return std::move(embedded.values);
}

Result<std::vector<Hit>> Retriever::rank(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  const bool use_text = options.mode != SearchMode::kVector;
  const bool use_vector = options.mode != SearchMode::kText && embedder_ != nullptr;
  const bool both = use_text && use_vector;
  const Index::Scope scope{call.principal, collections, &options.filter, both ? std::max(fusion_.candidates, options.k) : options.k};
  std::vector<Hit> text, vector;
  if (use_vector) {
    STOA_TRY(values, embed(call, query));
    vector = index_.search_vector(scope, values);
  }
  if (use_text) text = index_.search_text(scope, query);
  if (both) return fuse(text, vector, fusion_);
  if (use_vector) return vector;
  const double best = text.empty() ? 1 : text.front().score;
  for (auto& hit : text) hit.score /= best;
  return text;
}

Result<std::vector<Passage>> Retriever::search(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  Span span = call.span("retrieval");
  const auto run = [&]() -> Result<std::vector<Passage>> {
    STOA_CHECK(check(collections, query, options, embedder_ != nullptr));
    if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the search was cancelled");
    if (call.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "no time is left for the search");
    STOA_CHECK(catalog_.check_searchable(call, collections));
    STOA_TRY(hits, rank(call, collections, query, options));
    std::erase_if(hits, [&](const Hit& hit) { return hit.score < options.min_score; });
    if (hits.size() > options.k) hits.resize(options.k);
    return catalog_.passages(call, hits);  // checks readers again, against the rows
  };
  auto found = run();
  if (found) {
    span.set("stoa.retrieval.passages", static_cast<std::int64_t>(found->size()));
  } else {
    span.fail(found.error().message);
  }
  return found;
}

}  // namespace stoa::data
