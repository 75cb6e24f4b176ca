#include "gateway/grounding/extractive.h"

#include <algorithm>
#include <chrono>
#include <ranges>

namespace stoa::gateway {
namespace {

constexpr double kNearBest = 0.75;       // a further sentence is quoted when it is this near to the best one's relevance
constexpr double kSameStatement = 0.8;   // word overlap above which a further sentence says the same again

bool says_the_same(const EvidenceSentence& a, const EvidenceSentence& b) {
  return std::max(coverage(a.words, b.words), coverage(b.words, a.words)) > kSameStatement;
}

// The best sentences in reading order: passages as ranked, sentences as written.
std::vector<std::size_t> choose(const GroundingSettings& settings, const Evidence& evidence) {
  const auto& sentences = evidence.sentences();
  if (!evidence.answers()) return {};
  std::vector<std::size_t> order(sentences.size()), chosen;
  std::ranges::copy(std::views::iota(std::size_t{0}, sentences.size()), order.begin());
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t i) { return sentences[i].relevance; });
  for (const std::size_t i : order) {
    if (chosen.size() >= static_cast<std::size_t>(settings.quoted_sentences)) break;
    if (sentences[i].relevance < std::max(settings.relevance, kNearBest * evidence.relevance())) break;
    if (std::ranges::any_of(chosen, [&](std::size_t other) { return says_the_same(sentences[i], sentences[other]); })) continue;
    chosen.push_back(i);
  }
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace

Citation cite(const Evidence& evidence, const Support& support, TextRange range) {
  const EvidenceSentence& source = evidence.sentences()[support.sentence];
  return {.begin = range.begin, .end = range.end, .passage = source.passage, .from = source.place.begin, .to = source.place.end, .in_context = source.in_context,
          .quote = std::string(evidence.text(support.sentence)), .support = support.score};
}

Result<GroundedAnswer> quote_evidence(const GroundingSettings& settings, const GroundingRequest& request, const Evidence& evidence,
                                      const TextSink& sink) {
  GroundedAnswer answer;
  answer.passages = request.passages;
  answer.mode = AnswerMode::kExtractive;
  std::string piece;
  const auto send = [&](std::span<const Citation> citations) -> Status {
    answer.text += piece;
    if (!sink({piece, citations})) return fail(ErrorCode::kCancelled, "the caller stopped the answer");
    return {};
  };
  for (const std::size_t i : choose(settings, evidence)) {
    const std::string quote(evidence.text(i));
    piece = answer.text.empty() ? "" : " ";
    const std::size_t begin = answer.text.size() + piece.size();
    piece += quote;
    answer.citations.push_back(cite(evidence, {.sentence = i, .score = 1}, {begin, begin + quote.size()}));
    STOA_CHECK(send(std::span(answer.citations).last(1)));
  }
  answer.answered = !answer.citations.empty();
  if (answer.answered) return answer;
  piece = settings.no_answer;
  STOA_CHECK(send({}));
  return answer;
}

Result<GroundedAnswer> ExtractiveAnswerer::answer(const Call& call, const GroundingRequest& request, const TextSink& sink) {
  Span span = call.span("grounding extractive");
  const auto start = std::chrono::steady_clock::now();
  STOA_TRY(evidence, Evidence::collect(call, embedder_, settings_, compared_with(request), request.passages));
  STOA_TRY(answer, quote_evidence(settings_, request, evidence, sink));
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  answer.usage.compute_micros = evidence.compute_micros();
  answer.usage.first_token_micros = answer.usage.total_micros = micros;
  span.set("stoa.grounding.citations", static_cast<std::int64_t>(answer.citations.size()));
  span.set("stoa.grounding.relevance", evidence.relevance());
  return std::move(answer);
}

}  // namespace stoa::gateway
