#include "data/retrieve/retriever.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/log.h"
#include "data/retrieve/diversity.h"

namespace stoa::data {
namespace {

constexpr int kMostTurns = 10;            // how often a search is done again, because what it searched has become another
constexpr std::size_t kDeeper = 4;         // times as far down as candidates go, words are looked for in what meaning found
constexpr std::size_t kVariedAmong = 50;  // passages of which the various ones are chosen, at least

// `found` and `keys` in another order: place i gets what is at order[i].
template <class Order>
void arrange(std::vector<Found>& found, std::vector<ChunkKey>& keys, const std::vector<Order>& order, std::size_t Order::* place) {
  std::vector<Found> moved;
  std::vector<ChunkKey> moved_keys;
  for (const Order& one : order) {
    moved.push_back(std::move(found[one.*place]));
    moved_keys.push_back(keys[one.*place]);
  }
  found = std::move(moved);
  keys = std::move(moved_keys);
}

}  // namespace

double fused_score(const Standing& why, bool text, bool vector, Fusion fusion, const FusionOptions& options) {
  const double meaning = std::max(0.0, (why.passage_cosine + why.sentence_cosine) / 2);
  if (!vector) return why.text_score;
  if (!text) return meaning;
  const double text_weight = options.text_weight, vector_weight = 1 - options.text_weight;
  if (fusion == Fusion::kWeighted) return text_weight * why.text_score + vector_weight * meaning;
  const auto share = [&](int rank) { return rank > 0 ? (options.rank_k + 1) / (options.rank_k + rank) : 0; };  // of what the first place gives
  return text_weight * share(why.text_rank) + vector_weight * share(why.vector_rank);
}

Retriever::Retriever(Catalog& catalog, const Index& index, Embedders embedders, Reranker* reranker, FusionOptions fusion, QueryRewriter* rewriter)
    : catalog_(catalog), index_(index), embedders_(std::move(embedders)), reranker_(reranker), rewriter_(rewriter), fusion_(fusion) {}

Status Retriever::check_time(const Call& call) const {
  if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the search was cancelled");
  if (call.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "no time is left for the search");
  return {};
}

Status Retriever::rewrite(const Call& call, const std::string& query, const SearchOptions& options, Findings& findings) {
  const auto start = std::chrono::steady_clock::now();
  auto made = rewriter_->rewrite(call, query, options.rewrite);
  findings.rewriting_micros = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  STOA_CHECK(check_time(call));
  if (!made) {
    log(LogLevel::kWarning, "a query was not reworded, and is searched for as it is", {{"problem", made.error().message}});
    findings.rewriting_problem = made.error().message;
    return {};
  }
  if (made->queries.empty()) findings.rewriting_problem = "the model gave no other phrasing";
  for (std::size_t i = 0; i < std::min(made->queries.size(), options.rewrite); ++i) {
    if (std::ranges::find(findings.queries, made->queries[i]) == findings.queries.end()) findings.queries.push_back(made->queries[i]);
  }
  findings.rewriting = std::move(*made);
  return {};
}

Result<Retriever::Candidates> Retriever::rank_one(const Call& call, const Index::Scope& scope, const std::string& query, std::span<const QueryVector> meanings, const SearchOptions& options) {
  const bool use_text = options.mode != SearchMode::kVector, use_vector = !meanings.empty();
  std::vector<Hit> text;
  std::map<ChunkKey, Standing> standings;
  // What signs say must or must not be there holds for all that is found: meaning orders it then, and adds nothing.
  for (const QueryVector& meaning : options.syntax == QuerySyntax::kPlain ? meanings : std::span<const QueryVector>()) {
    STOA_TRY(nearest, index_.search_vector(scope, meaning.values, meaning.model));
    for (std::size_t i = 0; i < nearest.size(); ++i) standings[nearest[i].key].vector_rank = static_cast<int>(i) + 1;  // among those of its model
  }
  if (use_text) {
    Index::Scope deeper = scope;
    if (use_vector) deeper.k *= kDeeper;
    STOA_TRY(matching, index_.search_text(deeper, query, options.syntax == QuerySyntax::kOperators ? Index::Syntax::kOperators : Index::Syntax::kPlain));
    text = std::move(matching);
  }

  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i >= scope.k && !standings.contains(text[i].key)) continue;
    Standing& why = standings[text[i].key];
    why.text_rank = static_cast<int>(i) + 1;
    why.text_score = text[i].score;
  }
  Candidates candidates;
  for (auto& [key, why] : standings) candidates.push_back({key, std::move(why)});
  if (use_vector) STOA_CHECK(measure(call, meanings, candidates));
  FusionOptions fusion = fusion_;
  fusion.text_weight = options.text_weight.value_or(fusion.text_weight);
  for (Candidate& candidate : candidates) candidate.why.fused = fused_score(candidate.why, use_text, use_vector, options.fusion, fusion);
  return candidates;
}

