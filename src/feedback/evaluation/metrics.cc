#include "feedback/evaluation/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "models/tokenizer/normalize.h"

namespace stoa::feedback {
namespace {

double discount(std::size_t index) { return 1 / std::log2(2.0 + static_cast<double>(index)); }

// Sum of (relevant up to a place / the place) over the places of relevant results.
double precision_sum(std::span<const int> grades, std::size_t k, std::size_t& hits) {
  double sum = 0;
  hits = 0;
  for (std::size_t i = 0; i < std::min(k, grades.size()); ++i)
    if (grades[i] > 0) sum += static_cast<double>(++hits) / static_cast<double>(i + 1);
  return sum;
}

std::map<std::string_view, int> counted(std::string_view words) {
  std::map<std::string_view, int> counts;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (end > 0) ++counts[words.substr(0, end)];
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return counts;
}

double share(std::size_t part, std::size_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

}  // namespace

double recall_at(std::span<const int> grades, std::span<const int> relevant, std::size_t k) {
  const auto found = std::ranges::count_if(grades.first(std::min(k, grades.size())), [](int grade) { return grade > 0; });
  return share(static_cast<std::size_t>(found), relevant.size());
}

double reciprocal_rank(std::span<const int> grades, std::size_t k) {
  for (std::size_t i = 0; i < std::min(k, grades.size()); ++i)
    if (grades[i] > 0) return 1 / static_cast<double>(i + 1);
  return 0;
}

double ndcg_at(std::span<const int> grades, std::span<const int> relevant, std::size_t k) {
  std::vector<int> best(relevant.begin(), relevant.end());
  std::ranges::sort(best, std::greater());
  double found = 0, possible = 0;
  for (std::size_t i = 0; i < std::min(k, grades.size()); ++i) found += std::max(0, grades[i]) * discount(i);
  for (std::size_t i = 0; i < std::min(k, best.size()); ++i) possible += best[i] * discount(i);
  return possible > 0 ? found / possible : 0;
}

double average_precision(std::span<const int> grades, std::span<const int> relevant, std::size_t k) {
  std::size_t hits = 0;
  const double sum = precision_sum(grades, k, hits);
  return relevant.empty() ? 0 : sum / static_cast<double>(relevant.size());
}

double context_precision(std::span<const int> grades, std::size_t k) {
  std::size_t hits = 0;
  const double sum = precision_sum(grades, k, hits);
  return hits == 0 ? 0 : sum / static_cast<double>(hits);
}

std::string normalized_answer(std::string_view text) {
  static const models::UnicodeTable table;
  std::string lower = models::normalize_bert(text, {.clean_text = false, .handle_chinese_chars = false, .strip_accents = false, .lowercase = true}, table);
  std::erase_if(lower, [](char c) { return std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").contains(c); });
  std::string out, word;
  const auto end_word = [&] {
    if (!word.empty() && word != "a" && word != "an" && word != "the") {
      if (!out.empty()) out += ' ';
      out += word;
    }
    word.clear();
  };
  for (const char c : lower) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) end_word();
    else word += c;
  }
  end_word();
  return out;
}

bool exact_match(std::string_view answer, std::string_view reference) { return normalized_answer(answer) == normalized_answer(reference); }

double word_f1(std::string_view answer, std::string_view reference) {
  const std::string given = normalized_answer(answer), wanted = normalized_answer(reference);
  if (given.empty() || wanted.empty()) return given == wanted ? 1 : 0;
  const auto had = counted(given), needed = counted(wanted);
  const auto total = [](const auto& counts) { return std::accumulate(counts.begin(), counts.end(), 0, [](int sum, const auto& entry) { return sum + entry.second; }); };
  int same = 0;
  for (const auto& [word, count] : had)
    if (const auto at = needed.find(word); at != needed.end()) same += std::min(count, at->second);
  return 2.0 * same / (total(had) + total(needed));
}

bool contains_answer(std::string_view answer, std::string_view reference) {
  const std::string wanted = normalized_answer(reference);
  return !wanted.empty() && (" " + normalized_answer(answer) + " ").contains(" " + wanted + " ");
}

void AnswerConfusion::add(bool answerable, bool answered) {
  ++(answerable ? (answered ? answerable_answered : answerable_refused) : (answered ? unanswerable_answered : unanswerable_refused));
}

std::size_t AnswerConfusion::total() const { return answerable_answered + answerable_refused + unanswerable_answered + unanswerable_refused; }

double AnswerConfusion::accuracy() const { return share(answerable_answered + unanswerable_refused, total()); }

double AnswerConfusion::majority_baseline() const {
  const std::size_t answerable = answerable_answered + answerable_refused;
  return share(std::max(answerable, total() - answerable), total());
}

double AnswerConfusion::balanced_accuracy() const {
  const std::size_t answerable = answerable_answered + answerable_refused, unanswerable = total() - answerable;
  if (answerable == 0 || unanswerable == 0) return accuracy();
  return (share(answerable_answered, answerable) + share(unanswerable_refused, unanswerable)) / 2;
}

double percentile(std::span<const double> sorted, double part) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

double mean(std::span<const double> values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double sign_test(std::size_t wins, std::size_t losses) {
  const std::size_t total = wins + losses;
  if (total == 0) return 1;
  double tail = 0;  // P(X <= the smaller) for a fair coin, in logarithms so that thousands of questions do not underflow
  for (std::size_t i = 0; i <= std::min(wins, losses); ++i) {
    const double n = static_cast<double>(total), j = static_cast<double>(i);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(j + 1) - std::lgamma(n - j + 1) - n * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b, std::uint64_t seed, std::size_t resamples) {
  PairedDifference result{.pairs = a.size()};
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences.push_back(b[i] - a[i]);
    result.wins += b[i] > a[i];
    result.losses += b[i] < a[i];
  }
  result.mean = mean(differences);
  result.low = result.high = result.mean;
  result.sign_p = sign_test(result.wins, result.losses);
  if (result.wins + result.losses == 0) return result;
  Dice dice(seed);
  std::vector<double> means;
  for (std::size_t round = 0; round < resamples; ++round) {
    double sum = 0;
    for (std::size_t i = 0; i < differences.size(); ++i) sum += differences[dice.below(differences.size())];
    means.push_back(sum / static_cast<double>(differences.size()));
  }
  std::ranges::sort(means);
  result.low = percentile(means, 0.025);
  result.high = percentile(means, 0.975);
  const auto below = std::ranges::count_if(means, [](double one) { return one <= 0; }), above = std::ranges::count_if(means, [](double one) { return one >= 0; });
  result.bootstrap_p = std::min(1.0, 2.0 * static_cast<double>(std::min(below, above) + 1) / static_cast<double>(resamples + 1));
  return result;
}

std::uint64_t Dice::next() {
  std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

std::size_t Dice::below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }

}  // namespace stoa::feedback
