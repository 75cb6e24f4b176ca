#include "models/engine/sequence.h"

namespace stoa::models {

std::optional<FinishReason> Sequence::append(const SampledToken& sampled, const Tokenizer& tokenizer, ChatDelta& delta) {
  ++usage.completion_tokens;
  if (!request.ignore_eos && tokenizer.is_end_of_generation(sampled.token)) return FinishReason::kStop;
  sampler.accept(sampled.token);
  tokens.push_back(sampled.token);
  const std::string bytes = tokenizer.token_bytes(sampled.token);
  bool stopped = false;
  if (request.sampling.logprobs >= 0) {
    TokenLogprob logprob{.token = sampled.token, .text = bytes, .logprob = sampled.logprob, .top = {}};
    for (const auto& chance : sampled.top) logprob.top.emplace_back(tokenizer.token_bytes(chance.token, true), chance.logprob);
    stopped = text.push(bytes, &logprob, delta);
  } else {
    stopped = text.push(bytes, nullptr, delta);
  }
  if (stopped) return FinishReason::kStop;
  if (usage.completion_tokens >= request.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

}  // namespace stoa::models
