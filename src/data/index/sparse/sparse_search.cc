#include "data/index/sparse/sparse_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "data/index/sparse/posting_cursor.h"
#include "data/index/sparse/search_plan.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxExpansions = 64;    // terms that a beginning or a near spelling stands for
constexpr std::size_t kMaxCandidates = 256;   // of them, from one segment

bool better(const SparseHit& a, const SparseHit& b) { return a.score != b.score ? a.score > b.score : a.key < b.key; }

// A term that a beginning or a near spelling may stand for.
struct Candidate {
  int distance = 0;
  std::uint64_t passages = 0;
  std::string term;
  bool operator<(const Candidate& other) const {
    if (distance != other.distance) return distance < other.distance;
    return passages != other.passages ? passages > other.passages : term < other.term;
  }
};

// Keeps the best by a heap with the worst on top.
class BestCandidates {
 public:
  void add(int distance, std::uint64_t passages, std::string_view term) {
    if (passages == 0) return;
    if (found_.size() == kMaxCandidates) {
      const Candidate& worst = found_[0];
      if (std::tuple(distance, worst.passages, term) >= std::tuple(worst.distance, passages, std::string_view(worst.term))) return;
      std::ranges::pop_heap(found_, std::less{});
      found_.pop_back();
    }
    found_.push_back({distance, passages, std::string(term)});
    std::ranges::push_heap(found_, std::less{});
  }
  const std::vector<Candidate>& all() const { return found_; }

 private:
  std::vector<Candidate> found_;
};

// What statistics are taken of: a segment, or some of its slots. Of these they come from postings, or from the terms that each of the passages has: the
// numbers are the same, and which takes less work depends on how many passages count.
class Counted {
 public:
  Counted(const SparseIndex& segment, const std::span<const std::uint64_t>* readable) : reader_(segment), scope_{0, {}, readable}, within_(reader_, scope_), passages_(segment.passages()), words_(segment.words()) {
    if (!is_partial()) return;
    passages_ = words_ = 0;
    within_.for_each([&](std::uint32_t ordinal) {
      ++passages_;
      words_ += reader_.lengths()[ordinal];
    });
  }

  bool is_partial() const { return within_.is_filtered(); }
  std::uint64_t passages() const { return passages_; }
  std::uint64_t words() const { return words_; }
  const TermDictionary& dictionary() const { return reader_.dictionary(); }
  std::uint64_t postings(std::uint32_t term) const { return reader_.list(term).size(); }
  // Of a part, from now on: nothing that is looked at depends on what does not count.
  void read_passages() {
    std::vector<std::uint32_t> terms;
    within_.for_each([&](std::uint32_t ordinal) {
      reader_.for_each_term(ordinal, [&](std::uint32_t term) {
        if (++with_[term] == 1) terms.push_back(term);
      });
    });
    among_ = dictionary().in_order(terms);
  }
  const TermDictionary::Order* among() const { return among_ ? &*among_ : nullptr; }  // the terms that there are then; null: look among all
  std::uint64_t passages_with(std::uint32_t term) {
    if (term == kNoTerm) return 0;
    if (!is_partial()) return reader_.passages_with(term);
    const auto [known, is_new] = with_.try_emplace(term, 0);
    if (!is_new || among_) return known->second;
    cursor_.open(&reader_.list(term), reader_.view(term));
    for (std::uint32_t ordinal = cursor_.seek(0); ordinal != PostingCursor::kEnd; ordinal = cursor_.next()) known->second += within_.admits(ordinal) ? 1 : 0;
    return known->second;
  }

 private:
  const SparseReader reader_;
  const SparseScope scope_;
  const SearchScope within_;
  std::uint64_t passages_, words_;
  std::unordered_map<std::uint32_t, std::uint32_t> with_;  // passages, by term
  std::optional<TermDictionary::Order> among_;
  PostingCursor cursor_;
};

}  // namespace

void BestHits::add(const SparseHit& hit) {
  if (hits_.size() == k_) {
    if (k_ == 0 || !better(hit, hits_.front())) return;
    std::ranges::pop_heap(hits_, better);
    hits_.pop_back();
  }
  hits_.push_back(hit);
  std::ranges::push_heap(hits_, better);
}

std::vector<SparseHit> BestHits::take() {
  std::ranges::sort(hits_, better);
  return std::exchange(hits_, {});
}

bool SearchScope::list(std::size_t most, std::vector<std::uint32_t>& ordinals) const {
  std::size_t count = 0;
  for (const std::uint64_t word : *scope_.allowed) count += static_cast<std::size_t>(std::popcount(word));
  if (count > most) return false;
  for_each([&](std::uint32_t ordinal) { ordinals.push_back(ordinal); });
  std::ranges::sort(ordinals);
  return true;
}

