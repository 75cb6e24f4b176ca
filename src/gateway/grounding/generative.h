// Answers by a language model over the packed passages. Each sentence is checked before it is sent: what no passage supports is
// dropped, or said and named as such (settings.flag_unsupported), and when nothing is left the passages are quoted instead. So the stream never takes back
// what it has said.
#pragma once

#include "gateway/grounding/answerer.h"
#include "gateway/grounding/aside.h"
#include "gateway/grounding/evidence.h"
#include "gateway/grounding/packing.h"
#include "gateway/grounding/settings.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

class GenerativeAnswerer : public Answerer {
 public:
  // `generator` outlives the answerer, and so does `embedder`, which may be null. `judge` decides where words and vectors leave support open.
  GenerativeAnswerer(GroundingSettings settings, models::Generator& generator, data::Embedder* embedder, AsideModel judge = {})
      : settings_(std::move(settings)), generator_(generator), embedder_(embedder), judge_(std::move(judge)) {}

  Result<GroundedAnswer> answer(const Call& call, const GroundingRequest& request, const TextSink& sink) override;

 private:
  std::string written(const GroundingRequest& request, const std::vector<PackedPassage>& packed) const;  // the message with passages and question
  Result<ChatRequest> pack(const GroundingRequest& request, const Evidence& evidence) const;
  // Puts the newest turns of the conversation between the system message and the question, as far as they fit: never the reason for
  // a prompt that is too long.
  Status add_history(ChatRequest& chat, const std::vector<ChatMessage>& history, std::int64_t room) const;

  const GroundingSettings settings_;
  models::Generator& generator_;
  data::Embedder* const embedder_;
  const AsideModel judge_;
};

}  // namespace stoa::gateway
