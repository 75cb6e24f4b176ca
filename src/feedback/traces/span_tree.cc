#include "feedback/traces/span_tree.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string_view>

namespace stoa::feedback {
namespace {

class Placer {
 public:
  Placer(const std::vector<SpanRecord>& spans, Micros start, Micros end) : spans_(spans), start_(start), end_(end), placed_(spans.size()) {
    std::map<std::string_view, std::size_t> by_id;
    for (std::size_t i = 0; i < spans.size(); ++i) by_id.emplace(spans[i].id, i);
    std::vector<std::size_t> by_start(spans.size());
    std::iota(by_start.begin(), by_start.end(), std::size_t{0});
    std::ranges::stable_sort(by_start, {}, [&](std::size_t i) { return spans[i].start; });
    children_.resize(spans.size());
    for (const auto i : by_start) {
      const auto parent = by_id.find(spans[i].parent_id);
      if (parent == by_id.end() || parent->second == i)
        roots_.push_back(i);
      else
        children_[parent->second].push_back(i);
    }
  }

  std::vector<PlacedSpan> run() {
    for (const auto root : roots_) place(root);
    for (std::size_t i = 0; i < spans_.size(); ++i) place(i);  // what only a cycle leads to
    return std::move(out_);
  }

 private:
  // A stack of its own: the depth comes from stored data.
  void place(std::size_t root) {
    std::vector<std::pair<std::size_t, int>> todo{{root, 0}};
    while (!todo.empty()) {
      const auto [index, depth] = todo.back();
      todo.pop_back();
      if (placed_[index]) continue;
      placed_[index] = true;
      const auto& span = spans_[index];
      const Micros end = span.end == 0 ? end_ : span.end;
      out_.push_back({&span, depth, std::max<Micros>(0, span.start - start_), std::max<Micros>(0, end - span.start)});
      for (auto child = children_[index].rbegin(); child != children_[index].rend(); ++child) todo.emplace_back(*child, depth + 1);
    }
  }

  const std::vector<SpanRecord>& spans_;
  const Micros start_, end_;
  std::vector<bool> placed_;
  std::vector<std::size_t> roots_;
  std::vector<std::vector<std::size_t>> children_;
  std::vector<PlacedSpan> out_;
};

}  // namespace

std::vector<PlacedSpan> span_tree(const std::vector<SpanRecord>& spans, Micros start, Micros end) { return Placer(spans, start, end).run(); }

}  // namespace stoa::feedback
