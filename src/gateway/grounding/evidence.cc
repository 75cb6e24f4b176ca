#include "gateway/grounding/evidence.h"

#include <algorithm>
#include <numeric>

namespace stoa::gateway {
namespace {

constexpr std::size_t kMinSentenceWords = 2;  // shorter ones are headings and list marks
constexpr double kWordShare = 0.5;            // of relevance; the rest is semantic

double dot(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size() || a.empty()) return 0;
  return std::clamp(std::inner_product(a.begin(), a.end(), b.begin(), 0.0), 0.0, 1.0);
}

bool includes_all(const std::set<std::string>& in, const std::set<std::string>& of) {
  return std::ranges::all_of(of, [&](const std::string& item) { return in.contains(item); });
}

}  // namespace

Result<Evidence> Evidence::collect(const Call& call, data::Embedder* embedder, const GroundingSettings& settings,
                                   std::string_view question, std::span<const Passage> passages) {
  passages = passages.first(std::min(passages.size(), static_cast<std::size_t>(settings.max_passages)));
  Evidence evidence(embedder, settings, passages);
  for (std::size_t p = 0; p < passages.size(); ++p) {
    for (const Sentence place : split_sentences(passages[p].text)) {
      if (evidence.sentences_.size() >= kMaxSentences) break;
      EvidenceSentence sentence{.passage = p, .place = place, .words = content_words(place.in(passages[p].text)), .vector = {}, .relevance = 0};
      if (sentence.words.size() >= kMinSentenceWords) evidence.sentences_.push_back(std::move(sentence));
    }
  }
  std::vector<float> question_vector;
  if (embedder != nullptr && !evidence.sentences_.empty()) {
    std::vector<std::string> texts{std::string(question)};
    for (std::size_t i = 0; i < evidence.sentences_.size(); ++i) texts.emplace_back(evidence.text(i));
    STOA_TRY(embedded, embedder->embed(call, texts));
    const auto width = static_cast<std::size_t>(embedded.dimensions);
    const auto row = [&](std::size_t i) { return std::vector<float>(embedded.values.begin() + i * width, embedded.values.begin() + (i + 1) * width); };
    question_vector = row(0);
    for (std::size_t i = 0; i < evidence.sentences_.size(); ++i) evidence.sentences_[i].vector = row(i + 1);
    evidence.compute_micros_ = embedded.compute_micros;
  }
  evidence.judge_relevance(question, question_vector);
  return evidence;
}

std::string_view Evidence::text(std::size_t sentence) const {
  const EvidenceSentence& item = sentences_[sentence];
  return item.place.in(passages_[item.passage].text);
}

void Evidence::judge_relevance(std::string_view question, std::span<const float> question_vector) {
  const auto asked = content_words(question);
  for (EvidenceSentence& sentence : sentences_) {
    const Passage& passage = passages_[sentence.passage];
    // The words of the headings belong to every sentence below them.
    std::string headings = passage.title;
    for (const std::string& heading : passage.section) headings += " " + heading;
    const auto heading_words = content_words(headings);
    auto covered = sentence.words;
    covered.insert(heading_words.begin(), heading_words.end());
    const double own = coverage(asked, sentence.words), with_headings = coverage(asked, covered);
    const double words = 0.7 * own + 0.3 * with_headings;
    sentence.relevance = question_vector.empty() ? words : kWordShare * words + (1 - kWordShare) * dot(question_vector, sentence.vector);
    relevance_ = std::max(relevance_, sentence.relevance);
  }
}

Result<std::optional<Support>> Evidence::support(const Call& call, std::string_view statement) const {
  const auto words = content_words(statement);
  const auto numbers = numbers_of(statement);
  const bool negated = is_negated(statement);
  if (words.empty() || sentences_.empty()) return std::nullopt;
  std::vector<float> vector;
  const bool semantic = embedder_ != nullptr && !sentences_.front().vector.empty();
  if (semantic) {
    const std::vector<std::string> texts{std::string(statement)};
    STOA_TRY(embedded, embedder_->embed(call, texts));
    vector = std::move(embedded.values);
  }
  std::optional<Support> best;
  for (std::size_t i = 0; i < sentences_.size(); ++i) {
    const EvidenceSentence& source = sentences_[i];
    if (is_negated(text(i)) != negated || !includes_all(numbers_of(passages_[source.passage].text), numbers)) continue;
    const double lexical = coverage(words, source.words);
    const double cosine = semantic ? dot(vector, source.vector) : 0;
    const bool by_words = lexical >= settings_->lexical_support;
    const bool by_meaning = cosine >= settings_->semantic_support && lexical >= settings_->lexical_support / 2;
    if (!by_words && !by_meaning) continue;
    const double score = semantic ? (lexical + cosine) / 2 : lexical;
    if (!best || score > best->score) best = Support{.sentence = i, .score = score};
  }
  return best;
}

}  // namespace stoa::gateway
