// Searches of any query, passage by passage: each part of the query is a walk through the passages that match it.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "data/index/sparse/posting_cursor.h"
#include "data/index/sparse/search_plan.h"
#include "data/index/sparse/varint.h"

namespace stoa::data {
namespace {

constexpr std::uint32_t kEnd = PostingCursor::kEnd;
constexpr std::uint32_t kLeastTreeWindow = 256;

struct Walk {
  const SparseReader& reader;
  const Bm25& bm25;
  RoughBm25 rough;
};

// Walks through the matches of one part, upwards.
class Matcher {
 public:
  virtual ~Matcher() = default;
  virtual std::uint32_t seek(std::uint32_t goal) = 0;  // the first match at or after the goal
  virtual void add(std::uint32_t ordinal, double& score) = 0;  // where seek() has come to
  // An end of a window from `from` in which bound() says how much a match adds at most.
  virtual std::uint32_t window(std::uint32_t from) = 0;
  virtual float bound(std::uint32_t end) = 0;
  virtual std::size_t cost() const = 0;
};

// A term, or the terms that a beginning or a near spelling stands for.
class TermMatcher final : public Matcher {
 public:
  TermMatcher(const Walk& walk, const SearchLeaf& leaf, double boost) : walk_(walk), idf_(leaf.idf * boost), weight_(static_cast<float>(idf_ * (walk.bm25.k1 + 1))) {
    for (const auto& name : leaf.terms) {
      const std::uint32_t term = walk.reader.dictionary().find(name);
      if (term == kNoTerm) continue;
      cursors_.push_back(std::make_unique_for_overwrite<PostingCursor>());
      cursors_.back()->open(&walk.reader.list(term), walk.reader.view(term));
      cost_ += cursors_.back()->size();
    }
  }
  std::uint32_t seek(std::uint32_t goal) override {
    if (goal <= at_ && is_open_) return at_;
    is_open_ = true;
    at_ = kEnd;
    for (auto& cursor : cursors_) at_ = std::min(at_, cursor->seek(goal));
    return at_;
  }
  void add(std::uint32_t ordinal, double& score) override {
    if (std::exchange(scored_, ordinal) != ordinal) {
      double frequency = 0;
      for (auto& cursor : cursors_) {
        if (cursor->seek(ordinal) == ordinal) frequency += cursor->frequency();
      }
      score_ = walk_.bm25.score(idf_, frequency, walk_.reader.lengths()[ordinal]);
    }
    score += score_;
  }
  std::uint32_t window(std::uint32_t from) override {
    std::uint32_t end = kEnd;
    for (auto& cursor : cursors_) end = std::min(end, cursor->look_at(from).last);
    return end;
  }
  float bound(std::uint32_t end) override {
    if (cursors_.size() > 1) return weight_;  // frequencies add up
    return cursors_.empty() ? 0 : cursors_[0]->bound(end, weight_, walk_.rough);
  }
  std::size_t cost() const override { return cost_; }

 private:
  const Walk& walk_;
  const double idf_;
  const float weight_;
  std::vector<std::unique_ptr<PostingCursor>> cursors_;
  std::size_t cost_ = 0;
  std::uint32_t at_ = 0;
  std::uint32_t scored_ = kEnd;  // the passage that has score_
  double score_ = 0;
  bool is_open_ = false;
};

// Words in their order. From each place of the first one, every later word is taken as near as it comes; what that needs more than the places
// of the query say is at most the slop.
class PhraseMatcher final : public Matcher {
 public:
  PhraseMatcher(const Walk& walk, const SearchLeaf& leaf, double boost) : walk_(walk), leaf_(leaf), idf_(leaf.idf * boost), weight_(static_cast<float>(idf_ * (walk.bm25.k1 + 1))), positions_(leaf.terms.size()) {
    for (const auto& name : leaf.terms) {
      const std::uint32_t term = walk.reader.dictionary().find(name);
      cursors_.push_back(std::make_unique_for_overwrite<PostingCursor>());
      cursors_.back()->open(term == kNoTerm ? nullptr : &walk.reader.list(term), term == kNoTerm ? OrdinalView() : walk.reader.view(term));
      by_size_.push_back(cursors_.back().get());
    }
    std::ranges::sort(by_size_, {}, &PostingCursor::size);
  }
  std::uint32_t seek(std::uint32_t goal) override {
    if (goal <= at_ && is_open_) return at_;
    is_open_ = true;
    for (at_ = together(goal); at_ != kEnd && (frequency_ = count()) == 0;) at_ = together(at_ + 1);
    return at_;
  }
  void add(std::uint32_t ordinal, double& score) override { score += walk_.bm25.score(idf_, frequency_, walk_.reader.lengths()[ordinal]); }
  std::uint32_t window(std::uint32_t from) override {
    std::uint32_t end = kEnd;
    for (auto& cursor : cursors_) end = std::min(end, cursor->look_at(from).last);
    return end;
  }
  // No more often than its first word, and without words between no more often than any; never where a word is not.
  float bound(std::uint32_t end) override {
    float least = cursors_[0]->bound(end, weight_, walk_.rough);
    for (std::size_t i = 1; i < cursors_.size(); ++i) {
      const float most = cursors_[i]->bound(end, weight_, walk_.rough);
      if (leaf_.slop == 0 || most == 0) least = std::min(least, most);
    }
    return least;
  }
  std::size_t cost() const override { return by_size_[0]->size(); }

