#include "gateway/api/openai/answer_notes.h"

#include <algorithm>
#include <chrono>

namespace stoa::gateway::openai {
namespace {

constexpr std::chrono::seconds kPatience{2};  // with a digest that is being computed, right after the start

void describe(const ServedModel& served, governance::AnswerModel& out) {
  out.base = served.base;
  out.adapter_artifact = served.adapter_artifact;
  const auto& artifact = served.artifact;
  if (artifact.valid() && artifact.wait_for(kPatience) == std::future_status::ready) out.artifact = artifact.get();
}

}  // namespace

std::int64_t code_points(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

void note_model(RequestScope& scope, const ServedModels& models, const ChatRequest& request) {
  governance::AnswerModel& out = scope.answer().model;
  out.name = request.model;
  if (const auto served = models.find(request.model, scope.principal().project)) {
    out.name = served->id;
    describe(*served, out);
  }
  scope.describe_target([&models, project = scope.principal().project](governance::AnswerModel& model, std::string_view target) {
    model.target = target;
    if (const auto own = models.find_own(target, project)) describe(*own, model);
  });
  const SamplingOptions& sampling = request.sampling;
  const SamplingOptions off;
  const auto add = [&](const char* name, const auto& value, const auto& unset) {
    if (value != unset) out.parameters.emplace_back(name, fmt::format("{}", value));
  };
  out.parameters.emplace_back("temperature", fmt::format("{}", sampling.temperature));
  out.parameters.emplace_back("top_p", fmt::format("{}", sampling.top_p));
  add("top_k", sampling.top_k, off.top_k);
  add("min_p", sampling.min_p, off.min_p);
  add("repetition_penalty", sampling.repetition_penalty, off.repetition_penalty);
  add("presence_penalty", sampling.presence_penalty, off.presence_penalty);
  add("frequency_penalty", sampling.frequency_penalty, off.frequency_penalty);
  if (sampling.seed) out.parameters.emplace_back("seed", fmt::format("{}", *sampling.seed));
  add("logit_bias_tokens", sampling.logit_bias.size(), std::size_t{0});
  add("max_tokens", request.max_tokens, 0);
  add("tools", request.tools.size(), std::size_t{0});
  if (request.constraint) out.parameters.emplace_back("constrained", "yes");
}

std::vector<Annotation> annotations_of(const GroundedAnswer& answer) {
  std::vector<Annotation> out;
  for (const Citation& citation : answer.citations) {
    const Passage& passage = answer.passages[citation.passage];
    const std::string_view source = citation.in_context ? passage.context : passage.text, text = answer.text;
    out.push_back({.begin = code_points(text.substr(0, citation.begin)),
                   .end = code_points(text.substr(0, citation.end)),
                   .passage = passage,
                   .quote = citation.quote,
                   .url = {},
                   .from = code_points(source.substr(0, citation.from)),
                   .to = code_points(source.substr(0, citation.to)),
                   .in_context = citation.in_context,
                   .support = citation.support,
                   .judged = citation.judged});
  }
  return out;
}

void note_grounds(governance::AnswerRecord& record, const GroundedAnswer& answer, const std::vector<Annotation>& annotations, const GroundingSettings& settings) {
  record.mode = answer_mode_name(answer.mode);
  record.model.prompt = "grounding";
  record.model.prompt_version = settings.version;
  record.dropped_sentences = answer.dropped_sentences;
  record.unsupported_sentences = static_cast<int>(answer.unsupported.size());
  for (const Passage& passage : answer.passages)
    record.sources.push_back({passage.document_id, passage.document_version, passage.chunk_id, passage.page, passage.readers});
  for (std::size_t i = 0; i < annotations.size() && i < answer.citations.size(); ++i) {
    const Annotation& noted = annotations[i];
    const std::int64_t from = noted.in_context ? 0 : noted.from, to = noted.in_context ? 0 : noted.to;
    record.citations.push_back({noted.begin, noted.end, answer.citations[i].passage, from, to, governance::salted_digest(record.salt, noted.quote)});
  }
}

}  // namespace stoa::gateway::openai
