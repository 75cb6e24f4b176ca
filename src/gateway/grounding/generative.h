// Answers by a language model over the packed passages. Each sentence is checked before it is sent: what no passage supports is
// dropped, and when nothing is left the passages are quoted instead. So the stream never takes back what it has said.
#pragma once

#include "gateway/grounding/answerer.h"
#include "gateway/grounding/evidence.h"
#include "gateway/grounding/settings.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

class GenerativeAnswerer : public Answerer {
 public:
  // `generator` outlives the answerer, and so does `embedder`, which may be null.
  GenerativeAnswerer(GroundingSettings settings, models::Generator& generator, data::Embedder* embedder)
      : settings_(std::move(settings)), generator_(generator), embedder_(embedder) {}

  Result<GroundedAnswer> answer(const Call& call, const GroundingRequest& request, const TextSink& sink) override;

 private:
  Result<ChatRequest> pack(const GroundingRequest& request, const Evidence& evidence) const;
  // Puts the newest turns of the conversation between the system message and the question, as far as they fit: never the reason for
  // a prompt that is too long.
  Status add_history(ChatRequest& chat, const std::vector<ChatMessage>& history, std::int64_t room) const;

  const GroundingSettings settings_;
  models::Generator& generator_;
  data::Embedder* const embedder_;
};

// The sentences of `passages[index]` around its most relevant one, at most `bytes` of them; the whole text when it is shorter.
std::string excerpt(const Evidence& evidence, std::span<const Passage> passages, std::size_t index, std::size_t bytes);

}  // namespace stoa::gateway
