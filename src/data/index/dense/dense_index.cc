#include "data/index/dense/dense_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "data/index/dense/dense_state.h"

namespace stoa::data {

namespace {

constexpr std::size_t kShrinkBelow = DenseIndex::kGraphFrom / 2;  // vectors: of so few, most searches scan all even if there is a graph
constexpr int kBacklogStep = 2;          // vectors that a put links besides its own
constexpr std::size_t kRelinkStep = 32;  // nodes that a put or remove looks at for others

float from_f16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(fraction) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | fraction << 13);
}

float from_bf16(std::uint16_t half) { return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16); }

std::string_view metric_name(VectorMetric metric) {
  switch (metric) {
    case VectorMetric::kCosine: return "cosine";
    case VectorMetric::kDot: return "dot";
    case VectorMetric::kL2: return "l2";
  }
  return "unknown";
}

}  // namespace

void VectorView::copy_to(std::span<float> floats) const {
  const auto* halves = static_cast<const std::uint16_t*>(data_);
  switch (type_) {
    case Type::kF32: std::copy_n(static_cast<const float*>(data_), size_, floats.begin()); break;
    case Type::kF16: std::transform(halves, halves + size_, floats.begin(), from_f16); break;
    case Type::kBf16: std::transform(halves, halves + size_, floats.begin(), from_bf16); break;
  }
}

DenseIndex::Impl::Impl(int d, VectorMetric m) : dimensions(d), metric(m), state(new DenseState(d, m, {}, false)) {}

DenseIndex::Impl::~Impl() { delete state.load(); }

std::shared_lock<std::shared_mutex> DenseIndex::Impl::write_beside() const {
  const std::lock_guard lock(turn);
  return std::shared_lock(writers);
}

std::unique_lock<std::shared_mutex> DenseIndex::Impl::write_alone() const {
  const std::lock_guard lock(turn);
  return std::unique_lock(writers);
}

Status DenseIndex::Impl::take_vector(const VectorView& view, std::vector<float>& vector) const {
  const auto size = static_cast<std::size_t>(dimensions);
  if (view.size() != size) return fail(ErrorCode::kInvalidArgument, "a vector has {} dimensions, the index {}", view.size(), dimensions);
  vector.resize(size);
  view.copy_to(vector);
  double square = 0;
  for (std::size_t d = 0; d < size; ++d) {
    if (!std::isfinite(vector[d])) return fail(ErrorCode::kInvalidArgument, "dimension {} of a vector is {}, which is no finite number", d, vector[d]);
    square += static_cast<double>(vector[d]) * vector[d];
  }
  if (metric == VectorMetric::kCosine) {
    if (square == 0) return fail(ErrorCode::kInvalidArgument, "a vector is zero in all {} dimensions, and so has no direction to compare by the cosine", size);
    const double inverse = 1 / std::sqrt(square);
    for (float& value : vector) value = static_cast<float>(value * inverse);
  } else if (square > VectorCoder::kGreatestSquare) {
    return fail(ErrorCode::kInvalidArgument, "the length of a vector is {:.3g}, of which products by {} do not fit floats", std::sqrt(square), metric_name(metric));
  }
  return {};
}

void DenseIndex::Impl::put(SearchContext& context, std::uint32_t slot) {
  bool is_in = false;
  {
    const auto lock = write_beside();
    if (DenseState& now = *state.load(std::memory_order_acquire); now.linked) {
      put_linked(context, now, slot);
      if (!unsettled(now)) return;
      is_in = true;
    }
  }
  const auto lock = write_alone();
  if (!is_in) {
    DenseState& now = *state.load(std::memory_order_acquire);  // between the locks others may have replaced it
    now.linked ? put_linked(context, now, slot) : put_alone(context, now, slot);
  }
  settle(context);
}

void DenseIndex::Impl::put_alone(SearchContext& context, DenseState& now, std::uint32_t slot) {
  const std::uint32_t node = now.store.take();
  now.coder.encode(context.vector, now.store.record(node), now.store.residual(node), now.store.look(node));
  const auto held = now.store.hold(slot);
  if (const std::uint32_t before = now.store.publish(slot, node); before != kNoNode) contexts.retire([&now, before] { now.store.give_back({&before, 1}); });
}

