#include "gateway/grounding/evidence.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ranges>

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
  for (std::size_t p = 0; p < passages.size(); ++p) evidence.add_sentences(p, false);
  for (std::size_t p = 0; p < passages.size(); ++p) evidence.add_sentences(p, true);
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
  evidence.judge_signals(question);
  return evidence;
}

// Of what surrounds a passage, those sentences that no passage has.
void Evidence::add_sentences(std::size_t passage, bool in_context) {
  const std::string& text = in_context ? passages_[passage].context : passages_[passage].text;
  const std::string_view language = language_of(passages_[passage].text);  // a sentence alone may be too short to tell
  for (const Sentence place : split_sentences(text)) {
    if (sentences_.size() >= kMaxSentences) return;
    EvidenceSentence sentence{.passage = passage, .in_context = in_context, .place = place, .words = content_words(place.in(text)), .language = language, .vector = {}};
    if (sentence.words.size() < kMinSentenceWords) continue;
    const auto here = std::views::iota(std::size_t{0}, sentences_.size());
    if (in_context && std::ranges::any_of(here, [&](std::size_t i) { return this->text(i) == place.in(text); })) continue;
    sentences_.push_back(std::move(sentence));
  }
}

std::string_view Evidence::text(std::size_t sentence) const {
  const EvidenceSentence& item = sentences_[sentence];
  const Passage& passage = passages_[item.passage];
  return item.place.in(item.in_context ? passage.context : passage.text);
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
    sentence.cosine = dot(question_vector, sentence.vector);
    sentence.relevance = question_vector.empty() ? words : kWordShare * words + (1 - kWordShare) * sentence.cosine;
    relevance_ = std::max(relevance_, sentence.relevance);
  }
}

double answer_probability(const AnswerFormula& formula, const AnswerSignals& signals) {
  const double sum = formula.intercept + formula.cosine * signals.cosine + formula.coverage * signals.coverage + formula.missing_names * signals.missing_names +
                     formula.answer_type * signals.answer_type + formula.negation * signals.negation;
  return 1 / (1 + std::exp(-sum));
}

void Evidence::judge_signals(std::string_view question) {
  constexpr double kMostMissing = 3;
  const auto nearest = std::ranges::max_element(sentences_, {}, &EvidenceSentence::cosine);
  if (nearest == sentences_.end()) return;
  const std::string_view sentence = text(static_cast<std::size_t>(nearest - sentences_.begin()));
  const Passage& passage = passages_[nearest->passage];
  std::string around = passage.title + " " + (nearest->in_context ? passage.context : passage.text);
  for (const std::string& heading : passage.section) around += " " + heading;
  const auto asked = content_words(question), there = content_words(around);
  const auto shares_word = [&](const EvidenceSentence& other) { return coverage(asked, other.words) > 0; };
  strange_ = is_unspaced(question) && is_unspaced(sentence) && coverage(asked, there) == 0 && std::ranges::none_of(sentences_, shares_word);
  const auto negated = [&](std::string_view text) { return is_negated(text, settings_->negations, nearest->language); };
  const auto missing = std::ranges::count_if(names_of(question), [&](const std::string& name) { return !there.contains(name); });
  signals_ = {.cosine = nearest->cosine,
              .coverage = coverage(asked, nearest->words),
              .missing_names = std::min(static_cast<double>(missing), kMostMissing),
              .answer_type = has_answer_of(answer_kind(question), sentence, asked) ? 1.0 : 0.0,
              .negation = negated(question) && !negated(sentence) ? 1.0 : 0.0};
}

bool Evidence::answers() const {
  if (sentences_.empty() || strange_) return false;
  if (sentences_.front().vector.empty()) return relevance_ >= settings_->relevance;
  return answer_probability(settings_->answerable, signals_) >= settings_->answerable.least;
}

Result<Supports> Evidence::support(const Call& call, std::string_view statement) const {
  const auto words = content_words(statement);
  const auto numbers = numbers_of(statement);
  Supports out;
  if (words.empty() || sentences_.empty()) return out;
  std::vector<float> vector;
  const bool semantic = embedder_ != nullptr && !sentences_.front().vector.empty();
  if (semantic) {
    const std::vector<std::string> texts{std::string(statement)};
    STOA_TRY(embedded, embedder_->embed(call, texts));
    vector = std::move(embedded.values);
  }
  for (std::size_t i = 0; i < sentences_.size(); ++i) {
    const EvidenceSentence& source = sentences_[i];
    const Passage& passage = passages_[source.passage];
    const auto negated = [&](std::string_view said) { return is_negated(said, settings_->negations, source.language); };
    if (negated(statement) != negated(text(i)) || !includes_all(numbers_of(source.in_context ? passage.context : passage.text), numbers)) continue;
    const double lexical = coverage(words, source.words);
    const double cosine = semantic ? dot(vector, source.vector) : 0;
    const bool by_words = lexical >= settings_->lexical_support;
    const bool by_meaning = cosine >= settings_->semantic_support && lexical >= settings_->lexical_support / 2;
    const Support found{.sentence = i, .score = semantic ? (lexical + cosine) / 2 : lexical};
    if (by_words || by_meaning) out.found.push_back(found);
    else if (found.score >= settings_->judge_support && (!out.doubtful || found.score > out.doubtful->score)) out.doubtful = found;
  }
  keep_best(out.found);
  if (!out.found.empty()) out.doubtful.reset();
  return out;
}

// The best of each passage, the best passages first.
void Evidence::keep_best(std::vector<Support>& found) const {
  std::ranges::stable_sort(found, std::greater{}, &Support::score);
  std::set<std::size_t> seen;
  std::erase_if(found, [&](const Support& support) { return !seen.insert(sentences_[support.sentence].passage).second; });
  if (found.size() > static_cast<std::size_t>(settings_->citations)) found.resize(static_cast<std::size_t>(settings_->citations));
}

}  // namespace stoa::gateway
