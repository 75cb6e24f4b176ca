// Answers in the name of a route: chooses a target, and takes another when that one fails before its first piece was handed on. After the first piece
// nothing is tried again, since nobody could tell what the caller has seen.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/routing/route.h"
#include "gateway/routing/target_health.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

struct OpenTarget {
  RouteTarget target;
  std::string key;  // tells it from targets of that name elsewhere, for its health
  std::shared_ptr<models::Generator> generator;
};

struct RouteParts {
  std::string name;
  Route route;
  std::vector<OpenTarget> targets, fallback;  // those of the route that are there, in its order; at least one target or fallback
  TargetHealth& health;
  // Whether this caller's request may go to that target: the decision that a rule about residency or data classes makes. Empty: yes.
  std::function<Status(const Call& call, const RouteTarget& target)> permits{};
};

// Thread-safe. The health outlives it.
class RoutedGenerator final : public models::Generator {
 public:
  explicit RoutedGenerator(RouteParts parts) : parts_(std::move(parts)) {}

  // Errors: the last target's, with how many were tried; kPermissionDenied when no target is permitted; kUnavailable with retry_after when all are left alone.
  // ChatOutcome::target says which one answered.
  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override;
  // Of the first target; the context is the longest of all.
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override;
  int context_length() const override;
  std::vector<std::string> targets() const override;

  // In which order targets would be tried for this call; one call's order differs from the next where chance decides.
  std::vector<const OpenTarget*> order(const Call& call) const;

 private:
  RouteParts parts_;
};

}  // namespace stoa::gateway