SparseHit SearchScope::hit(std::uint32_t ordinal, double score) const {
  const std::uint32_t slot = reader_.slot(ordinal);
  return {score, slot < scope_.keys.size() ? scope_.keys[slot] : static_cast<std::int64_t>(slot), scope_.segment, slot};
}

struct SparseSearch::State {
  State(const SparseQuery& tree, SparseOptions how, std::size_t k) : query(tree), options(how), best(k) {}

  const SparseQuery query;
  const SparseOptions options;
  BestHits best;
  std::uint64_t passages = 0, words = 0;
  bool is_counted = false;
  Bm25 bm25{};
  std::vector<SearchLeaf> leaves;
  std::vector<std::uint32_t> leaf_of;                 // of the parts of the query that score, from left to right
  std::vector<const SparseQuery*> parts;              // by leaf
  std::vector<std::map<std::string, Candidate>> found;  // by leaf, what beginnings and near spellings may stand for
  std::vector<BagEntry> bag;                          // when the query is one

  bool is_bag() const {
    return query.kind == SparseQuery::Kind::kBoolean && std::ranges::all_of(query.clauses, [](const SparseClause& c) { return c.occur == Occur::kShould && c.query.kind == SparseQuery::Kind::kTerm; });
  }
  // Equal terms share a leaf, and so do equal beginnings and near spellings, so that no list is walked twice.
  using Known = std::map<std::tuple<SparseQuery::Kind, std::string_view, std::string_view, int>, std::uint32_t>;
  void add_leaves(const SparseQuery& part, Known& same) {
    if (part.kind == SparseQuery::Kind::kBoolean) {
      for (const auto& clause : part.clauses) add_leaves(clause.query, same);
      return;
    }
    const auto next = static_cast<std::uint32_t>(leaves.size());
    if (part.kind == SparseQuery::Kind::kPhrase) {
      leaf_of.push_back(next);
    } else {
      const bool is_prefix = part.kind == SparseQuery::Kind::kPrefix, is_fuzzy = part.kind == SparseQuery::Kind::kFuzzy;
      const auto [known, is_new] = same.try_emplace({part.kind, part.text, is_prefix ? std::string_view(part.stem) : std::string_view(), is_fuzzy ? part.distance : 0}, next);
      leaf_of.push_back(known->second);
      if (!is_new) return;
    }
    SearchLeaf leaf;
    leaf.slop = part.slop;
    if (part.kind == SparseQuery::Kind::kTerm) leaf.terms.push_back(part.text);
    for (const auto& word : part.words) {
      leaf.terms.push_back(word.term);
      leaf.places.push_back(word.place);
    }
    leaf.passages.resize(leaf.terms.size());
    leaves.push_back(std::move(leaf));
    parts.push_back(&part);
  }
  bool visit_terms(const Counted& counted, std::size_t leaf, const std::function<bool(std::uint32_t, int)>& visit) const;
  bool has_fewer_postings(const Counted& counted) const;
  void expand(Counted& counted, std::size_t leaf);
  double weight_of(const SparseQuery& part, std::size_t& next) const;
  void finish_counting();
};

// The terms that a leaf may stand for, and how many edits away. False: `visit` said no, or they are not all.
bool SparseSearch::State::visit_terms(const Counted& counted, std::size_t leaf, const std::function<bool(std::uint32_t, int)>& visit) const {
  const SparseQuery& part = *parts[leaf];
  const TermDictionary& dictionary = counted.dictionary();
  const auto visit_one = [&](std::string_view name) {
    const std::uint32_t term = dictionary.find(name);
    return term == kNoTerm || visit(term, 0);
  };
  switch (part.kind) {
    case SparseQuery::Kind::kPrefix:
      if (!part.stem.starts_with(part.text) && !visit_one(part.stem)) return false;
      return dictionary.with_prefix(part.text, [&](std::uint32_t term) { return visit(term, 0); }, counted.among());
    case SparseQuery::Kind::kFuzzy: return dictionary.within_distance(part.text, part.distance, visit, counted.among());
    default: return std::ranges::all_of(leaves[leaf].terms, visit_one);
  }
}

// Whether the postings of all that the query may stand for are fewer than the words that count.
bool SparseSearch::State::has_fewer_postings(const Counted& counted) const {
  std::uint64_t left = counted.words();
  const auto take = [&](std::uint64_t steps) {
    const bool is_enough = steps <= left;
    left -= std::min(left, steps);
    return is_enough;
  };
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (parts[i]->kind == SparseQuery::Kind::kFuzzy && !take(counted.dictionary().most_steps())) return false;
    if (!visit_terms(counted, i, [&](std::uint32_t term, int) { return take(std::max<std::uint64_t>(1, counted.postings(term))); })) return false;
  }
  return true;
}

