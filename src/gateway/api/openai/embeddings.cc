#include "gateway/api/openai/embeddings.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <span>

#include "gateway/api/openai/embeddings_json.h"
#include "gateway/api/openai/chat_json.h"
#include "gateway/api/openai/errors.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kBatch = 32;  // between two looks at whether the client is still there
constexpr std::int64_t kMicrosPerToken = 1'000;  // for reservations; the settlement is measured

// A text that does not fit is refused rather than cut: its vector would stand for another text.
Status check_lengths(const data::Embedder& embedder, const EmbeddingCall& call) {
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const std::string& text = call.inputs[i];
    const auto limit = static_cast<std::size_t>(embedder.max_tokens());
    if (text.size() + 2 <= limit) continue;  // a token is at least a byte, and two mark the ends
    STOA_TRY(tokens, embedder.count_tokens(text));
    if (static_cast<std::size_t>(tokens) > limit)
      return fail(context_overflow(error(ErrorCode::kTooLarge, "input[{}] has {} tokens; '{}' takes {}", i, tokens, call.model, limit)
                                       .with_hint("split the text"), "input"));
  }
  return {};
}

Reply embed(const Dependencies& dependencies, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_embeddings(body));
  STOA_TRY(embedder, dependencies.models.embedder(call.model, scope.principal().project));
  if (call.dimensions && *call.dimensions != embedder->dimensions())
    return fail(error(ErrorCode::kInvalidArgument, "'dimensions' must be {}, the size of '{}', or left out", embedder->dimensions(), call.model).with_param("dimensions"));
  STOA_CHECK(check_lengths(*embedder, call));
  Usage estimate;
  for (const std::string& text : call.inputs) estimate.prompt_tokens += static_cast<std::int64_t>(text.size()) / 4 + 2;
  estimate.compute_micros = estimate.prompt_tokens * kMicrosPerToken;
  STOA_CHECK(scope.reserve("embedding", call.model, estimate));

  const auto start = std::chrono::steady_clock::now();
  Usage usage;
  std::size_t cached = 0;  // texts
  std::vector<float> values;
  {
    Span span = scope.call().span("embed " + call.model);
    for (std::size_t i = 0; i < call.inputs.size(); i += kBatch) {
      if (scope.call().cancel.cancelled()) return fail(ErrorCode::kCancelled, "the client went away");
      const auto batch = std::span(call.inputs).subspan(i, std::min(kBatch, call.inputs.size() - i));
      STOA_TRY(embedded, embedder->embed(scope.call(), batch));
      values.insert(values.end(), embedded.values.begin(), embedded.values.end());
      usage.prompt_tokens += std::reduce(embedded.tokens.begin(), embedded.tokens.end(), std::int64_t{0});
      usage.cached_tokens += embedded.cached_tokens;
      usage.compute_micros += embedded.compute_micros;
      cached += static_cast<std::size_t>(embedded.cached_texts);
    }
    usage.total_micros = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
    span.set("gen_ai.request.model", call.model);
    span.set("gen_ai.usage.input_tokens", usage.prompt_tokens);
  }
  std::optional<CacheHit> hit;
  if (!call.inputs.empty() && cached == call.inputs.size()) hit = CacheHit{.kind = "exact", .source = {}, .similarity = 1};
  STOA_TRY(cost, scope.settle(usage, {}, hit ? &*hit : nullptr));
  const UsageReport report{.usage = usage, .cache = hit, .request_id = scope.call().request_id, .trace_id = scope.trace().id(), .cost_micro_usd = cost};
  JsonObject out = embeddings_json(call.model, values, embedder->dimensions(), call.base64, usage.prompt_tokens);
  out["usage"].get_object()["stoa"] = stoa_json(report);
  return ok_json(out);
}

}  // namespace

Status register_embeddings(infra::Router& router, const Dependencies& dependencies) {
  return dependencies.pipeline.route(router, "POST", "/v1/embeddings", governance::Action::kModelUse, "embedding", error_response,
                                     [&dependencies](RequestScope& scope) { return embed(dependencies, scope); });
}

}  // namespace stoa::gateway::openai
