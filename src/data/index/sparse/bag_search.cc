// Block-max MaxScore over a bag of words (Ding and Suel, Faster top-k document retrieval using block-max indexes, 2011; Mallia and others, 2017).
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>

#include "data/index/sparse/posting_cursor.h"
#include "data/index/sparse/search_plan.h"

namespace stoa::data {
namespace {

constexpr std::uint32_t kWindow = 4096;      // passages whose scores are added up at once
constexpr std::uint32_t kLeastWindow = 512;  // so that choosing a window costs little beside searching it

constexpr std::size_t kLookUp = 8;           // what looking a passage up in a list costs, in postings that are read and added
constexpr std::size_t kFewPostings = 64;     // of one list: they are looked at one by one, without adding anything up

using Four = float __attribute__((vector_size(16)));
using FourNumbers = std::int32_t __attribute__((vector_size(16)));

constexpr std::size_t kPrimingParts = 4;  // of 128 postings

struct Lane {
  PostingCursor cursor;
  std::uint32_t leaf = 0;
  float weight = 0;                          // idf, boost and k1 + 1
  float bound_of_all = 0, bound = 0;         // in the whole list, in the window
  float bound_below = 0;                     // of the lanes before this one together
  std::size_t scored_part = 0;               // part whose scores are below, and one more; 0: none
  std::array<float, kBlockSize> scores;
};

// The scores of all postings of the part at hand.
void score_part(Lane& lane, const RoughBm25& rough, const std::uint32_t* lengths) {
  if (lane.scored_part == lane.cursor.part_number() + 1) return;
  lane.scored_part = lane.cursor.part_number() + 1;
  lane.cursor.read_frequencies();
  const DecodedPostings& part = lane.cursor.part();
  std::uint32_t i = 0;
  for (; i + 4 <= part.count; i += 4) {
    const std::uint32_t* o = &part.ordinals[i];
    const FourNumbers words = {static_cast<std::int32_t>(lengths[o[0]]), static_cast<std::int32_t>(lengths[o[1]]), static_cast<std::int32_t>(lengths[o[2]]), static_cast<std::int32_t>(lengths[o[3]])};
    FourNumbers times;
    std::memcpy(&times, &part.frequencies[i], sizeof times);
    const Four length = __builtin_convertvector(words, Four), frequency = __builtin_convertvector(times, Four);
    const Four score = lane.weight * frequency / (frequency + rough.base + rough.slope * length);
    std::memcpy(&lane.scores[i], &score, sizeof score);
  }
  for (; i < part.count; ++i) lane.scores[i] = rough.score(lane.weight, static_cast<float>(part.frequencies[i]), static_cast<float>(lengths[part.ordinals[i]]));
}

// Passages that may be among the best by their rough scores, and what a passage has to reach to be one.
class Candidates {
 public:
  struct Passage {
    std::uint32_t ordinal;
    float score;
  };

  Candidates(std::size_t k, double threshold) : k_(k), cut_(static_cast<float>(threshold) * (1 - kSlack)) {}
  float cut() const { return cut_; }
  void add(std::uint32_t ordinal, float score) {
    passages_.push_back({ordinal, score});
    heap_.push_back(score);
    std::ranges::push_heap(heap_, std::greater{});
    if (heap_.size() > k_) {
      std::ranges::pop_heap(heap_, std::greater{});
      heap_.pop_back();
    }
    if (heap_.size() == k_) cut_ = std::max(cut_, heap_[0] * (1 - 2 * kSlack));
    if (passages_.size() < 4 * k_ + room_) return;
    drop();
    room_ = passages_.size() + 1024;
  }
  // What was found so far is found again; what it has to reach stays.
  void forget() {
    passages_.clear();
    heap_.clear();
  }
  // Those that are left, ascending.
  const std::vector<Passage>& finish() {
    drop();
    std::ranges::sort(passages_, {}, &Passage::ordinal);
    return passages_;
  }

 private:
  void drop() {
    std::erase_if(passages_, [&](const Passage& p) { return p.score < cut_; });
  }
  std::size_t k_, room_ = 1024;
  float cut_;
  std::vector<Passage> passages_;
  std::vector<float> heap_;
};

class BagSearch {
 public:
  BagSearch(const SparseReader& reader, const std::vector<SearchLeaf>& leaves, const std::vector<BagEntry>& bag, const Bm25& bm25, const SearchScope& scope, BestHits& best)
      : reader_(reader), bag_(bag), bm25_(bm25), scope_(scope), best_(best), candidates_(best.k(), best.threshold()), lane_of_(leaves.size(), nullptr) {
    rough_ = {static_cast<float>(bm25.k1 * (1 - bm25.b)), static_cast<float>(bm25.k1 * bm25.b / bm25.mean)};
    lanes_ = std::make_unique_for_overwrite<Lane[]>(leaves.size());
    for (std::uint32_t leaf = 0; leaf < leaves.size(); ++leaf) {
      const std::uint32_t term = reader.dictionary().find(leaves[leaf].terms[0]);
      if (term == kNoTerm || reader.passages_with(term) == 0) continue;
      Lane& lane = lanes_[order_.size()];
      lane.cursor.open(&reader.list(term), reader.view(term));
      lane.leaf = leaf;
      lane_of_[leaf] = &lane;
      postings_ += lane.cursor.size();
      order_.push_back(&lane);
    }
    for (const auto& entry : bag) {
      if (lane_of_[entry.leaf] != nullptr) lane_of_[entry.leaf]->weight += static_cast<float>(entry.weight * (bm25.k1 + 1));
    }
    for (Lane* lane : order_) lane->bound_of_all = lane->cursor.bound_of_all(lane->weight, rough_);
    std::ranges::sort(order_, {}, &Lane::bound_of_all);
    leading_ = order_;
  }

