#include "data/index/dense/dense_snapshot.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "data/index/dense/dense_state.h"

namespace stoa::data {

namespace {

static_assert(std::endian::native == std::endian::little, "snapshots are written as numbers lie in memory");

template <class T>
ByteSpan bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

class Writer {
 public:
  explicit Writer(const std::function<Status(ByteSpan)>& sink) : sink_(sink) {}
  Status write(ByteSpan bytes) {
    sum_.add(bytes);
    return bytes.empty() ? Status() : sink_(bytes);
  }
  Status end_section() {
    const std::uint64_t value = std::exchange(sum_, {}).value();
    return sink_(bytes_of(value));
  }

 private:
  const std::function<Status(ByteSpan)>& sink_;
  SnapshotChecksum sum_;
};

template <class... Args>
std::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) {
  return fail(error(ErrorCode::kDataLoss, format, std::forward<Args>(args)...).in("snapshot of a dense index").with_hint("build the index anew from its vectors"));
}

// A section of a snapshot, whose size is known.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : rest_(bytes) {}
  void add(ByteSpan before) { sum_.add(before); }  // of the section, and not of the bytes
  void copy(std::span<std::byte> to) {
    if (to.empty()) return sum_.add({});
    sum_.add(rest_.first(to.size()));
    std::memcpy(to.data(), rest_.data(), to.size());
    rest_ = rest_.subspan(to.size());
  }
  bool section_holds() {
    const std::uint64_t value = std::exchange(sum_, {}).value();
    std::uint64_t said;
    std::memcpy(&said, rest_.data(), sizeof said);
    rest_ = rest_.subspan(sizeof said);
    return said == value;
  }

 private:
  ByteSpan rest_;
  SnapshotChecksum sum_;
};

constexpr std::size_t kBytesATime = std::size_t{8} << 20;  // for each thread, or one piece: little more than the caches hold

// What is learnt of a piece.
struct Found {
  std::size_t live = 0;
  std::vector<std::uint32_t> free, removed;
  bool holds = false;
};

bool links_hold(std::span<const std::byte> links, std::uint32_t nodes) {
  // kNoNode + 1 is 0. No branch, and four side by side: lists have a multiple of that.
  static_assert(NodeStore::kLinks % 4 == 0);
  std::array<std::uint32_t, 4> some, greatest{};
  for (std::size_t at = 0; at < links.size(); at += sizeof some) {
    std::memcpy(&some, links.data() + at, sizeof some);
    for (std::size_t i = 0; i < some.size(); ++i) greatest[i] = std::max(greatest[i], some[i] + 1);
  }
  return *std::ranges::max_element(greatest) <= nodes;
}

bool open_piece(ByteSpan bytes, const SnapshotHeader& header, std::uint32_t first, std::uint32_t count, DenseState& state, Found& found) {
  Reader reader(bytes);
  const NodeStore::Piece piece = state.store.restore_piece(first, count);
  for (const auto part : {piece.records, piece.looks, piece.links, piece.residuals}) reader.copy(part);
  if (!reader.section_holds() || !links_hold(piece.links, header.nodes)) return false;
  for (std::uint32_t node = first; node < first + count; ++node) {
    if (!state.coder.plausible(state.store.record(node), state.store.residual(node), state.store.look(node))) return false;
    const std::uint32_t slot = state.store.state(node);
    if (slot == kFreeNode) {
      found.free.push_back(node);
    } else if (slot == kRemovedNode) {
      found.removed.push_back(node);
    } else if (!is_slot(slot) || !state.store.restore_slot(slot, node)) {
      return false;
    } else {
      ++found.live;
    }
  }
  return true;
}

bool open_uppers(ByteSpan bytes, const SnapshotHeader& header, DenseState& state) {
  Reader reader(bytes);
  std::vector<SnapshotUpper> uppers(header.uppers);
  reader.copy(std::as_writable_bytes(std::span(uppers)));
  if (!reader.section_holds()) return false;
  std::uint32_t last = 0;
  for (const SnapshotUpper& upper : uppers) {
    // Nodes ascend, and each begins with its highest layer.
    if (upper.node >= header.nodes || upper.node < last || upper.level < 1 || upper.level > NodeStore::kMaxLevel) return false;
    if (state.store.level(upper.node) == 0) state.store.raise(upper.node, static_cast<int>(upper.level));
    last = upper.node;
    const auto links = state.store.links(upper.node, static_cast<int>(upper.level));
    if (links.empty() || !links_hold(std::as_bytes(std::span(upper.links)), header.nodes)) return false;
    for (std::size_t i = 0; i < links.size(); ++i) links[i].store(upper.links[i], std::memory_order_relaxed);
  }
  return true;
}

