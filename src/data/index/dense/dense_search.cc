// How a DenseIndex searches: what is scanned and what is walked, and the order of what was found.
#include <algorithm>

#include "data/index/dense/dense_state.h"

namespace stoa::data {

namespace {

constexpr std::size_t kLooksPerWidth = 12;  // nodes that a walk looks at for each candidate that it keeps, about
constexpr std::size_t kScansPerLook = 3;    // nodes that a scan scores while a walk looks at one, about
constexpr std::size_t kLine = 64;

void prefetch(const std::byte* bytes, std::size_t count) {
  for (std::size_t at = 0; at < count; at += kLine) __builtin_prefetch(bytes + at);
}

void refine(const DenseState& now, const CodedQuery& query, std::span<Candidate> some) {
  for (const Candidate& candidate : some) prefetch(now.store.residual(candidate.node), now.store.residual_bytes());
  for (Candidate& candidate : some) candidate.key = now.coder.refined_key(query, now.store.record(candidate.node), now.store.residual(candidate.node));
}

// Gives the candidates, best first by their codes, the keys of both planes, but for those that would hardly be among the k best with them: of many candidates these are most, and residuals are long.
// Returns how many have such keys; they are in front.
std::size_t refine_best(const DenseState& now, const CodedQuery& query, std::span<Candidate> found, std::size_t k) {
  const auto best = found.first(std::min(k, found.size())), others = found.subspan(best.size());
  refine(now, query, best);
  if (others.empty()) return found.size();
  const float worst = std::ranges::min(best, {}, &Candidate::key).key;
  const auto left = std::ranges::partition(others, [&](const Candidate& it) { return now.coder.refined_reach(query, now.store.record(it.node), it.key) > worst; });
  refine(now, query, others.first(others.size() - left.size()));
  return found.size() - left.size();
}

// The k best of the candidates whose slots have not been removed since they were found.
void take_hits(const DenseState& now, const CodedQuery& query, std::span<Candidate> found, std::size_t k, std::vector<DenseHit>& hits) {
  std::sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) { return a.key > b.key; });
  hits.clear();
  hits.reserve(std::min(k, found.size()));
  for (const Candidate& candidate : found) {
    if (hits.size() == k) break;
    const std::uint32_t slot = now.store.state(candidate.node);
    if (is_slot(slot)) hits.push_back({slot, now.coder.score(query, candidate.key)});
  }
}

// A slot that was replaced while the search ran may be found twice.
void drop_repeated(std::vector<DenseHit>& hits, std::vector<std::uint32_t>& slots) {
  slots.clear();
  for (const DenseHit& hit : hits) slots.push_back(hit.slot);
  std::sort(slots.begin(), slots.end());
  if (std::adjacent_find(slots.begin(), slots.end()) == slots.end()) return;
  for (std::size_t i = 0; i < hits.size(); ++i)
    std::erase_if(hits, [&, at = std::size_t{0}](const DenseHit& hit) mutable { return at++ > i && hit.slot == hits[i].slot; });
}

}  // namespace

// Leaves the best candidates by their codes in context.allowed or context.pool, whichever is returned.
std::span<Candidate> DenseIndex::Impl::find(SearchContext& context, const DenseState& now, std::size_t width, const SlotFilter* filter) const {
  const std::size_t live = now.store.live(), allowed = filter == nullptr ? live : std::min(live, filter->count);
  // A walk finds an allowed node among live / allowed ones, and looks at so many more for each. Where a scan looks at fewer it is faster, and exact.
  const bool few = allowed * allowed <= kScansPerLook * kLooksPerWidth * width * live;
  if (!few && now.walkable()) {
    if (filter == nullptr && now.graph.removed_count() == 0) {
      now.graph.walk(context, width);
      return context.pool.candidates();
    }
    const auto accept = [filter](std::uint32_t slot) { return is_slot(slot) && (filter == nullptr || filter->allows(slot)); };
    // Where the filter and the query are far apart, a walk wanders: what a scan would have cost is the most it may take.
    if (now.graph.walk_beside(context, width, allowed / kScansPerLook, accept)) return context.allowed.candidates();
  }
  scan(context, now, width, filter);
  return context.allowed.candidates();
}

void DenseIndex::Impl::scan(SearchContext& context, const DenseState& now, std::size_t width, const SlotFilter* filter) const {
  context.allowed.reset(width);
  NodeBatch& batch = context.batches[0];
  batch.count = 0;
  const auto look = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < batch.count; ++i) {
      const std::uint32_t node = batch.nodes[i], slot = now.store.state(node);
      if (!is_slot(slot) || (filter != nullptr && !filter->allows(slot))) continue;
      batch.nodes[count] = node;
      batch.records[count++] = now.store.record(node);
    }
    now.coder.keys(context.query, {batch.records.data(), count}, batch.keys.data());
    for (std::size_t i = 0; i < count; ++i) context.allowed.insert({batch.keys[i], batch.nodes[i]});
    batch.count = 0;
  };
  const auto add = [&](std::uint32_t node) {
    batch.nodes[batch.count++] = node;
    if (batch.count == NodeBatch::kRoom) look();
  };
  const std::uint32_t end = now.store.end();
  if (filter == nullptr || filter->count > end / 4) {
    for (std::uint32_t node = 0; node < end; ++node) add(node);
  } else {
    for (std::size_t word = 0; word < filter->words.size(); ++word)
      for (std::uint64_t bits = filter->words[word]; bits != 0; bits &= bits - 1) {
        const std::uint32_t node = now.store.node_of(static_cast<std::uint32_t>(word * 64) + static_cast<std::uint32_t>(std::countr_zero(bits)));
        if (node == kNoNode) continue;
        prefetch(now.store.record(node), now.store.record_bytes());
        add(node);
      }
  }
  look();
}

Result<std::vector<DenseHit>> DenseIndex::search(const VectorView& query, std::size_t k, std::size_t width, const SlotFilter* filter) const {
  if (k > kMaxResults) return fail(ErrorCode::kInvalidArgument, "{} results: there are at most {}", k, kMaxResults);
  const ContextPool::Lease lease(impl_->contexts);
  SearchContext& context = *lease;
  STOA_CHECK(impl_->take_vector(query, context.vector));
  const DenseState& now = *impl_->state.load(std::memory_order_acquire);
  std::vector<DenseHit> hits;
  if (k == 0 || now.store.live() == 0 || (filter != nullptr && filter->count == 0)) return hits;
  now.coder.encode_query(context.vector, context.query, now.store.looks_pay());
  const auto found = impl_->find(context, now, std::clamp(width, k, std::max(k, kMaxResults)), filter);
  const std::size_t refined = refine_best(now, context.query, found, k);
  take_hits(now, context.query, found.first(refined), k, hits);
  if (hits.size() < k && refined < found.size()) {
    refine(now, context.query, found.subspan(refined));
    take_hits(now, context.query, found, k, hits);
  }
  drop_repeated(hits, context.slots);
  return hits;
}

}  // namespace stoa::data
