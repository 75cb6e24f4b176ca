#include "models/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "models/constrain/matcher.h"

namespace stoa::models {
namespace {

// Tokens less likely than e^-30 of the most likely one are left out of sums and draws: together they weigh less than 1e-8 even in
// a vocabulary of 100,000, below what a float probability resolves.
constexpr float kNegligible = 30.0f;

bool in_range(double value, double low, double high) { return value >= low && value <= high; }

Status check_range(const char* name, double value, double low, double high) {
  if (in_range(value, low, high)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "{} is {}, but has to be between {} and {}", name, value, low, high).with_param(name));
}

// The vocabulary is long and this runs for every token: sixteen running maxima let the compiler use vectors.
float largest(std::span<const float> logits) {
  constexpr std::size_t kLanes = 16;
  float best[kLanes];
  std::fill_n(best, kLanes, -std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) best[lane] = logits[i + lane] > best[lane] ? logits[i + lane] : best[lane];
  }
  for (; i < logits.size(); ++i) best[0] = logits[i] > best[0] ? logits[i] : best[0];
  return *std::max_element(best, best + kLanes);
}

// The first of the largest; 0 when all are NaN.
std::int32_t first_largest(std::span<const float> logits) {
  const auto found = std::find(logits.begin(), logits.end(), largest(logits));
  return found == logits.end() ? 0 : static_cast<std::int32_t>(found - logits.begin());
}

// Sets all tokens but those of `allowed` (a bit each) to minus infinity.
void ban_all_but(std::span<const std::uint64_t> allowed, std::span<float> logits) {
  constexpr float kBanned = -std::numeric_limits<float>::infinity();
  for (std::size_t begin = 0; begin < logits.size(); begin += 64) {
    const std::uint64_t word = begin / 64 < allowed.size() ? allowed[begin / 64] : 0;
    const std::size_t end = std::min(begin + 64, logits.size());
    if (word == 0) {
      std::fill(logits.begin() + static_cast<std::ptrdiff_t>(begin), logits.begin() + static_cast<std::ptrdiff_t>(end), kBanned);
    } else if (~word != 0) {
      for (std::size_t i = begin; i < end; ++i) logits[i] = (word >> (i - begin) & 1) != 0 ? logits[i] : kBanned;
    }
  }
}

}  // namespace

Status check_sampling(const SamplingOptions& options, std::int32_t vocabulary) {
  STOA_CHECK(check_range("temperature", options.temperature, 0, 100));
  STOA_CHECK(check_range("top_k", options.top_k, 0, std::numeric_limits<std::int32_t>::max()));
  STOA_CHECK(check_range("top_p", options.top_p, 0, 1));
  STOA_CHECK(check_range("min_p", options.min_p, 0, 1));
  STOA_CHECK(check_range("repetition_penalty", options.repetition_penalty, 0.01, 100));
  STOA_CHECK(check_range("presence_penalty", options.presence_penalty, -2, 2));
  STOA_CHECK(check_range("frequency_penalty", options.frequency_penalty, -2, 2));
  STOA_CHECK(check_range("logprobs", options.logprobs, -1, Sampler::kMaxLogprobs));
  for (const auto& [token, bias] : options.logit_bias) {
    if (token < 0 || token >= vocabulary) {
      return fail(error(ErrorCode::kInvalidArgument, "logit_bias names token {}, but the vocabulary has ids 0 to {}", token, vocabulary - 1)
                      .with_param("logit_bias"));
    }
    if (!in_range(bias, -100, 100)) {
      return fail(error(ErrorCode::kInvalidArgument, "logit_bias of token {} is {}, but has to be between -100 and 100", token, bias)
                      .with_param("logit_bias"));
    }
  }
  return {};
}

Sampler::Sampler(const SamplingOptions& options, std::uint64_t seed, std::span<const std::int32_t> prompt)
    : options_(options), seed_(seed) {
  if (options_.repetition_penalty == 1.0) return;
  const auto tail = prompt.last(std::min<std::size_t>(prompt.size(), kRepetitionWindow));
  recent_.assign(tail.begin(), tail.end());
  recent_next_ = recent_.size() % kRepetitionWindow;
}

void Sampler::accept(std::int32_t token) {
  if (options_.presence_penalty != 0 || options_.frequency_penalty != 0) ++generated_[token];
  if (options_.repetition_penalty == 1.0) return;
  if (recent_.size() < kRepetitionWindow) {
    recent_.push_back(token);
  } else {
    recent_[recent_next_] = token;
  }
  recent_next_ = (recent_next_ + 1) % kRepetitionWindow;
}

std::optional<SampledToken> Sampler::sample(std::span<float> logits, GrammarMatcher* matcher) {
  SampledToken result;
  float log_sum = 0;
  std::vector<float> raw;
  if (options_.logprobs >= 0) {
    add_logprobs(logits, result.top, log_sum);
    raw.assign(logits.begin(), logits.end());
  }
  adjust(logits);
  if (!choose(logits, matcher, result.token)) return std::nullopt;
  if (options_.logprobs >= 0) result.logprob = raw[static_cast<std::size_t>(result.token)] - log_sum;
  return result;
}