std::vector<SnapshotUpper> uppers_of(const DenseState& state) {
  std::vector<SnapshotUpper> uppers;
  for (std::uint32_t node = 0; state.linked && node < state.store.end(); ++node)
    for (int level = state.store.level(node); level > 0; --level) {
      SnapshotUpper& upper = uppers.emplace_back(SnapshotUpper{node, static_cast<std::uint32_t>(level), {}});
      std::ranges::transform(state.store.links(node, level), upper.links, [](const auto& link) { return link.load(std::memory_order_relaxed); });
    }
  return uppers;
}

SnapshotHeader header_of(const DenseState& state, int dimensions, VectorMetric metric, std::size_t uppers) {
  SnapshotHeader header = {{}, kSnapshotVersion, static_cast<std::uint32_t>(metric), static_cast<std::uint32_t>(dimensions), !state.coder.mean().empty(), state.linked, state.store.end(),
                           static_cast<std::uint32_t>(uppers), state.graph.entry(), state.unlinked.end, state.unlinked.done.load(std::memory_order_acquire)};
  std::memcpy(header.magic, kSnapshotMagic, sizeof kSnapshotMagic);
  return header;
}

Status check_header(const SnapshotHeader& header) {
  if (std::memcmp(header.magic, kSnapshotMagic, sizeof kSnapshotMagic) != 0) return damaged("it does not begin as one");
  if (header.version != kSnapshotVersion)
    return fail(error(ErrorCode::kUnsupported, "snapshot of a dense index: version {}, this program reads {}", header.version, kSnapshotVersion)
                    .with_hint("build the index anew from its vectors"));
  if (header.metric > static_cast<std::uint32_t>(VectorMetric::kL2) || header.dimensions < 1 || header.dimensions > DenseIndex::kMaxDimensions || header.has_mean > 1 ||
      header.linked > 1 || header.nodes > DenseIndex::kMaxSlot || (header.entry != kNoNode && header.entry >= header.nodes) || header.backlog > header.nodes ||
      header.backlog_linked > header.backlog || (header.linked == 0 && (header.uppers != 0 || header.entry != kNoNode)))
    return damaged("its header does not hold");
  return {};
}

}  // namespace

SnapshotLayout layout(const SnapshotHeader& header) {
  const VectorCoder coder(static_cast<int>(header.dimensions), VectorMetric::kDot, {}, plain_code_kernels(), header.linked != 0);
  const NodeStore store(coder, header.linked != 0);
  SnapshotLayout at;
  at.record_bytes = store.record_bytes();
  at.look_bytes = store.look_bytes();
  at.link_bytes = header.linked != 0 ? sizeof(NodeStore::Link) * NodeStore::kBaseLinks : 0;
  at.residual_bytes = store.residual_bytes();
  at.piece_nodes = store.piece_nodes();
  at.nodes = header.nodes;
  at.pieces = (header.nodes + at.piece_nodes - 1) / at.piece_nodes;
  at.mean_bytes = std::size_t{header.has_mean} * header.dimensions * sizeof(float);
  at.pieces_at = sizeof header + at.mean_bytes + SnapshotLayout::kSum;
  at.uppers = at.piece(at.pieces);
  at.size = at.uppers + header.uppers * sizeof(SnapshotUpper) + SnapshotLayout::kSum;
  return at;
}

std::size_t DenseIndex::snapshot_bytes() const {
  const ContextPool::Lease lease(impl_->contexts);
  const auto lock = impl_->write_alone();
  const DenseState& now = *impl_->state.load(std::memory_order_acquire);
  return layout(header_of(now, impl_->dimensions, impl_->metric, uppers_of(now).size())).size;
}

