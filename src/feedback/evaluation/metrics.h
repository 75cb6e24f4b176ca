// The measures of evaluations: orders of results, answers against reference answers, yes and no, times, and how sure a difference is.
// Each is a plain function of what was found, so that it can be checked by hand.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stoa::feedback {

// ---- Orders. `grades`: of the results, best first; 0 is not relevant, higher is more so. `relevant`: grades of all that is relevant to the
// question, found or not, in any order; not empty. `k` counts results.

// Share of the relevant ones that are among the first k.
double recall_at(std::span<const int> grades, std::span<const int> relevant, std::size_t k);
// 1 / place of the first relevant one among the first k, else 0.
double reciprocal_rank(std::span<const int> grades, std::size_t k);
// Sum of grade / log2(1 + place) over the first k, as a share of that sum for the best order (trec_eval's ndcg_cut: gains are the grades themselves).
double ndcg_at(std::span<const int> grades, std::span<const int> relevant, std::size_t k);
// Sum over the relevant results among the first k of (relevant up to its place / its place), divided by the number of all relevant ones (trec_eval's map_cut).
double average_precision(std::span<const int> grades, std::span<const int> relevant, std::size_t k);
// Sum over the relevant results among the first k of (relevant up to its place / its place), divided by the relevant ones among the first k; 0 without any
// (RAGAS: context precision@K).
double context_precision(std::span<const int> grades, std::size_t k);

// ---- Answers, as the evaluation script of SQuAD 2.0 compares them.

// Lower case, without ASCII punctuation, without the words a, an and the, single spaces.
std::string normalized_answer(std::string_view text);
bool exact_match(std::string_view answer, std::string_view reference);
// Harmonic mean of precision and recall over the words of both, counted with multiplicity; without words on either side 1 if there are none on both.
double word_f1(std::string_view answer, std::string_view reference);
// Whether the words of the reference stand in the answer, one after the other. Not for a reference without words.
bool contains_answer(std::string_view answer, std::string_view reference);

// ---- Yes and no: does a question have an answer in the documents, and was one given?
struct AnswerConfusion {
  std::size_t answerable_answered = 0, answerable_refused = 0, unanswerable_answered = 0, unanswerable_refused = 0;

  void add(bool answerable, bool answered);
  std::size_t total() const;
  double accuracy() const;           // 0 without questions
  double majority_baseline() const;  // accuracy of always doing what suits the more frequent kind
  double balanced_accuracy() const;  // mean of the two kinds' own accuracies; of one kind where there is no other
};

// ---- Times

// The smallest value that at least this part of all is not above (nearest rank); 0 without values. `sorted` ascends, 0 < part <= 1.
double percentile(std::span<const double> sorted, double part);
double mean(std::span<const double> values);  // 0 without values

// ---- How sure a difference is, over the same questions asked twice.
struct PairedDifference {
  std::size_t pairs = 0, wins = 0, losses = 0;  // of b over a; the rest are ties
  double mean = 0;                              // of b - a
  double low = 0, high = 0;                     // 95 % of the means of resampled questions lie within
  // Chance of what was seen, or more, if neither were better: by the bootstrap twice the share of resampled means on the other side of 0 (or at it), and by the
  // sign test of wins and losses (exact, two-sided).
  double bootstrap_p = 1, sign_p = 1;
};
// Paired bootstrap (Efron, Tibshirani 1993) with `resamples` samples, the same for the same seed. a.size() == b.size().
PairedDifference paired_difference(std::span<const double> a, std::span<const double> b, std::uint64_t seed = 1, std::size_t resamples = 2000);
double sign_test(std::size_t wins, std::size_t losses);

// ---- Chance, the same everywhere for the same seed
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();                     // splitmix64 (Steele, Lea, Flood 2014)
  std::size_t below(std::size_t limit);     // 0..limit-1, limit > 0
  bool chance(double part) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < part; }

 private:
  std::uint64_t state_;
};

}  // namespace stoa::feedback