void SparseSearch::State::expand(Counted& counted, std::size_t leaf) {
  BestCandidates candidates;
  visit_terms(counted, leaf, [&](std::uint32_t term, int distance) {
    candidates.add(distance, counted.passages_with(term), counted.dictionary().name(term));
    return true;
  });
  for (const auto& candidate : candidates.all()) found[leaf].try_emplace(candidate.term, Candidate{candidate.distance, 0, candidate.term}).first->second.passages += candidate.passages;
}

void SparseSearch::State::finish_counting() {
  if (std::exchange(is_counted, true)) return;
  const auto all = static_cast<double>(passages);
  bm25 = {options.k1, options.b, static_cast<double>(words) / all};
  const auto idf = [&](std::uint64_t with) { return std::log(1 + (all - static_cast<double>(with) + 0.5) / (static_cast<double>(with) + 0.5)); };
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    SearchLeaf& leaf = leaves[i];
    if (parts[i]->kind == SparseQuery::Kind::kPrefix || parts[i]->kind == SparseQuery::Kind::kFuzzy) {
      std::vector<Candidate> order;
      for (auto& [term, candidate] : found[i]) order.push_back(std::move(candidate));
      std::ranges::sort(order, std::less{});
      if (order.size() > kMaxExpansions) order.resize(kMaxExpansions);
      std::uint64_t most = 0;
      for (auto& candidate : order) {
        most = std::max(most, candidate.passages);
        leaf.terms.push_back(std::move(candidate.term));
      }
      leaf.idf = idf(most);
    } else {
      for (const std::uint64_t with : leaf.passages) leaf.idf += idf(with);
    }
  }
  if (!is_bag()) return;
  for (std::size_t i = 0; i < query.clauses.size(); ++i) bag.push_back({leaf_of[i], leaves[leaf_of[i]].idf * (query.boost * query.clauses[i].query.boost)});
}

// The sum of idf times boost of what scores in `part`, whose leaves begin at `next` of leaf_of, where the next ones begin afterwards.
double SparseSearch::State::weight_of(const SparseQuery& part, std::size_t& next) const {
  if (part.kind != SparseQuery::Kind::kBoolean) return leaves[leaf_of[next++]].idf * part.boost;
  double sum = 0;
  for (const auto& clause : part.clauses) {
    const double weight = weight_of(clause.query, next);
    if (clause.occur != Occur::kMustNot) sum += weight;
  }
  return sum * part.boost;
}

SparseSearch::SparseSearch(const SparseQuery& query, SparseOptions options, std::size_t k) : state_(std::make_unique<State>(query, options, k)) {
  State::Known same;
  state_->add_leaves(state_->query, same);
  state_->found.resize(state_->leaves.size());
}
SparseSearch::~SparseSearch() = default;

void SparseSearch::count(const SparseIndex& segment, const std::span<const std::uint64_t>* readable) {
  Counted counted(segment, readable);
  state_->passages += counted.passages();
  state_->words += counted.words();
  if (counted.is_partial() && !state_->has_fewer_postings(counted)) counted.read_passages();
  for (std::size_t i = 0; i < state_->leaves.size(); ++i) {
    SearchLeaf& leaf = state_->leaves[i];
    const auto kind = state_->parts[i]->kind;
    if (kind == SparseQuery::Kind::kPrefix || kind == SparseQuery::Kind::kFuzzy) {
      state_->expand(counted, i);
    } else {
      for (std::size_t t = 0; t < leaf.terms.size(); ++t) leaf.passages[t] += counted.passages_with(counted.dictionary().find(leaf.terms[t]));
    }
  }
}

void SparseSearch::run(const SparseIndex& segment, const SparseScope& scope) {
  State& state = *state_;
  state.finish_counting();
  if (state.best.k() == 0 || state.words == 0 || state.leaves.empty() || segment.passages() == 0) return;
  const SparseReader reader(segment);
  const SearchScope within(reader, scope);
  if (state.is_bag()) {
    search_bag(reader, state.leaves, state.bag, state.bm25, within, state.best);
  } else {
    search_tree(reader, state.query, state.leaves, state.leaf_of, state.bm25, within, state.best);
  }
}

double SparseSearch::bound() const {
  state_->finish_counting();
  std::size_t next = 0;
  return state_->weight_of(state_->query, next) * (state_->options.k1 + 1);
}

std::vector<SparseHit> SparseSearch::take() { return state_->best.take(); }

}  // namespace stoa::data
