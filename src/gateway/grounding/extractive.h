// Answers without a generator: the best sentences of the best passages, quoted. Used when no model is available, when the request
// or its principal's rights forbid generation, and when a generated answer has no support.
#pragma once

#include "gateway/grounding/answerer.h"
#include "gateway/grounding/evidence.h"
#include "gateway/grounding/settings.h"

namespace stoa::gateway {

class ExtractiveAnswerer : public Answerer {
 public:
  // `embedder` may be null; it outlives the answerer.
  ExtractiveAnswerer(GroundingSettings settings, data::Embedder* embedder) : settings_(std::move(settings)), embedder_(embedder) {}

  Result<GroundedAnswer> answer(const Call& call, const GroundingRequest& request, const TextSink& sink) override;

 private:
  const GroundingSettings settings_;
  data::Embedder* const embedder_;
};

// `range` of an answer, supported by a sentence of the evidence.
Citation cite(const Evidence& evidence, const Support& support, TextRange range);

// Quotes from evidence that is already there. Nothing is sent for an answer without support but the settings' no_answer.
Result<GroundedAnswer> quote_evidence(const GroundingSettings& settings, const GroundingRequest& request, const Evidence& evidence,
                                      const TextSink& sink);

}  // namespace stoa::gateway
