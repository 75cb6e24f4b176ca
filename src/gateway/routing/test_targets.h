// Targets that do what they are told to, for tests of routes.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "gateway/routing/routed_generator.h"

namespace stoa::gateway {

class Scripted final : public models::Generator {
 public:
  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override {
    ++asked;
    model = request.model;
    for (int waited = 0; waited < silence_ms; ++waited) {
      if (call.cancel.cancelled()) return ChatOutcome{.finish = FinishReason::kCancelled, .usage = {.prompt_tokens = 1}};
      std::this_thread::sleep_for(milliseconds(1));
    }
    for (int i = 0; i < deltas; ++i)
      if (!sink({.text = text, .logprobs = {}})) return ChatOutcome{.finish = FinishReason::kCancelled};
    const Usage usage{.prompt_tokens = 1, .completion_tokens = deltas};
    if (failure && deltas > 0) return ChatOutcome{.finish = FinishReason::kError, .usage = usage, .failure = error(*failure, "the target broke")};
    if (failure) return fail(*failure, "the target failed");
    return ChatOutcome{.finish = FinishReason::kStop, .usage = usage};
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override { return prompt_tokens.value_or(static_cast<std::int64_t>(request.model.size())); }
  int context_length() const override { return context; }

  std::optional<ErrorCode> failure;
  int deltas = 1, context = 100, silence_ms = 0;
  std::atomic<int> asked = 0;
  std::optional<std::int64_t> prompt_tokens;
  std::string model, text = "x";
};

struct ScriptedTargets {
  TargetHealth health;
  std::map<std::string, std::shared_ptr<Scripted>> by_id;
  std::vector<std::shared_ptr<Scripted>> in_order;

  // A target whose name begins with "home" is on the premises.
  RouteParts parts(const Route& route, RouteHooks hooks = {}) {
    RouteParts parts{.name = "r", .route = route, .targets = {}, .fallback = {}, .health = health, .hooks = std::move(hooks)};
    const auto open = [&](const RouteTarget& target) {
      auto generator = std::make_shared<Scripted>();
      generator->text = target.id();
      by_id[target.id()] = generator;
      in_order.push_back(generator);
      return OpenTarget{target, target.id(), std::move(generator), target.model.starts_with("home"), target.model.starts_with("home") ? "eu" : "us"};
    };
    for (const auto& target : route.targets) parts.targets.push_back(open(target));
    for (const auto& target : route.fallback) parts.fallback.push_back(open(target));
    if (route.mirror) parts.mirror = open(route.mirror->target);
    if (route.canary) parts.canary = open(route.canary->target);
    return parts;
  }
};

inline Call call_of(std::string id) {
  Principal principal;
  principal.id = std::move(id);
  principal.tenant = "tenant_a";
  principal.project = "proj_a";
  return Call::of(principal);
}

inline Route route_to(std::vector<RouteTarget> list, Route::Choice choose = Route::Choice::kOrdered) {
  Route route;
  route.choose = choose;
  route.targets = std::move(list);
  return route;
}

}  // namespace stoa::gateway
