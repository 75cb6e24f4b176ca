#include "gateway/routing/routed_generator.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>

#include "base/log.h"

namespace stoa::gateway {
namespace {

constexpr int kRetryAfter = 1;  // seconds, when every breaker is open

double chance() {
  thread_local std::mt19937_64 random{(static_cast<std::uint64_t>(std::random_device{}()) << 32) ^ std::random_device{}()};
  return std::generate_canonical<double, 53>(random);
}

// FNV-1a, mixed once more (splitmix64) so that names that differ in one letter give unlike numbers; as a fraction of 1, never 0.
double fraction_of(std::string_view a, std::string_view b, std::string_view c) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::string_view part : {a, b, c}) {
    for (const char byte : part) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  hash ^= hash >> 31;
  return (static_cast<double>(hash >> 11) + 0.5) / static_cast<double>(std::uint64_t{1} << 53);
}

// Whether another target could do better.
bool worth_another(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kInternal:
    case ErrorCode::kTooLarge:     // its context may be the smaller one
    case ErrorCode::kUnsupported:  // what this family of providers cannot express
    case ErrorCode::kNotFound: return true;
    default: return false;
  }
}

// Whether the error tells that the target is not well. A full queue does: sending more makes it worse.
bool target_is_unwell(ErrorCode code) {
  return code == ErrorCode::kUnavailable || code == ErrorCode::kResourceExhausted || code == ErrorCode::kDeadlineExceeded || code == ErrorCode::kInternal;
}

}  // namespace

std::vector<const OpenTarget*> RoutedGenerator::order(const Call& call) const {
  // Efraimidis and Spirakis: sorting by -ln(u) / weight draws without replacement in proportion to the weights. With a `u` that hangs on caller and target
  // (rendezvous hashing) the draw is always the same for one caller, and hardly changes when a target comes or goes.
  std::vector<std::pair<double, const OpenTarget*>> keyed;
  for (std::size_t i = 0; i < parts_.targets.size(); ++i) {
    const OpenTarget& target = parts_.targets[i];
    double key = static_cast<double>(i);
    if (parts_.route.choose == Route::Choice::kWeighted) {
      const double u = parts_.route.sticky ? fraction_of(parts_.name, call.principal.id, target.target.id()) : std::max(chance(), 1e-300);
      key = target.target.weight == 0 ? 1e300 : -std::log(u) / target.target.weight;
    } else if (parts_.route.choose == Route::Choice::kLatency) {
      key = chance();
    }
    keyed.emplace_back(key, &target);
  }
  std::ranges::stable_sort(keyed, {}, &std::pair<double, const OpenTarget*>::first);
  std::vector<const OpenTarget*> order;
  for (const auto& [key, target] : keyed) order.push_back(target);
  // The better of two that chance picked: nearly as good as the best of all, and callers that choose at the same time do not all choose the same.
  if (parts_.route.choose == Route::Choice::kLatency && order.size() > 1 && parts_.health.cost(order[1]->key) < parts_.health.cost(order[0]->key)) std::swap(order[0], order[1]);
  for (const OpenTarget& target : parts_.fallback) order.push_back(&target);
  return order;
}

Result<ChatOutcome> RoutedGenerator::generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) {
  std::optional<Error> last;
  int tried = 0;
  bool left_alone = false;
  for (const OpenTarget* target : order(call)) {
    if (tried >= parts_.route.attempts || call.cancel.cancelled() || (tried > 0 && call.deadline.passed())) break;
    if (parts_.permits) {
      if (auto permitted = parts_.permits(call, target->target); !permitted) {
        if (!last) last = permitted.error();
        continue;
      }
    }
    const auto begun = std::chrono::steady_clock::now();
    if (!parts_.health.admits(target->key, begun)) {
      left_alone = true;
      continue;
    }
    ++tried;
    Span span = call.span("target " + target->target.id());
    ChatRequest asked = request;
    asked.model = target->target.model;
    std::optional<SteadyTime> first;
    parts_.health.begin(target->key);
    auto outcome = target->generator->generate(call, asked, [&](const ChatDelta& delta) {
      if (!first) first = std::chrono::steady_clock::now();
      return sink(delta);
    });
    const auto now = std::chrono::steady_clock::now();
    if (outcome) {
      if (outcome->finish == FinishReason::kCancelled && !first)
        parts_.health.ended(target->key);
      else
        parts_.health.succeeded(target->key, std::chrono::duration_cast<milliseconds>(first.value_or(now) - begun), now);
      outcome->target = target->target.id();
      return outcome;
    }
    span.fail(outcome.error().message);
    if (target_is_unwell(outcome.error().code))
      parts_.health.failed(target->key, now);
    else
      parts_.health.ended(target->key);
    if (first || !worth_another(outcome.error().code)) return outcome;
    log(LogLevel::kInfo, "a target of a route failed", {{"route", parts_.name}, {"target", target->target.id()}, {"problem", outcome.error().message}, {"request_id", call.request_id}});
    last = std::move(outcome).error();
  }
  if (!last && left_alone)
    return fail(error(ErrorCode::kUnavailable, "all targets of the route '{}' have failed lately and are left alone for a moment", parts_.name).with_retry_after(kRetryAfter));
  if (!last) return fail(ErrorCode::kCancelled, "the request was cancelled before a target was asked");
  if (tried > 1) last->message = fmt::format("{} targets of the route '{}' failed; the last: {}", tried, parts_.name, last->message);
  return fail(std::move(*last));
}

Result<std::int64_t> RoutedGenerator::count_prompt_tokens(const ChatRequest& request) const {
  const OpenTarget& target = parts_.targets.empty() ? parts_.fallback.front() : parts_.targets.front();
  ChatRequest asked = request;
  asked.model = target.target.model;
  return target.generator->count_prompt_tokens(asked);
}

std::vector<std::string> RoutedGenerator::targets() const {
  std::vector<std::string> ids;
  for (const auto* list : {&parts_.targets, &parts_.fallback})
    for (const OpenTarget& target : *list) ids.push_back(target.target.id());
  return ids;
}

int RoutedGenerator::context_length() const {
  int longest = 0;
  for (const auto* list : {&parts_.targets, &parts_.fallback})
    for (const OpenTarget& target : *list) longest = std::max(longest, target.generator->context_length());
  return longest;
}

}  // namespace stoa::gateway