// False when nothing may follow. Under a constraint the choice among all tokens comes first, since it mostly fits and a look at one token is
// far cheaper than a mask. Where the likeliest token is taken that changes nothing, nor where no filter looks at the other tokens: a draw
// that is repeated among the allowed tokens when it fell on another one is a draw from the masked distribution.
bool Sampler::choose(std::span<float> logits, GrammarMatcher* matcher, std::int32_t& token) {
  const bool greedy = options_.temperature == 0;
  const auto pick = [&] { return greedy ? first_largest(logits) : draw(logits); };
  if (matcher == nullptr) {
    token = pick();
    return true;
  }
  if (greedy || (options_.top_k == 0 && options_.top_p >= 1 && options_.min_p <= 0)) {
    token = pick();
    if (matcher->allows(token) && logits[static_cast<std::size_t>(token)] != -std::numeric_limits<float>::infinity()) return true;
  }
  allowed_.resize(matcher->words());
  if (!matcher->mask(allowed_)) return false;
  ban_all_but(allowed_, logits);
  token = pick();
  return logits[static_cast<std::size_t>(token)] != -std::numeric_limits<float>::infinity();
}

void Sampler::add_logprobs(std::span<const float> logits, std::vector<TokenChance>& top, float& log_sum) const {
  const float max = largest(logits);
  double sum = 0;
  for (const float x : logits) {
    if (x > max - kNegligible) sum += std::exp(x - max);
  }
  log_sum = max + static_cast<float>(std::log(sum));
  const auto count = std::min<std::size_t>(static_cast<std::size_t>(options_.logprobs), logits.size());
  std::vector<std::int32_t> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
  const auto more_likely = [&](std::int32_t a, std::int32_t b) {
    const float x = logits[static_cast<std::size_t>(a)], y = logits[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(), more_likely);
  top.reserve(count);
  for (std::size_t i = 0; i < count; ++i) top.push_back({order[i], logits[static_cast<std::size_t>(order[i])] - log_sum});
}

void Sampler::adjust(std::span<float> logits) const {
  for (const auto& [token, bias] : options_.logit_bias) {
    auto& logit = logits[static_cast<std::size_t>(token)];
    logit = bias <= -100 ? -std::numeric_limits<float>::infinity() : logit + bias;
  }
  if (options_.repetition_penalty != 1.0) {
    const auto penalty = static_cast<float>(options_.repetition_penalty);
    const std::unordered_set<std::int32_t> seen(recent_.begin(), recent_.end());
    for (const std::int32_t token : seen) {
      auto& logit = logits[static_cast<std::size_t>(token)];
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
  }
  for (const auto& [token, count] : generated_) {
    logits[static_cast<std::size_t>(token)] -=
        static_cast<float>(options_.presence_penalty + options_.frequency_penalty * count);
  }
}

std::int32_t Sampler::draw(std::span<const float> logits) {
  using Candidate = std::pair<float, std::int32_t>;
  const auto less_likely = [](const Candidate& a, const Candidate& b) {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  };
  const float inverse = static_cast<float>(1.0 / std::max(options_.temperature, 1e-6));
  const float max = largest(logits);
  float floor = kNegligible;
  if (options_.min_p > 0) floor = std::min(floor, static_cast<float>(-std::log(options_.min_p)));
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float below = (max - logits[i]) * inverse;
    if (below <= floor) candidates_.emplace_back(-below, static_cast<std::int32_t>(i));
  }
  // Only a logit of NaN or a ban of every token leaves nothing: token 0 then, which ends as any unlikely text does.
  if (candidates_.empty()) return 0;

  const auto by_chance = [&](const Candidate& a, const Candidate& b) { return less_likely(b, a); };
  auto kept = candidates_.size();
  if (options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < kept) {
    kept = static_cast<std::size_t>(options_.top_k);
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept), candidates_.end(), by_chance);
    candidates_.resize(kept);
    // nth_element's order depends on the library: sorted, the draw does not.
    std::sort(candidates_.begin(), candidates_.end(), by_chance);
  }
  double mass = 0;
  for (auto& candidate : candidates_) mass += std::exp(static_cast<double>(candidate.first));
  if (options_.top_p < 1) {
    // A heap gives the most likely ones in order without sorting the long tail. They gather at the end of the vector.
    std::make_heap(candidates_.begin(), candidates_.end(), less_likely);
    auto end = candidates_.end();
    double reached = 0;
    do {
      std::pop_heap(candidates_.begin(), end, less_likely);
      --end;
      reached += std::exp(static_cast<double>(end->first));
    } while (reached < options_.top_p * mass && end != candidates_.begin());
    candidates_.erase(candidates_.begin(), end);
    mass = reached;
  }
  double target = next_uniform() * mass;
  for (const auto& [logit, token] : candidates_) {
    target -= std::exp(static_cast<double>(logit));
    if (target < 0) return token;
  }
  return candidates_.back().second;
}

double Sampler::next_uniform() {
  std::uint64_t x = seed_ + ++draws_ * 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1p-53;
}

}  // namespace stoa::models