Retriever::Candidates Retriever::fuse(const std::vector<Candidates>& lists, std::size_t asked, Fusion fusion) const {
  std::map<ChunkKey, Standing> standings;
  std::map<ChunkKey, double> best, sums;
  double weights = 0;
  for (std::size_t query = 0; query < lists.size(); ++query) {
    const double weight = query < asked ? 1 : fusion_.rewrite_weight;
    weights += weight;
    for (const Candidate& candidate : lists[query]) {
      const double score = weight * candidate.why.fused;
      sums[candidate.key] += score;
      const auto [known, fresh] = best.try_emplace(candidate.key, score);
      Standing& why = standings[candidate.key];
      std::vector<double> by_query = std::move(why.by_query);
      by_query.resize(lists.size());
      by_query[query] = candidate.why.fused;
      if (fresh || score > known->second) {
        known->second = score;
        why = candidate.why;
        why.query = query;
      }
      why.by_query = std::move(by_query);
    }
  }
  Candidates fused;
  for (auto& [key, why] : standings) {
    why.fused = fusion == Fusion::kWeighted ? best[key] : sums[key] / weights;
    fused.push_back({key, std::move(why)});
  }
  return fused;
}

std::vector<Embedder*> Retriever::embedders_of(std::span<const CollectionSettings> collections) const {
  std::vector<Embedder*> embedders;
  std::vector<std::string_view> seen;
  for (const CollectionSettings& collection : collections) {
    if (collection.embedding_model.empty() || std::ranges::find(seen, collection.embedding_model) != seen.end()) continue;
    seen.push_back(collection.embedding_model);
    if (const auto embedder = embedders_.find(collection.embedding_model); embedder) {
      embedders.push_back(*embedder);
    } else {
      log(LogLevel::kWarning, "collections are searched by words only", {{"model", collection.embedding_model}, {"why", embedder.error().message}});
    }
  }
  return embedders;
}

Result<Retriever::Candidates> Retriever::rank(const Call& call, std::span<const std::string> collections, std::span<Embedder* const> embedders, const Findings& findings,
                                              const SearchOptions& options) {
  const Index::Scope scope{call.principal, collections, &options.filter, std::max({fusion_.candidates, options.k, options.rerank}), catalog_.permits(call)};
  std::vector<std::string> texts = findings.queries;
  if (options.syntax == QuerySyntax::kOperators) std::ranges::transform(texts, texts.begin(), without_signs);
  std::vector<Meanings> meanings;
  for (Embedder* const embedder : options.mode != SearchMode::kText ? embedders : std::span<Embedder* const>()) {
    STOA_TRY(embedded, embedder->embed(call, texts));  // the embedder records its own span
    meanings.push_back({embedder->model(), std::move(embedded.values), static_cast<std::size_t>(embedded.dimensions)});
  }
  std::vector<Candidates> lists;
  for (std::size_t i = 0; i < findings.queries.size(); ++i) {
    STOA_CHECK(check_time(call));
    std::vector<QueryVector> own;
    for (const Meanings& of : meanings) own.push_back({of.model, std::span(of.values).subspan(i * of.width, of.width)});
    STOA_TRY(list, rank_one(call, scope, findings.queries[i], own, options));
    lists.push_back(std::move(list));
  }
  Candidates candidates = lists.size() == 1 ? std::move(lists.front()) : fuse(lists, findings.asked, options.fusion);
  if (options.decay.half_life > 0) STOA_CHECK(age(call, options.decay, candidates));
  std::ranges::stable_sort(candidates, std::greater(), &Candidate::score);  // equal ones in order of their keys
  return candidates;
}