 private:
  std::uint32_t together(std::uint32_t goal) {
    for (;;) {
      const std::uint32_t first = by_size_[0]->seek(goal);
      if (first == kEnd) return kEnd;
      goal = first;
      for (PostingCursor* cursor : by_size_) goal = std::max(goal, cursor->seek(goal));
      if (goal == first || goal == kEnd) return goal;
    }
  }
  std::uint32_t count() {
    for (std::size_t i = 0; i < cursors_.size(); ++i) {
      positions_[i].clear();
      const std::uint8_t* in = cursors_[i]->positions();
      std::uint32_t position = 0;
      for (std::uint32_t n = cursors_[i]->frequency(); n > 0; --n) positions_[i].push_back(position += get_varint(in));
    }
    next_.assign(cursors_.size(), 0);
    std::uint32_t found = 0;
    for (const std::uint32_t first : positions_[0]) {
      std::uint32_t place = first;
      for (std::size_t i = 1; i < positions_.size(); ++i) {
        const std::uint32_t least = place + leaf_.places[i] - leaf_.places[i - 1];
        while (next_[i] < positions_[i].size() && positions_[i][next_[i]] < least) ++next_[i];
        if (next_[i] == positions_[i].size()) return found;
        place = positions_[i][next_[i]];
      }
      if (place - first - (leaf_.places.back() - leaf_.places[0]) <= leaf_.slop) ++found;
    }
    return found;
  }

  const Walk& walk_;
  const SearchLeaf& leaf_;
  const double idf_;
  const float weight_;
  std::vector<std::unique_ptr<PostingCursor>> cursors_;
  std::vector<PostingCursor*> by_size_;
  std::vector<std::vector<std::uint32_t>> positions_;
  std::vector<std::size_t> next_;
  std::uint32_t at_ = 0, frequency_ = 0;
  bool is_open_ = false;
};

class BooleanMatcher final : public Matcher {
 public:
  Matcher* add_clause(Occur occur, std::unique_ptr<Matcher> matcher) {
    all_.push_back(std::move(matcher));
    add_clause(occur, all_.back().get());
    return all_.back().get();
  }
  // One that is here already: what it is asked for never goes back, so clauses may share it.
  void add_clause(Occur occur, Matcher* matcher) {
    auto& same = occur == Occur::kMust ? must_ : occur == Occur::kShould ? should_ : must_not_;
    if (std::ranges::find(same, matcher) == same.end()) same.push_back(matcher);
    if (occur != Occur::kMustNot) scoring_.push_back(matcher);
  }
  void finish() {
    std::ranges::sort(must_, {}, &Matcher::cost);
  }
  std::uint32_t seek(std::uint32_t goal) override {
    if (goal <= at_ && is_open_) return at_;
    is_open_ = true;
    for (at_ = wanted(goal); at_ != kEnd && std::ranges::any_of(must_not_, [&](Matcher* m) { return m->seek(at_) == at_; });) at_ = wanted(at_ + 1);
    return at_;
  }
  void add(std::uint32_t ordinal, double& score) override {
    for (Matcher* matcher : scoring_) {
      if (matcher->seek(ordinal) == ordinal) matcher->add(ordinal, score);
    }
  }
  std::uint32_t window(std::uint32_t from) override {
    std::uint32_t end = kEnd;
    for (Matcher* matcher : scoring_) end = std::min(end, matcher->window(from));
    return end;
  }
  float bound(std::uint32_t end) override {
    float sum = 0;
    for (Matcher* matcher : scoring_) sum += matcher->bound(end);
    return sum;
  }
  std::size_t cost() const override {
    if (!must_.empty()) return must_[0]->cost();
    std::size_t sum = 0;
    for (const Matcher* matcher : should_) sum += matcher->cost();
    return sum;
  }