void DenseIndex::Impl::put_linked(SearchContext& context, DenseState& now, std::uint32_t slot) {
  const std::uint32_t node = now.store.take();
  now.coder.encode(context.vector, now.store.record(node), now.store.residual(node), now.store.look(node));
  now.store.set_state(node, kPendingNode);
  now.coder.encode_query(context.vector, context.query, now.store.looks_pay());
  now.graph.insert(context, node);
  const std::uint32_t in_next = now.next == nullptr ? kNoNode : copy_node(context, now, node, *now.next);
  {
    const auto held = now.store.hold(slot);
    const auto held_in_next = now.next == nullptr ? std::unique_lock<std::mutex>() : now.next->store.hold(slot);
    if (const std::uint32_t before = now.store.publish(slot, node); before != kNoNode) now.graph.removed(before);
    if (now.next != nullptr)
      if (const std::uint32_t before = now.next->store.publish(slot, in_next); before != kNoNode) now.next->graph.removed(before);
  }
  if (now.walkable()) return go_on(context, now);
  for (int i = 0; i < kBacklogStep; ++i) link_backlog(context, now);
}

void DenseIndex::Impl::link_backlog(SearchContext& context, DenseState& now) {
  const std::uint32_t node = now.unlinked.take();
  if (node == kNoNode) return;
  if (now.store.state(node) != kRemovedNode) {
    context.vector.resize(static_cast<std::size_t>(dimensions));
    now.coder.decode(now.store.record(node), now.store.residual(node), context.vector);
    now.coder.encode_query(context.vector, context.query, now.store.looks_pay());
    now.graph.insert(context, node);
  }
  now.unlinked.done.fetch_add(1, std::memory_order_release);
}

bool DenseIndex::Impl::remove(SearchContext& context, std::uint32_t slot) {
  std::optional<bool> removed;
  {
    const auto lock = write_beside();
    if (DenseState& now = *state.load(std::memory_order_acquire); now.linked) {
      removed = remove_linked(context, now, slot);
      if (!unsettled(now)) return *removed;
    }
  }
  const auto lock = write_alone();
  if (!removed) {
    DenseState& now = *state.load(std::memory_order_acquire);  // between the locks others may have replaced it
    removed = now.linked ? remove_linked(context, now, slot) : remove_alone(now, slot);
  }
  settle(context);
  return *removed;
}

bool DenseIndex::Impl::remove_linked(SearchContext& context, DenseState& now, std::uint32_t slot) {
  if (now.store.node_of(slot) == kNoNode) return false;
  {
    const auto held = now.store.hold(slot);
    const std::uint32_t node = now.store.withdraw(slot);
    if (node == kNoNode) return false;
    now.graph.removed(node);
    if (now.next != nullptr) {
      const auto held_in_next = now.next->store.hold(slot);
      if (const std::uint32_t in_next = now.next->store.withdraw(slot); in_next != kNoNode) now.next->graph.removed(in_next);
    }
  }
  if (now.walkable()) go_on(context, now);
  return true;
}

bool DenseIndex::Impl::remove_alone(DenseState& now, std::uint32_t slot) {
  if (now.store.node_of(slot) == kNoNode) return false;
  const auto held = now.store.hold(slot);
  const std::uint32_t node = now.store.withdraw(slot);
  contexts.retire([&now, node] { now.store.give_back({&node, 1}); });
  return true;
}

// What each write does for others.
void DenseIndex::Impl::go_on(SearchContext& context, DenseState& now) {
  DenseState& staying = now.next == nullptr ? now : *now.next;
  staying.graph.consolidate(context, contexts, kRelinkStep);
  if (now.next != nullptr) copy_some(context, now);
}

// Whether something is to be done that only who writes alone may do.
bool DenseIndex::Impl::unsettled(const DenseState& now) const {
  const std::size_t live = now.store.live();
  if (!now.linked) return live >= kGraphFrom || now.is_sparse();
  if (live < kShrinkBelow) return true;
  return now.next == nullptr ? now.walkable() && now.is_sparse() : now.uncopied.finished() || now.refused.load(std::memory_order_relaxed);
}

