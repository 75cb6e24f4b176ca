#include "data/index/dense/vector_graph.h"

#include <algorithm>
#include <cmath>

namespace stoa::data {

namespace {

constexpr std::size_t kLine = 64;

void prefetch(const std::byte* bytes, std::size_t count) {
  for (std::size_t at = 0; at < count; at += kLine) __builtin_prefetch(bytes + at);
}

std::uint64_t mix(std::uint64_t x) {  // SplitMix64
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// Each layer has a sixteenth of the nodes of the one below.
int draw_level(std::uint64_t draw) {
  const double uniform = (static_cast<double>(mix(draw) >> 11) + 1) * 0x1p-53;
  static const double kScale = 1 / std::log(static_cast<double>(NodeStore::kLinks));
  return std::min(static_cast<int>(-std::log(uniform) * kScale), NodeStore::kMaxLevel);
}

bool stays(std::uint32_t state) { return state != kRemovedNode; }

}  // namespace

void VectorGraph::look_at(SearchContext& context, std::uint32_t node, int level, NodeBatch& batch, bool by_looks) const {
  std::size_t count = 0;
  for (const Link& link : level == 0 ? store_.base_links(node) : store_.links(node, level)) {
    const std::uint32_t other = link.load(std::memory_order_acquire);
    if (other == kNoNode) break;
    batch.nodes[count] = other;
    count += context.visited.add(other);
  }
  batch.count = count;
  batch.by_looks = by_looks && context.query.has_look;
  for (std::size_t i = 0; i < count; ++i) {
    batch.records[i] = batch.by_looks ? store_.look(batch.nodes[i]) : store_.record(batch.nodes[i]);
    prefetch(batch.records[i], batch.by_looks ? store_.look_bytes() : store_.record_bytes());
  }
}

void VectorGraph::pass(const SearchContext& context, NodeBatch& batch, float key) const {
  if (!batch.by_looks) return;
  coder_.reaches(context.query, {batch.records.data(), batch.count}, batch.keys.data());
  std::size_t count = 0;
  for (std::size_t i = 0; i < batch.count; ++i) {
    batch.nodes[count] = batch.nodes[i];
    count += batch.keys[i] > key;
  }
  for (std::size_t i = 0; i < count; ++i) {
    batch.records[i] = store_.record(batch.nodes[i]);
    prefetch(batch.records[i], store_.record_bytes());
  }
  batch.count = count;
  batch.by_looks = false;
}

void VectorGraph::score(const SearchContext& context, NodeBatch& batch) const {
  coder_.keys(context.query, {batch.records.data(), batch.count}, batch.keys.data());
}

void VectorGraph::fetch_links(std::uint32_t node) const { prefetch(reinterpret_cast<const std::byte*>(store_.base_links(node).data()), sizeof(Link) * NodeStore::kBaseLinks); }

Candidate VectorGraph::start(SearchContext& context, std::uint32_t node) const {
  context.visited.reset(store_.end());
  context.visited.add(node);
  const std::byte* const record = store_.record(node);
  Candidate candidate = {0, node};
  coder_.keys(context.query, {&record, 1}, &candidate.key);
  return candidate;
}

std::uint32_t VectorGraph::descend(SearchContext& context, std::uint64_t entry, int level) const {
  NodeBatch& batch = context.batches[0];
  std::uint32_t node = static_cast<std::uint32_t>(entry);
  for (int at = level_of(entry); at > level; --at) {
    Candidate best = start(context, node);
    for (bool better = true; better;) {
      better = false;
      look_at(context, best.node, at, batch);
      score(context, batch);
      for (std::size_t i = 0; i < batch.count; ++i)
        if (batch.keys[i] > best.key) {
          best = {batch.keys[i], batch.nodes[i]};
          better = true;
        }
    }
    node = best.node;
  }
  return node;
}

void VectorGraph::walk(SearchContext& context, std::size_t width) const {
  context.pool.reset(width);
  if (const std::uint64_t entry = entry_.load(std::memory_order_acquire); entry != kNoEntry) walk_level(context, descend(context, entry, 0), 0, context.pool);
  context.pool.finish();
}

void VectorGraph::insert(SearchContext& context, std::uint32_t node) {
  const int level = draw_level(draws_.fetch_add(1, std::memory_order_relaxed));
  store_.raise(node, level);
  std::uint64_t entry = entry_.load(std::memory_order_acquire);
  if (entry == kNoEntry) {
    const std::lock_guard lock(entry_mutex_);
    entry = entry_.load(std::memory_order_relaxed);
    if (entry == kNoEntry) {
      entry_.store(static_cast<std::uint64_t>(level) << 32 | node, std::memory_order_release);
      return;
    }
  }
  // The lists of all layers are there before any other node leads here: a search that arrives can go on.
  std::array<Selection, NodeStore::kMaxLevel + 1> selections;
  const int top = std::min(level, level_of(entry));
  std::uint32_t from = descend(context, entry, top);
  for (int at = top; at >= 0; --at) from = find_links(context, from, at, node, selections[static_cast<std::size_t>(at)]);
  for (int at = 0; at <= top; ++at) write(store_.links(node, at), selections[static_cast<std::size_t>(at)]);
  for (int at = 0; at <= top; ++at) {
    const Selection& selection = selections[static_cast<std::size_t>(at)];
    for (std::size_t i = 0; i < selection.count; ++i) connect(selection.nodes[i], at, node);
  }
  // A node without links found only removed ones: what comes after it must find it.
  if (level > level_of(entry) || selections[0].count == 0) {
    const std::lock_guard lock(entry_mutex_);
    entry = entry_.load(std::memory_order_relaxed);
    if (entry == kNoEntry || level > level_of(entry) || !stays(store_.state(static_cast<std::uint32_t>(entry))))
      entry_.store(static_cast<std::uint64_t>(level) << 32 | node, std::memory_order_release);
  }
}

std::uint32_t VectorGraph::find_links(SearchContext& context, std::uint32_t from, int level, std::uint32_t node, Selection& selection) const {
  CandidatePool* found = &context.pool;
  if (removed_count() == 0) {
    context.pool.reset(kBuildWidth);
    walk_level(context, from, level, context.pool);
    context.pool.finish();
  } else {
    walk_level_beside(context, from, level, kBuildWidth, 16 * NodeStore::kBaseLinks * kBuildWidth, stays);
    found = &context.allowed;
  }
  const auto candidates = found->candidates();
  const auto others = std::span(candidates.begin(), std::remove_if(candidates.begin(), candidates.end(), [&](const Candidate& c) { return c.node == node; }));
  select(others, static_cast<float>(context.query.constant), NodeStore::kLinks, selection);
  return others.empty() ? from : others.front().node;
}

// Of the candidates, best first, those that are nearer to the node than to any that was chosen before (Malkov and Yashunin, algorithm 4).
void VectorGraph::select(std::span<const Candidate> candidates, float constant, std::size_t limit, Selection& selection) const {
  std::array<const std::byte*, NodeStore::kBaseLinks> chosen;
  std::array<float, NodeStore::kBaseLinks> chosen_sums;
  selection.count = 0;
  for (const Candidate& candidate : candidates) {
    const std::byte* const record = store_.record(candidate.node);
    float sum = 0;
    coder_.sums({&record, 1}, &sum);
    const auto nearer = [&](std::size_t i) { return coder_.pair_key(record, sum, chosen[i], chosen_sums[i]) > candidate.key + constant; };
    std::size_t i = 0;
    while (i < selection.count && !nearer(i)) ++i;
    if (i < selection.count) continue;
    chosen[selection.count] = record;
    chosen_sums[selection.count] = sum;
    selection.nodes[selection.count++] = candidate.node;
    if (selection.count == limit) break;
  }
}

void VectorGraph::select_for(std::uint32_t node, std::span<const std::uint32_t> nodes, std::size_t limit, Selection& selection) const {
  std::array<Candidate, NodeStore::kBaseLinks*(NodeStore::kBaseLinks + 1)> candidates;
  std::size_t count = 0;
  for (const std::uint32_t other : nodes) prefetch(store_.record(other), store_.record_bytes());
  const std::byte* const own = store_.record(node);
  float own_sum = 0;
  coder_.sums({&own, 1}, &own_sum);
  for (const std::uint32_t other : nodes) {
    const std::byte* const record = store_.record(other);
    float sum = 0;
    coder_.sums({&record, 1}, &sum);
    candidates[count++] = {coder_.pair_key(own, own_sum, record, sum), other};
  }
  std::sort(candidates.begin(), candidates.begin() + count, [](const Candidate& a, const Candidate& b) { return a.key > b.key; });
  select(std::span(candidates).first(count), 0, limit, selection);
}

void VectorGraph::write(std::span<Link> links, const Selection& selection) {
  for (std::size_t i = 0; i < links.size(); ++i) links[i].store(i < selection.count ? selection.nodes[i] : kNoNode, std::memory_order_release);
}

void VectorGraph::connect(std::uint32_t node, int level, std::uint32_t to) {
  const std::span<Link> links = store_.links(node, level);
  if (links.empty()) return;
  const Locked lock(*this, node);
  std::array<std::uint32_t, NodeStore::kBaseLinks + 1> nodes;
  std::size_t count = 0;
  for (; count < links.size(); ++count) {
    nodes[count] = links[count].load(std::memory_order_relaxed);
    if (nodes[count] == to) return;
    if (nodes[count] == kNoNode) break;
  }
  if (count < links.size()) {
    links[count].store(to, std::memory_order_release);
    return;
  }
  nodes[count++] = to;
  Selection selection;
  select_for(node, {nodes.data(), count}, links.size(), selection);
  write(links, selection);
}

void VectorGraph::restore(std::uint32_t entry, std::uint64_t draws) {
  draws_ = draws;
  entry_ = entry == kNoNode ? kNoEntry : static_cast<std::uint64_t>(store_.level(entry)) << 32 | entry;
}

}  // namespace stoa::data
