#include "gateway/routing/routed_generator.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "base/log.h"
#include "gateway/routing/canary.h"
#include "gateway/routing/mirror.h"
#include "gateway/routing/race.h"

namespace stoa::gateway {
namespace {

constexpr int kRetryAfter = 1;               // seconds, when every breaker is open
constexpr milliseconds kFirstPause{50};      // before all targets are asked again; doubles
constexpr int kLongestRetryAfter = 2;        // seconds: a target that wants to be left alone for longer is not waited for
constexpr milliseconds kCancelLook{10}, kTimeIsUp{20};  // to a deadline

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

// One request's way through the targets.
struct RoutedGenerator::Try {
  const Call& call;
  const ChatRequest& request;
  std::vector<const OpenTarget*> order;
  std::size_t place = 0;                  // in `order`
  int tried = 0, round = 0;
  bool left_alone = false, out_of_budget = false;
  std::optional<Error> refused, last;
  std::vector<ChatCharge> charges;        // of targets that broke midway
};

// The next target that the caller may use, that is well, and that attempts and budget are left for.
const OpenTarget* RoutedGenerator::next(Try& all) const {
  if (all.tried >= parts_.route.attempts || all.call.cancel.cancelled() || (all.tried > 0 && all.call.deadline.passed())) return nullptr;
  while (all.place < all.order.size()) {
    const OpenTarget* target = all.order[all.place++];
    if (parts_.hooks.permits) {
      if (auto permitted = parts_.hooks.permits(all.call, target->target); !permitted) {
        if (!all.refused) all.refused = std::move(permitted).error();
        continue;
      }
    }
    const auto now = std::chrono::steady_clock::now();
    if (all.round > 0 && !parts_.state->retries().take(now)) {
      all.out_of_budget = true;
      return nullptr;
    }
    if (!parts_.health.admits(target->key, now)) {
      all.left_alone = true;
      continue;
    }
    ++all.tried;
    return target;
  }
  return nullptr;
}

Result<ChatOutcome> RoutedGenerator::ask(const OpenTarget& target, const Call& call, const ChatRequest& request, const models::DeltaSink& sink) const {
  const auto begun = std::chrono::steady_clock::now();
  Span span = call.span("target " + target.target.id());
  ChatRequest asked = request;
  asked.model = target.target.model;
  std::optional<SteadyTime> first;
  parts_.health.begin(target.key);
  if (parts_.route.choose == Route::Choice::kPrefix) parts_.state->prefixes().sent(target.key, PrefixTable::blocks(request, call.principal.tenant));
  auto outcome = target.generator->generate(call, asked, [&](const ChatDelta& delta) {
    if (!first) first = std::chrono::steady_clock::now();
    return sink(delta);
  });
  const auto now = std::chrono::steady_clock::now();
  const bool broke = outcome && outcome->finish == FinishReason::kError;
  const Error* failure = !outcome ? &outcome.error() : broke && outcome->failure ? &*outcome->failure : nullptr;
  // A caller in a hurry is no sign of the target: otherwise one could have it left alone for all.
  const bool hurried = !first && failure != nullptr && failure->code == ErrorCode::kDeadlineExceeded && call.deadline.at - now < kTimeIsUp && now - begun < parts_.health.fair_time(target.key);
  const bool failed = !hurried && (broke || (failure != nullptr && target_is_unwell(failure->code)));
  const auto took = std::chrono::duration_cast<milliseconds>(first.value_or(now) - begun);
  const bool tells = failed || (outcome && (outcome->finish != FinishReason::kCancelled || first));  // of the target
  if (failure != nullptr) span.fail(failure->message);
  if (failed) parts_.health.failed(target.key, now);
  else if (tells) parts_.health.succeeded(target.key, took, now);
  else parts_.health.ended(target.key);
  if (tells && parts_.route.canary && parts_.hooks.canaries != nullptr)
    parts_.hooks.canaries->observe(call.principal, parts_.name, parts_.route, parts_.canary && &target == &*parts_.canary, failed, took);
  if (!outcome) return outcome;
  outcome->target = target.target.id();
  if (!broke) parts_.state->served(outcome->target, outcome->usage);
  return outcome;
}

// Whether another target is to be asked; otherwise `outcome` is what came of the request.
bool RoutedGenerator::go_on(Try& all, Result<ChatOutcome>& outcome, const OpenTarget& target, bool began) const {
  const bool broke = outcome && outcome->finish == FinishReason::kError;
  if (outcome && (!broke || began)) return false;
  if (!outcome && (began || !worth_another(outcome.error().code))) return false;
  if (broke) {
    all.charges.push_back({outcome->target, "retry", outcome->usage});
    std::ranges::move(outcome->also, std::back_inserter(all.charges));
    all.last = outcome->failure ? std::move(*outcome->failure) : error(ErrorCode::kInternal, "the model failed while generating");
  } else {
    all.last = std::move(outcome).error();
  }
  log(LogLevel::kInfo, "a target of a route failed",
      {{"route", parts_.name}, {"target", target.target.id()}, {"problem", all.last->message}, {"request_id", all.call.request_id}});
  return true;
}

// Before all targets are asked again; false when that makes no sense.
bool RoutedGenerator::pause(const Try& all, int round) const {
  if (!all.last || !target_is_unwell(all.last->code) || all.last->retry_after > kLongestRetryAfter || all.out_of_budget || all.tried >= parts_.route.attempts) return false;
  const auto jittered = kFirstPause * (1 << round) * (0.5 + chance());
  const auto until = std::chrono::steady_clock::now() + std::max(std::chrono::duration_cast<milliseconds>(jittered), milliseconds(1000 * all.last->retry_after));
  if (until >= all.call.deadline.at) return false;
  while (std::chrono::steady_clock::now() < until) {
    if (all.call.cancel.cancelled()) return false;
    std::this_thread::sleep_for(kCancelLook);
  }
  return true;
}

void RoutedGenerator::mirror(const Call& call, const ChatRequest& request, const RuleVerdicts& rules) const {
  if (!parts_.mirror || parts_.hooks.mirrors == nullptr || chance() * 100 >= parts_.route.mirror->percent) return;
  if (!rules.allows(*parts_.mirror) || (parts_.hooks.permits && !parts_.hooks.permits(call, parts_.mirror->target))) return;
  parts_.hooks.mirrors->offer(parts_.name, *parts_.mirror, call, request);
}

// `target` is the one whose outcome it is, in the end.
Result<ChatOutcome> RoutedGenerator::race(Try& all, const OpenTarget*& target, const models::DeltaSink& sink) const {
  const auto second = [&]() -> const OpenTarget* { return parts_.state->hedges().take(std::chrono::steady_clock::now()) ? next(all) : nullptr; };
  const AskTarget one = [&](const OpenTarget& other, const Call& own, const models::DeltaSink& lane) { return ask(other, own, all.request, lane); };
  RaceOutcome raced = race_targets(*target, second, parts_.route.hedge->after, all.call, one, sink);
  target = raced.answered;
  return std::move(raced.outcome);
}

Result<ChatOutcome> RoutedGenerator::generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) {
  const RuleVerdicts rules(parts_, call, request);
  Try all{.call = call, .request = request, .order = {}, .refused = {}, .last = {}, .charges = {}};
  parts_.state->retries().add(parts_.route.retry_percent);
  if (parts_.route.hedge) parts_.state->hedges().add(parts_.route.hedge->percent);
  mirror(call, request, rules);
  for (int round = 0; round <= parts_.route.retries; ++round) {
    if (round > 0 && !pause(all, round - 1)) break;
    all.place = 0;
    all.round = round;
    all.order = choose_targets(parts_, call, request, rules, std::chrono::steady_clock::now(), all.refused);
    while (const OpenTarget* target = next(all)) {
      bool began = false;
      std::vector<ChatDelta> kept;  // of an answer that is taken whole
      const models::DeltaSink out = [&](const ChatDelta& delta) {
        if (request.whole) {
          kept.push_back(delta);
          return true;
        }
        began = true;
        return sink(delta);
      };
      Result<ChatOutcome> outcome = parts_.route.hedge ? race(all, target, out) : ask(*target, call, request, out);
      if (go_on(all, outcome, *target, began)) continue;
      if (outcome) std::ranges::move(all.charges, std::back_inserter(outcome->also));
      for (const ChatDelta& delta : kept)
        if (!sink(delta)) break;
      return outcome;
    }
  }
  if (all.charges.empty()) return fail(all_failed(all));
  // Something was served, though nothing came of it: it has to be paid.
  ChatOutcome broken{.finish = FinishReason::kError, .usage = all.charges.front().usage, .target = all.charges.front().target, .own_prompt = true};
  broken.also.assign(std::next(all.charges.begin()), all.charges.end());
  broken.failure = all_failed(all);
  return broken;
}

Error RoutedGenerator::all_failed(Try& all) const {
  if (all.last) {
    if (all.tried > 1) all.last->message = fmt::format("{} targets of the route '{}' failed; the last: {}", all.tried, parts_.name, all.last->message);
    return std::move(*all.last);
  }
  if (all.left_alone)
    return error(ErrorCode::kUnavailable, "all targets of the route '{}' have failed lately and are left alone for a moment", parts_.name).with_retry_after(kRetryAfter);
  if (all.refused) return std::move(*all.refused);
  return error(ErrorCode::kCancelled, "the request was cancelled before a target was asked");
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
  if (parts_.canary) ids.push_back(parts_.canary->target.id());
  return ids;
}

int RoutedGenerator::context_length() const {
  int longest = 0;
  for (const auto* list : {&parts_.targets, &parts_.fallback})
    for (const OpenTarget& target : *list) longest = std::max(longest, target.generator->context_length());
  return longest;
}

}  // namespace stoa::gateway