void DenseIndex::Impl::settle(SearchContext& context) {
  DenseState& now = *state.load(std::memory_order_acquire);
  if (!unsettled(now)) return;
  const std::size_t live = now.store.live();
  if (!now.linked && live > 0 && live < kGraphFrom) return compact_alone(now);
  if (!now.linked || live < kShrinkBelow) return rebuild(context, live >= kGraphFrom);
  if (now.next == nullptr) return begin_compaction(now);
  if (now.uncopied.finished()) return replace(std::move(now.next));
  now.next = nullptr;
}

// Puts what is there into a state of its own, under its mean. Called by who writes alone.
void DenseIndex::Impl::rebuild(SearchContext& context, bool linked) {
  const DenseState& now = *state.load(std::memory_order_acquire);
  const auto size = static_cast<std::size_t>(dimensions);
  context.vector.resize(size);
  std::vector<double> sums(size);
  const auto each = [&](auto&& action) {
    for (std::uint32_t node = 0; node < now.store.end(); ++node) {
      const std::uint32_t slot = now.store.state(node);
      if (!is_slot(slot)) continue;
      now.coder.decode(now.store.record(node), now.store.residual(node), context.vector);
      action(slot);
    }
  };
  each([&](std::uint32_t) {
    for (std::size_t d = 0; d < size; ++d) sums[d] += context.vector[d];
  });
  std::vector<float> mean;
  if (const std::size_t live = now.store.live(); live > 0)
    for (const double sum : sums) mean.push_back(static_cast<float>(sum / static_cast<double>(live)));
  auto next = std::make_unique<DenseState>(dimensions, metric, std::move(mean), linked);
  each([&](std::uint32_t slot) {
    const std::uint32_t node = next->store.take();
    next->coder.encode(context.vector, next->store.record(node), next->store.residual(node), next->store.look(node));
    const auto held = next->store.hold(slot);
    next->store.publish(slot, node);
  });
  if (linked) next->unlinked.end = next->store.end();
  replace(std::move(next));
}

void DenseIndex::Impl::replace(std::unique_ptr<DenseState> next) {
  const bool large = next->linked;
  contexts.retire([old = std::shared_ptr<DenseState>(state.exchange(next.release(), std::memory_order_acq_rel))] {});
  contexts.keep_idle(large);
}

Result<DenseIndex> DenseIndex::create(int dimensions, VectorMetric metric) {
  if (dimensions < 1 || dimensions > kMaxDimensions)
    return fail(ErrorCode::kInvalidArgument, "a dense index of {} dimensions: there are from 1 to {}", dimensions, kMaxDimensions);
  return DenseIndex(std::make_unique<Impl>(dimensions, metric));
}

DenseIndex::DenseIndex(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DenseIndex::~DenseIndex() = default;
DenseIndex::DenseIndex(DenseIndex&&) noexcept = default;
DenseIndex& DenseIndex::operator=(DenseIndex&&) noexcept = default;

int DenseIndex::dimensions() const { return impl_->dimensions; }
VectorMetric DenseIndex::metric() const { return impl_->metric; }

std::size_t DenseIndex::size() const {
  const ContextPool::Lease lease(impl_->contexts);
  return impl_->state.load(std::memory_order_acquire)->store.live();
}

std::size_t DenseIndex::memory_bytes() const {
  const ContextPool::Lease lease(impl_->contexts);
  const auto lock = impl_->write_beside();
  std::size_t bytes = sizeof(Impl) + impl_->contexts.memory_bytes();
  for (const DenseState* now = impl_->state.load(std::memory_order_acquire); now != nullptr; now = now->next.get())
    bytes += sizeof(DenseState) - sizeof(NodeStore) + now->store.memory_bytes() + now->coder.memory_bytes();
  return bytes;
}

Status DenseIndex::put(std::uint32_t slot, const VectorView& vector) {
  if (slot > kMaxSlot) return fail(ErrorCode::kInvalidArgument, "slot {}: the last is {}", slot, kMaxSlot);
  const ContextPool::Lease lease(impl_->contexts);
  STOA_CHECK(impl_->take_vector(vector, (*lease).vector));
  impl_->put(*lease, slot);
  return {};
}

bool DenseIndex::remove(std::uint32_t slot) {
  const ContextPool::Lease lease(impl_->contexts);
  return impl_->remove(*lease, slot);
}

}  // namespace stoa::data