Status Retriever::measure(const Call& call, std::span<const QueryVector> query, Candidates& candidates) {
  std::vector<ChunkKey> keys;
  for (const Candidate& candidate : candidates) keys.push_back(candidate.key);
  STOA_TRY(found, catalog_.nearness(call, keys, query));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (!found[i]) continue;
    candidates[i].why.passage_cosine = found[i]->passage;
    candidates[i].why.sentence_cosine = found[i]->sentence;
  }
  return {};
}

Status Retriever::age(const Call& call, const Decay& decay, Candidates& candidates) {
  std::vector<ChunkKey> keys;
  for (const Candidate& candidate : candidates) keys.push_back(candidate.key);
  STOA_TRY(ages, catalog_.ages(call, keys, decay.attribute));
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (ages[i]) candidates[i].why.aged = Aged{*ages[i], decay_factor(ages[i]->age, decay)};
  return {};
}

Result<std::vector<Found>> Retriever::open(const Call& call, const Candidates& candidates, std::span<Embedder* const> embedders, const std::string& query,
                                           const SearchOptions& options) {
  const std::size_t wanted = options.rerank > 0 ? options.rerank : options.diversity > 0 ? std::max(options.k, kVariedAmong) : options.k;
  const auto last = options.rerank > 0 ? candidates.end() : std::ranges::find_if(candidates, [&](const Candidate& one) { return one.score() < options.min_score; });  // they are in order
  std::vector<Found> found;
  std::vector<ChunkKey> keys;  // of `found`, kept in its order
  // What has gone, or may not be read after all, leaves its place to what comes after it.
  for (auto next = candidates.begin(); next != last && found.size() < wanted;) {
    const auto first = next;
    next += std::min<std::ptrdiff_t>(last - first, static_cast<std::ptrdiff_t>(wanted - found.size()));
    std::vector<Hit> hits;
    for (const Candidate& candidate : std::ranges::subrange(first, next)) hits.push_back({candidate.key, candidate.score()});
    STOA_TRY(opened, catalog_.passages(call, hits));  // checks readers again, against the rows
    for (auto& [hit, passage, attributes] : opened) {
      const Candidate& candidate = first[static_cast<std::ptrdiff_t>(hit)];
      found.push_back({std::move(passage), candidate.why, std::move(attributes)});
      keys.push_back(candidate.key);
    }
  }
  if (options.rerank > 0) {
    STOA_CHECK(rerank(call, found, keys, query));
    const auto end = std::ranges::find_if(found, [&](const Found& one) { return one.passage.score < options.min_score; });  // they are in order
    keys.resize(static_cast<std::size_t>(end - found.begin()));
    found.erase(end, found.end());
  }
  if (options.diversity > 0) STOA_CHECK(vary(call, embedders, found, keys, options));
  if (found.size() > options.k) {
    found.resize(options.k);
    keys.resize(options.k);
  }
  STOA_TRY(contexts, catalog_.surroundings(call, keys, options.context));
  for (std::size_t i = 0; i < found.size(); ++i) found[i].passage.context = std::move(contexts[i]);
  return found;
}

Status Retriever::rerank(const Call& call, std::vector<Found>& found, std::vector<ChunkKey>& keys, const std::string& query) {
  std::vector<std::string> texts;
  for (const Found& one : found) texts.push_back(one.passage.text);
  if (texts.empty()) return {};
  STOA_TRY(judged, reranker_->rerank(call, query, texts));
  if (judged.scores.size() != found.size()) return fail(ErrorCode::kInternal, "{} gave {} scores for {} passages", reranker_->model(), judged.scores.size(), found.size());
  struct Place {
    std::size_t at = 0;
    double score = 0;
  };
  std::vector<Place> order;
  for (std::size_t i = 0; i < found.size(); ++i) {
    Standing& why = found[i].why;
    why.relevance = relevance(judged.scores[i]);
    const double score = reranker_->share() * *why.relevance + (1 - reranker_->share()) * why.fused;
    found[i].passage.score = score * (why.aged ? why.aged->factor : 1);
    order.push_back({i, found[i].passage.score});
  }
  std::ranges::stable_sort(order, std::greater(), &Place::score);
  arrange(found, keys, order, &Place::at);
  return {};
}

