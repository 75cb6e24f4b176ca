#include "gateway/api/openai/asides.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::int64_t kAsidePromptTokens = 512;
constexpr std::int64_t kMicrosPerPromptToken = 1'000, kMicrosPerToken = 20'000;
constexpr std::string_view kSame = "same";

}  // namespace

Result<Asides> choose_asides(RequestScope& scope, const ServedModels& models, const GroundingSettings& settings, const std::string& model) {
  Asides out;
  STOA_TRY(own, models.generator(model, scope.principal().project));
  out.own_generator = std::move(own);
  out.own = {.generator = out.own_generator.get(), .model = model};
  if (settings.judge == kSame) out.judge = out.own;
  if (settings.judge.empty() || settings.judge == kSame) return out;
  if (!scope.allow(governance::Action::kModelUse, governance::Resource::of(scope.principal(), "model", settings.judge))) return out;
  auto judge = models.generator(settings.judge, scope.principal().project);
  if (!judge) return out;
  out.judge_generator = std::move(*judge);
  out.judge = {.generator = out.judge_generator.get(), .model = settings.judge};
  return out;
}

Usage grounded_estimate(const GroundingSettings& settings) {
  Usage estimate;
  estimate.prompt_tokens = settings.prompt_tokens + kAsidePromptTokens;
  estimate.completion_tokens = settings.answer_tokens + settings.rewrite_tokens;
  estimate.compute_micros = estimate.prompt_tokens * kMicrosPerPromptToken + estimate.completion_tokens * kMicrosPerToken;
  return estimate;
}

}  // namespace stoa::gateway::openai
