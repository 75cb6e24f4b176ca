#include "models/engine/sequence.h"

#include <algorithm>

namespace stoa::models {

Result<SampledToken> Sequence::sample(std::span<float> logits) {
  auto sampled = sampler.sample(logits, matcher ? &*matcher : nullptr);
  if (!sampled) {
    return fail(error(ErrorCode::kInvalidArgument, "after {} tokens of the answer the model has none that the constraint and logit_bias allow", usage.completion_tokens)
                    .with_hint("Relax the constraint where it asks for characters that the model cannot write, or change logit_bias."));
  }
  if (matcher) STOA_CHECK(matcher->accept(sampled->token));
  return std::move(*sampled);
}

std::optional<FinishReason> Sequence::append(const SampledToken& sampled, const Tokenizer& tokenizer, ChatDelta& delta) {
  ++usage.completion_tokens;
  if ((matcher || !request.ignore_eos) && tokenizer.is_end_of_generation(sampled.token)) return FinishReason::kStop;
  sampler.accept(sampled.token);
  tokens.push_back(sampled.token);
  const std::string bytes = tokenizer.token_bytes(sampled.token, std::ranges::find(request.shown, sampled.token) != request.shown.end());
  usage.reasoning_tokens += reasoning.push(bytes);
  bool stopped = false;
  if (request.sampling.logprobs >= 0) {
    TokenLogprob logprob{.token = sampled.token, .text = bytes, .logprob = sampled.logprob, .top = {}};
    for (const auto& chance : sampled.top) logprob.top.emplace_back(tokenizer.token_bytes(chance.token, true), chance.logprob);
    stopped = text.push(bytes, &logprob, delta);
  } else {
    stopped = text.push(bytes, nullptr, delta);
  }
  if (stopped || (matcher && matcher->finished())) return FinishReason::kStop;
  if (usage.completion_tokens >= request.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace stoa::models