Status DenseIndex::save(const std::function<Status(ByteSpan)>& sink) const {
  const ContextPool::Lease lease(impl_->contexts);
  const auto lock = impl_->write_alone();
  const DenseState& now = *impl_->state.load(std::memory_order_acquire);
  const std::uint32_t nodes = now.store.end();
  const std::vector<SnapshotUpper> uppers = uppers_of(now);
  const SnapshotHeader header = header_of(now, impl_->dimensions, impl_->metric, uppers.size());
  Writer writer(sink);
  STOA_CHECK(writer.write(bytes_of(header)));
  STOA_CHECK(writer.write(std::as_bytes(std::span(now.coder.mean()))));
  STOA_CHECK(writer.end_section());
  for (std::uint32_t first = 0; first < nodes; first += now.store.piece_nodes()) {
    const NodeStore::Piece piece = now.store.piece(first, std::min(now.store.piece_nodes(), nodes - first));
    for (const auto part : {piece.records, piece.looks, piece.links, piece.residuals}) STOA_CHECK(writer.write(part));
    STOA_CHECK(writer.end_section());
  }
  STOA_CHECK(writer.write(std::as_bytes(std::span(uppers))));
  return writer.end_section();
}

Result<DenseIndex> DenseIndex::load(ByteSpan snapshot, int threads) {
  return load(snapshot.size(), [&](std::size_t count) -> Result<ByteSpan> { return std::exchange(snapshot, snapshot.subspan(count)).first(count); }, threads);
}

Result<DenseIndex> DenseIndex::load(std::uint64_t size, const TakeBytes& take, int threads) {
  SnapshotHeader header;
  if (size < sizeof header) return damaged("{} bytes are no whole header", size);
  STOA_TRY(first_bytes, take(sizeof header));
  std::memcpy(&header, first_bytes.data(), sizeof header);
  STOA_CHECK(check_header(header));
  const SnapshotLayout at = layout(header);
  if (size != at.size) return damaged("it has {} bytes where its header says {}", size, at.size);
  std::vector<float> mean(header.has_mean * header.dimensions);
  STOA_TRY(rest_of_head, take(at.pieces_at - sizeof header));
  Reader head(rest_of_head);
  head.add(bytes_of(header));
  head.copy(std::as_writable_bytes(std::span(mean)));
  if (!head.section_holds()) return damaged("the checksum of its header does not hold");
  double square = 0;
  for (const float value : mean) square += static_cast<double>(value) * value;
  if (!(square <= 2 * VectorCoder::kGreatestSquare)) return damaged("its mean does not hold");

  auto impl = std::make_unique<Impl>(static_cast<int>(header.dimensions), static_cast<VectorMetric>(header.metric));
  auto state = std::make_unique<DenseState>(static_cast<int>(header.dimensions), static_cast<VectorMetric>(header.metric), std::move(mean), header.linked != 0);
  threads = std::max(threads, 1);
  const auto step = static_cast<std::uint32_t>(std::max<std::size_t>(1, kBytesATime / (at.piece(1) - at.piece(0)))) * static_cast<std::uint32_t>(threads);
  Found all;
  for (std::uint32_t from = 0; from < at.pieces;) {
    const std::uint32_t to = from + std::min(step, at.pieces - from);
    const std::size_t base = at.piece(from);
    STOA_TRY(bytes, take(at.piece(to) - base));
    std::vector<Found> found(to - from);
    const bool whole = in_parallel(found.size(), threads, [&](std::size_t i) {
      const std::uint32_t piece = from + static_cast<std::uint32_t>(i), first = piece * at.piece_nodes;
      const ByteSpan own = bytes.subspan(at.piece(piece) - base, at.piece(piece + 1) - at.piece(piece));
      return found[i].holds = open_piece(own, header, first, std::min(at.piece_nodes, header.nodes - first), *state, found[i]);
    });
    if (!whole) return damaged("nodes from {} on do not hold", (from + static_cast<std::size_t>(std::ranges::find(found, false, &Found::holds) - found.begin())) * at.piece_nodes);
    for (const Found& part : found) {
      all.live += part.live;
      all.free.insert(all.free.end(), part.free.begin(), part.free.end());
      all.removed.insert(all.removed.end(), part.removed.begin(), part.removed.end());
    }
    from = to;
  }
  state->store.restore_end(header.nodes, all.live, std::move(all.free));
  STOA_TRY(uppers, take(at.size - at.uppers));
  if (!open_uppers(uppers, header, *state)) return damaged("its upper layers do not hold");
  state->graph.restore(header.entry, header.nodes);
  for (const std::uint32_t node : all.removed) header.linked != 0 ? state->graph.removed(node) : state->store.give_back({&node, 1});
  state->unlinked.end = header.backlog;
  state->unlinked.taken = state->unlinked.done = header.backlog_linked;
  impl->replace(std::move(state));
  return DenseIndex(std::move(impl));
}

}  // namespace stoa::data