Status Retriever::vary(const Call& call, std::span<Embedder* const> embedders, std::vector<Found>& found, std::vector<ChunkKey>& keys, const SearchOptions& options) {
  // Vectors of different models say nothing of one another: each model's begin where those of the ones before it end, so that none has the length of another's.
  std::vector<std::vector<float>> vectors(keys.size());
  std::size_t begin = 0;
  for (Embedder* const embedder : embedders) {
    STOA_TRY(known, catalog_.vectors(call, keys, embedder->model()));
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (known[i].empty()) continue;
      vectors[i].assign(begin, 0);
      vectors[i].insert(vectors[i].end(), known[i].begin(), known[i].end());
    }
    begin += static_cast<std::size_t>(embedder->dimensions());
  }
  std::vector<double> scores;
  for (const Found& one : found) scores.push_back(one.passage.score);
  const auto order = choose_diverse(scores, vectors, options.diversity, options.k);
  for (const Chosen& one : order) found[one.passage].why.varied = Varied{static_cast<int>(one.passage) + 1, one.likeness};
  arrange(found, keys, order, &Chosen::passage);
  return {};
}

Result<Findings> Retriever::retrieve(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  Span span = call.span("retrieval");
  const auto run = [&]() -> Result<Findings> {
    STOA_CHECK(check_search(collections, query, options));
    STOA_CHECK(check_time(call));
    std::uint64_t turned = index_.turn_overs(collections);
    STOA_TRY(settings, catalog_.searchable(call, collections));
    auto embedders = embedders_of(settings);
    SearchMeans able = means();
    able.embedder = !embedders.empty();
    STOA_CHECK(check_means(options, able));
    Findings findings{.found = {}, .queries = {query}};
    for (const std::string& other : options.queries)
      if (std::ranges::find(findings.queries, other) == findings.queries.end()) findings.queries.push_back(other);
    findings.asked = findings.queries.size();
    if (options.rewrite > 0) STOA_CHECK(rewrite(call, query, options, findings));
    for (int turn = 0;; ++turn) {
      STOA_TRY(candidates, rank(call, collections, embedders, findings, options));
      STOA_TRY(found, open(call, candidates, embedders, query, options));
      findings.found = std::move(found);
      // A collection that was turned over meanwhile was asked with the vectors of the model it had, and its passages have others in their places.
      STOA_TRY(now, catalog_.searchable(call, collections));
      const std::uint64_t turned_now = index_.turn_overs(collections);
      if ((now == settings && turned_now == turned) || turn == kMostTurns) break;
      settings = std::move(now);
      turned = turned_now;
      embedders = embedders_of(settings);
    }
    if (!catalog_.single_ones_are_forbidden(call)) {
      auto problems = index_.filter_problems({call.principal, collections, &options.filter, 0, catalog_.permits(call)});
      if (!catalog_.single_ones_are_forbidden(call)) findings.filter_problems = std::move(problems);  // policies may have changed meanwhile
    }
    return findings;
  };
  auto findings = run();
  if (findings) {
    span.set("stoa.retrieval.passages", static_cast<std::int64_t>(findings->found.size()));
  } else {
    span.fail(findings.error().message);
  }
  return findings;
}

Result<std::vector<Found>> Retriever::find(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  STOA_TRY(findings, retrieve(call, collections, query, options));
  return std::move(findings.found);
}

Result<std::vector<Passage>> Retriever::search(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options) {
  STOA_TRY(findings, retrieve(call, collections, query, options));
  std::vector<Passage> passages;
  for (Found& one : findings.found) passages.push_back(std::move(one.passage));
  return passages;
}

}  // namespace stoa::data
