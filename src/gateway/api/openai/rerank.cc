#include "gateway/api/openai/rerank.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/id.h"
#include "gateway/api/openai/rerank_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::int64_t kMicrosPerToken = 1'000;  // for reservations; the settlement is measured

// A token is about four bytes; a pair never has more than the model takes.
Usage estimate(const RerankCall& call, int max_tokens) {
  Usage usage;
  for (const std::string& document : call.documents)
    usage.prompt_tokens += std::min<std::int64_t>(max_tokens, static_cast<std::int64_t>((call.query.size() + document.size()) / 4 + 4));
  usage.compute_micros = usage.prompt_tokens * kMicrosPerToken;
  return usage;
}

Reply rerank(const Dependencies& dependencies, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_rerank(body));
  STOA_TRY(reranker, dependencies.models.reranker(call.model, scope.principal().project));
  STOA_CHECK(scope.reserve("rerank", call.model, estimate(call, reranker->max_tokens())));

  const auto start = std::chrono::steady_clock::now();
  STOA_TRY(ranked, reranker->rerank(scope.call(), call.query, call.documents, call.document_tokens));  // it records its own span
  if (!std::ranges::all_of(ranked.scores, [](float score) { return std::isfinite(score); }))
    return fail(error(ErrorCode::kInternal, "'{}' gave a score that is not a number", call.model).with_hint("its weights are damaged; fetch it again"));
  Usage usage;
  usage.prompt_tokens = std::reduce(ranked.tokens.begin(), ranked.tokens.end(), std::int64_t{0});
  usage.compute_micros = ranked.compute_micros;
  usage.total_micros = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  STOA_TRY(cost, scope.settle(usage));
  const std::string id = new_id("rerank");
  scope.set_answer_id(id);
  const UsageReport report{.usage = usage, .request_id = scope.call().request_id, .trace_id = scope.trace().id(), .cost_micro_usd = cost};
  return ok_json(rerank_json(call, id, ranked.scores, ranked.truncated, report));
}

}  // namespace

Status register_rerank(infra::Router& router, const Dependencies& dependencies) {
  for (const char* path : {"/v1/rerank", "/v2/rerank"})
    STOA_CHECK(dependencies.pipeline.route(router, "POST", path, governance::Action::kModelUse, "rerank", error_response,
                                           [&dependencies](RequestScope& scope) { return rerank(dependencies, scope); }));
  return {};
}

}  // namespace stoa::gateway::openai
