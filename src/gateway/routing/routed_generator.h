// Answers in the name of a route: chooses a target, and takes another when that one fails before its first piece was handed on. After the first piece
// nothing is tried again, since nobody could tell what the caller has seen; an answer that is taken whole (ChatRequest::whole) is handed on when it is complete.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gateway/routing/choice.h"
#include "gateway/routing/route_parts.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

// Thread-safe. The health, and what the hooks point to, outlive it.
class RoutedGenerator final : public models::Generator {
 public:
  explicit RoutedGenerator(RouteParts parts) : parts_(std::move(parts)) {}

  // Errors: the last target's, with how many were tried; kPermissionDenied when no target is permitted; kUnavailable with retry_after when all are left alone.
  // ChatOutcome::target says which one answered, `also` what others did for the same request.
  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override;
  // Of the first target; the context is the longest of all.
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override;
  int context_length() const override;
  std::vector<std::string> targets() const override;

 private:
  struct Try;
  Result<ChatOutcome> ask(const OpenTarget& target, const Call& call, const ChatRequest& request, const models::DeltaSink& sink) const;
  Result<ChatOutcome> race(Try& all, const OpenTarget*& target, const models::DeltaSink& sink) const;
  const OpenTarget* next(Try& all) const;
  bool go_on(Try& all, Result<ChatOutcome>& outcome, const OpenTarget& target, bool began) const;
  bool pause(const Try& all, int round) const;
  void mirror(const Call& call, const ChatRequest& request, const RuleVerdicts& rules) const;
  Error all_failed(Try& all) const;

  const RouteParts parts_;
};

}  // namespace stoa::gateway