  void run() {
    if (order_.empty()) return;
    std::vector<std::uint32_t> few;
    // Each passage costs a look-up in every list, some eight times what a posting costs that is read along with others.
    if (scope_.is_filtered() && scope_.list(postings_ / (8 * order_.size()), few)) {
      for (const std::uint32_t ordinal : few) add_exact(ordinal);
      return;
    }
    prime();
    for (std::uint32_t from = 0; from < reader_.ordinals();) from = search_from(from);
    rewind();
    for (const auto& passage : candidates_.finish()) add_exact(passage.ordinal);
  }

 private:
  // The sum as the header gives it, in the order of the query.
  void add_exact(std::uint32_t ordinal) {
    double score = 0;
    for (const auto& entry : bag_) {
      Lane* lane = lane_of_[entry.leaf];
      if (lane != nullptr && lane->cursor.seek(ordinal) == ordinal) score += bm25_.score(entry.weight, lane->cursor.frequency(), reader_.lengths()[ordinal]);
    }
    if (score > 0) best_.add(scope_.hit(ordinal, score));
  }

  // How many of the lanes, together, do not make a hit; sets what the lanes before each can add.
  template <float Lane::*kBound>
  std::size_t too_little(const std::vector<Lane*>& lanes) {
    float sum = 0;
    std::size_t count = 0;
    for (; count < lanes.size(); ++count) {
      lanes[count]->bound_below = sum;
      sum += lanes[count]->*kBound;
      if (sum >= candidates_.cut()) break;
    }
    for (std::size_t i = count + 1; i < lanes.size(); ++i) lanes[i]->bound_below = lanes[i - 1]->bound_below + lanes[i - 1]->*kBound;
    return count;
  }

  void rewind() {
    for (Lane* lane : order_) {
      lane->cursor.rewind();
      lane->scored_part = 0;
    }
  }

  // Looks at some passages that have the most telling term, to know what the best have to reach before all others are looked at. These come again then.
  void prime() {
    if (order_.size() < 2) return;
    for (Lane* lane : order_) lane->bound = lane->bound_of_all;
    too_little<&Lane::bound>(order_);
    search_one(0, order_.back()->cursor.end_of(kPrimingParts));
    candidates_.forget();
    rewind();
  }

  // Searches a window that begins at or after `from`; gives where the next one begins.
  std::uint32_t search_from(std::uint32_t from) {
    // Lanes that do not make a hit without the others do not say where to look.
    const std::size_t leading = too_little<&Lane::bound_of_all>(leading_);
    std::uint32_t first = kNoOrdinal, end = kNoOrdinal;
    for (std::size_t i = leading; i < leading_.size(); ++i) {
      const auto [begins, last] = leading_[i]->cursor.look_at(from);
      first = std::min(first, begins);
      end = std::min(end, last);
    }
    if (first == kNoOrdinal) return reader_.ordinals();
    from = std::max(from, first);
    end = std::min(std::max(end, from + kLeastWindow - 1), reader_.ordinals() - 1) + 1;
    if (leading_.size() - leading > 1) end = std::min(end, from + kWindow);
    for (Lane* lane : order_) {
      const auto [begins, last] = lane->cursor.look_at(from);
      lane->bound = begins >= end ? 0 : lane->cursor.bound(end, lane->weight, rough_);
    }
    std::ranges::sort(order_, {}, &Lane::bound);
    const std::size_t looked_up = too_little<&Lane::bound>(order_);
    if (looked_up == order_.size()) return end;
    const std::uint32_t near = std::min(end, from + kWindow);
    if (looked_up + 1 == order_.size() && expected(*order_.back(), from, near) < kFewPostings) {
      search_one(from, end);
      return end;
    }
    search_many(looked_up, from, near);
    return near;
  }

  // One lane makes hits, the others add to them.
  void search_one(std::uint32_t from, std::uint32_t end) {
    Lane& lane = *order_.back();
    for (lane.cursor.seek(from); lane.cursor.ordinal() < end;) {
      score_part(lane, rough_, reader_.lengths());
      const DecodedPostings& part = lane.cursor.part();
      std::uint32_t at = lane.cursor.at();
      for (; at < part.count && part.ordinals[at] < end; ++at) {
        if (lane.scores[at] + lane.bound_below >= candidates_.cut() && may_reach(part.ordinals[at], lane.scores[at])) offer(part.ordinals[at], lane.scores[at], order_.size() - 1);
      }
      if (at < part.count) return;
      lane.cursor.seek(part.ordinals[part.count - 1] + 1);
    }
  }