 private:
  std::uint32_t wanted(std::uint32_t goal) {
    if (must_.empty()) {
      std::uint32_t least = kEnd;
      for (Matcher* matcher : should_) least = std::min(least, matcher->seek(goal));
      return least;
    }
    for (;;) {
      const std::uint32_t first = must_[0]->seek(goal);
      if (first == kEnd) return kEnd;
      goal = first;
      for (Matcher* matcher : must_) goal = std::max(goal, matcher->seek(goal));
      if (goal == first || goal == kEnd) return goal;
    }
  }

  std::vector<std::unique_ptr<Matcher>> all_;
  std::vector<Matcher*> must_, should_, must_not_, scoring_;
  std::uint32_t at_ = 0;
  bool is_open_ = false;
};

std::unique_ptr<Matcher> matcher_of(const Walk& walk, const SparseQuery& query, double boost, const std::vector<SearchLeaf>& leaves, const std::vector<std::uint32_t>& leaf_of, std::size_t& next) {
  boost *= query.boost;
  if (query.kind == SparseQuery::Kind::kBoolean) {
    auto matcher = std::make_unique<BooleanMatcher>();
    std::map<std::pair<std::uint32_t, double>, Matcher*> known;  // by leaf and boost
    for (const auto& clause : query.clauses) {
      if (clause.query.kind == SparseQuery::Kind::kBoolean) {
        matcher->add_clause(clause.occur, matcher_of(walk, clause.query, boost, leaves, leaf_of, next));
        continue;
      }
      const auto [same, is_new] = known.try_emplace({leaf_of[next], clause.query.boost});
      if (is_new) {
        same->second = matcher->add_clause(clause.occur, matcher_of(walk, clause.query, boost, leaves, leaf_of, next));
      } else {
        matcher->add_clause(clause.occur, same->second);
        ++next;
      }
    }
    matcher->finish();
    return matcher;
  }
  const SearchLeaf& leaf = leaves[leaf_of[next++]];
  if (query.kind == SparseQuery::Kind::kPhrase && !leaf.terms.empty()) return std::make_unique<PhraseMatcher>(walk, leaf, boost);
  return std::make_unique<TermMatcher>(walk, leaf, boost);
}

}  // namespace

void search_tree(const SparseReader& reader, const SparseQuery& query, const std::vector<SearchLeaf>& leaves, const std::vector<std::uint32_t>& leaf_of, const Bm25& bm25, const SearchScope& scope,
                 BestHits& best) {
  const Walk walk{reader, bm25, {static_cast<float>(bm25.k1 * (1 - bm25.b)), static_cast<float>(bm25.k1 * bm25.b / bm25.mean)}};
  std::size_t next = 0;
  const auto matcher = matcher_of(walk, query, 1, leaves, leaf_of, next);
  std::vector<std::uint32_t> few;
  const bool is_listed = scope.is_filtered() && scope.list(matcher->cost() / 8, few);
  std::size_t listed = 0;
  std::uint32_t end = 0;  // of the window that was found worth searching
  for (std::uint32_t at = 0;;) {
    if (is_listed) {
      while (listed < few.size() && few[listed] < at) ++listed;
      if (listed == few.size()) return;
      at = few[listed];
    }
    at = matcher->seek(at);
    if (at == kEnd) return;
    if (is_listed && at != few[listed]) continue;
    if (at >= end) {
      end = std::max(matcher->window(at), at + kLeastTreeWindow);
      if (end != kEnd) ++end;
      if (matcher->bound(end) < static_cast<float>(best.threshold()) * (1 - kSlack)) {
        at = end;
        continue;
      }
    }
    if (scope.admits(at)) {
      double score = 0;
      matcher->add(at, score);
      best.add(scope.hit(at, score));
    }
    ++at;
  }
}

}  // namespace stoa::data
