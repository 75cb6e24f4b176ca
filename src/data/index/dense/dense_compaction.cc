// How a DenseIndex gives memory back when most of its vectors were removed. Nodes that live are spread over all blocks, so they are copied into a state of their own, a few with each
// write and beside searches, which see nothing of it; when all are there it takes the place of the old one, and that goes as a whole. The mean stays, so codes are copied as they
// are, and a query is coded for both.
#include <new>

#include "data/index/dense/dense_state.h"

namespace stoa::data {

namespace {

constexpr int kCopyStep = 16, kLookStep = 1024;  // nodes that a write copies for others, and looks at for that

}  // namespace

// Of a few without a graph, at once. Scores stay what they were to the last bit: they tell nothing of what was removed.
void DenseIndex::Impl::compact_alone(const DenseState& now) {
  auto next = std::make_unique<DenseState>(dimensions, metric, now.coder.mean(), false);
  for (std::uint32_t node = 0; node < now.store.end(); ++node) {
    const std::uint32_t slot = now.store.state(node);
    if (!is_slot(slot)) continue;
    const std::uint32_t copy = next->store.take();
    next->store.copy(copy, now.store, node);
    const auto held = next->store.hold(slot);
    next->store.publish(slot, copy);
  }
  replace(std::move(next));
}

// Called by who writes alone.
void DenseIndex::Impl::begin_compaction(DenseState& now) {
  auto next = std::make_unique<DenseState>(dimensions, metric, now.coder.mean(), true);
  now.uncopied.end = now.store.end();
  now.uncopied.taken = now.uncopied.done = 0;
  now.refused = false;
  now.next = std::move(next);
}

void DenseIndex::Impl::copy_some(SearchContext& context, DenseState& now) {
  try {
    for (int copied = 0, looked = 0; copied < kCopyStep && looked < kLookStep; ++looked) {
      const std::uint32_t node = now.uncopied.take();
      if (node == kNoNode) return;
      copied += copy_living(context, now, node);
      now.uncopied.done.fetch_add(1, std::memory_order_release);
    }
  } catch (const std::bad_alloc&) {
    now.refused = true;  // the write is done all the same; a later one begins again
  }
}

bool DenseIndex::Impl::copy_living(SearchContext& context, DenseState& now, std::uint32_t node) {
  DenseState& next = *now.next;
  const std::uint32_t slot = now.store.state(node);
  if (!is_slot(slot) || next.store.node_of(slot) != kNoNode) return false;
  context.vector.resize(static_cast<std::size_t>(dimensions));
  now.coder.decode(now.store.record(node), now.store.residual(node), context.vector);
  now.coder.encode_query(context.vector, context.query, now.store.looks_pay());
  const std::uint32_t copy = copy_node(context, now, node, next);
  const auto held = now.store.hold(slot), held_in_next = next.store.hold(slot);
  if (now.store.node_of(slot) == node) {
    if (const std::uint32_t before = next.store.publish(slot, copy); before != kNoNode) next.graph.removed(before);
  } else {  // removed or replaced meanwhile
    next.store.set_state(copy, kRemovedNode);
    next.graph.removed(copy);
  }
  return true;
}

// A copy that is linked and that no slot has yet. context.query is the node's vector.
std::uint32_t DenseIndex::Impl::copy_node(SearchContext& context, const DenseState& from, std::uint32_t node, DenseState& to) {
  const std::uint32_t copy = to.store.take();
  to.store.copy(copy, from.store, node);
  to.store.set_state(copy, kPendingNode);
  to.graph.insert(context, copy);
  return copy;
}

}  // namespace stoa::data