  // A window of a rare term is wide: what the others may add right here is less than what they may add somewhere in it.
  bool may_reach(std::uint32_t ordinal, float score) {
    for (std::size_t i = order_.size() - 1; i-- > 0;) score += order_[i]->cursor.bound_at(ordinal, order_[i]->weight, rough_);
    return score >= candidates_.cut();
  }

  // How many postings a lane may have there.
  std::size_t expected(const Lane& lane, std::uint32_t from, std::uint32_t end) const { return lane.cursor.size() * (end - from) / reader_.ordinals(); }

  // Adds up the scores of the lanes from `looked_up` on. What is left of the passages then is looked up in the others; but where that costs more than to read such a lane too, it is added up as well.
  void search_many(std::size_t looked_up, std::uint32_t from, std::uint32_t end) {
    for (std::size_t i = looked_up; i < order_.size(); ++i) {
      if (order_[i]->bound > 0) add_scores(*order_[i], from, end);
    }
    std::size_t count = gather(candidates_.cut() - order_[looked_up]->bound_below);
    while (looked_up > 0 && order_[looked_up - 1]->bound > 0 && expected(*order_[looked_up - 1], from, end) < kLookUp * count) {
      add_scores(*order_[--looked_up], from, end);
      const float least = candidates_.cut() - order_[looked_up]->bound_below;
      std::size_t left = 0;
      for (std::size_t i = 0; i < count; ++i) {
        places_[left] = places_[i];
        left += sums_[places_[i]] >= least;
      }
      count = left;
    }
    for (std::size_t i = 0; i < count; ++i) {
      const float sum = sums_[places_[i]];
      if (sum + order_[looked_up]->bound_below >= candidates_.cut()) offer(from + places_[i], sum, looked_up);
    }
    std::fill_n(sums_.begin(), end - from, 0.0F);
    touched_.fill(0);
  }

  void add_scores(Lane& lane, std::uint32_t from, std::uint32_t end) {
    for (lane.cursor.seek(from); lane.cursor.ordinal() < end;) {
      score_part(lane, rough_, reader_.lengths());
      const DecodedPostings& part = lane.cursor.part();
      std::uint32_t at = lane.cursor.at();
      for (; at < part.count && part.ordinals[at] < end; ++at) {
        const std::uint32_t place = part.ordinals[at] - from;
        sums_[place] += lane.scores[at];
        touched_[place / 64] |= std::uint64_t{1} << (place % 64);
      }
      if (at < part.count) return;
      lane.cursor.seek(part.ordinals[part.count - 1] + 1);
    }
  }

  // The places that were touched whose sums are not below the least. Without a branch for each: none could be foreseen.
  std::size_t gather(float least) {
    std::size_t count = 0;
    for (std::uint32_t word = 0; word < touched_.size(); ++word) {
      for (std::uint64_t left = touched_[word]; left != 0; left &= left - 1) {
        const std::uint32_t place = word * 64 + static_cast<std::uint32_t>(std::countr_zero(left));
        places_[count] = place;
        count += sums_[place] >= least;
      }
    }
    return count;
  }

  // A passage with the scores of the lanes from `lanes` on: those before add theirs, the greatest first, while it may still come to something.
  void offer(std::uint32_t ordinal, float score, std::size_t lanes) {
    for (std::size_t i = lanes; i-- > 0;) {
      Lane& lane = *order_[i];
      if (lane.bound == 0) break;
      if (lane.cursor.seek(ordinal) == ordinal) {
        score += rough_.score(lane.weight, static_cast<float>(lane.cursor.frequency()), static_cast<float>(reader_.lengths()[ordinal]));
      }
      if (score + lane.bound_below < candidates_.cut()) return;
    }
    if (score >= candidates_.cut() && scope_.admits(ordinal)) candidates_.add(ordinal, score);
  }

  const SparseReader& reader_;
  const std::vector<BagEntry>& bag_;
  const Bm25& bm25_;
  const SearchScope& scope_;
  BestHits& best_;
  RoughBm25 rough_;
  Candidates candidates_;
  std::unique_ptr<Lane[]> lanes_;
  std::vector<Lane*> lane_of_;          // by leaf, null: the segment has none of it
  std::vector<Lane*> order_, leading_;  // by what they can add: in the window, in the whole segment
  std::size_t postings_ = 0;
  std::array<float, kWindow> sums_{};
  std::array<std::uint64_t, kWindow / 64> touched_{};  // a bit for each place that has a posting
  std::array<std::uint32_t, kWindow> places_;          // of those that may come to something, ascending
};

}  // namespace

void search_bag(const SparseReader& reader, const std::vector<SearchLeaf>& leaves, const std::vector<BagEntry>& bag, const Bm25& bm25, const SearchScope& scope, BestHits& best) {
  BagSearch(reader, leaves, bag, bm25, scope, best).run();
}

}  // namespace stoa::data
