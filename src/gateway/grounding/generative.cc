#include "gateway/grounding/generative.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "gateway/grounding/extractive.h"

namespace stoa::gateway {
namespace {

// Takes the stream of a generator apart into sentences, and lets through those that the evidence supports.
class CheckedStream {
 public:
  CheckedStream(const Call& call, const GroundingSettings& settings, const Evidence& evidence, const TextSink& sink, GroundedAnswer& answer)
      : call_(call), settings_(settings), evidence_(evidence), sink_(sink), answer_(answer) {}

  // False when the generator should stop: enough said, the model repeats itself, the sink stopped, or a check failed.
  bool add(std::string_view text) {
    pending_ += text;
    if (pending_.size() > kMaxPending) return false;
    const auto sentences = split_sentences(pending_);
    if (sentences.size() < 2) return true;
    for (std::size_t i = 0; i + 1 < sentences.size(); ++i)
      if (!take(sentences[i].in(pending_))) return false;
    pending_.erase(0, sentences.back().begin);
    return true;
  }

  // What is left. A sentence that the token limit cut off is no statement, so it is left out.
  void finish(bool cut_off) {
    const auto sentences = split_sentences(pending_);
    for (std::size_t i = 0; i < sentences.size(); ++i) {
      const bool open = i + 1 == sentences.size() && cut_off && !ends(sentences[i].in(pending_));
      if (open || stopped_ || !take(sentences[i].in(pending_))) break;
    }
  }

  const Status& status() const { return status_; }

 private:
  static constexpr std::size_t kMaxPending = 8192;

  static bool ends(std::string_view sentence) { return !sentence.empty() && std::string_view(".!?\")]").contains(sentence.back()); }

  bool stop() {
    stopped_ = true;
    return false;
  }

  bool take(std::string_view sentence) {
    if (stopped_) return false;
    const auto words = content_words(sentence);
    if (!seen_.emplace(is_negated(sentence), words).second && !words.empty()) return stop();  // small models loop
    auto support = evidence_.support(call_, sentence);
    if (!support) {
      status_ = std::unexpected(std::move(support).error());
      return stop();
    }
    if (!*support) {
      if (!words.empty()) ++answer_.dropped_sentences;
      return answer_.dropped_sentences < settings_.max_sentences || stop();
    }
    const Support& found = **support;
    const std::string piece = (answer_.text.empty() ? "" : " ") + std::string(sentence);
    const std::size_t end = answer_.text.size() + piece.size();
    answer_.citations.push_back({end - sentence.size(), end, evidence_.sentences()[found.sentence].passage,
                                 std::string(evidence_.text(found.sentence)), found.score});
    answer_.text += piece;
    if (!sink_(piece)) {
      status_ = fail(ErrorCode::kCancelled, "the caller stopped the answer");
      return stop();
    }
    return answer_.citations.size() < static_cast<std::size_t>(settings_.max_sentences) || stop();
  }

  const Call& call_;
  const GroundingSettings& settings_;
  const Evidence& evidence_;
  const TextSink& sink_;
  GroundedAnswer& answer_;
  std::string pending_;
  std::set<std::pair<bool, std::set<std::string>>> seen_;  // negated or not, and what it speaks of
  Status status_;
  bool stopped_ = false;
};

}  // namespace

std::string excerpt(const Evidence& evidence, std::span<const Passage> passages, std::size_t index, std::size_t bytes) {
  const std::string& text = passages[index].text;
  if (text.size() <= bytes) return text;
  const auto sentences = split_sentences(text);
  std::size_t best = 0;
  double relevance = -1;
  for (const EvidenceSentence& item : evidence.sentences()) {
    if (item.passage != index || item.relevance <= relevance) continue;
    relevance = item.relevance;
    best = static_cast<std::size_t>(std::ranges::find(sentences, item.place.begin, &Sentence::begin) - sentences.begin());
  }
  if (best >= sentences.size()) best = 0;
  std::size_t first = best, last = best;
  const auto fits = [&](std::size_t from, std::size_t to) { return sentences[to].end - sentences[from].begin <= bytes; };
  while (true) {  // grows by a sentence on each side in turn, until neither fits
    const bool after = last + 1 < sentences.size() && fits(first, last + 1);
    if (after) ++last;
    const bool before = first > 0 && fits(first - 1, last);
    if (before) --first;
    if (!after && !before) break;
  }
  return text.substr(sentences[first].begin, sentences[last].end - sentences[first].begin);
}

Result<ChatRequest> GenerativeAnswerer::pack(const GroundingRequest& request, const Evidence& evidence) const {
  ChatRequest chat = request.options;
  chat.max_tokens = chat.max_tokens > 0 ? std::min(chat.max_tokens, settings_.answer_tokens) : settings_.answer_tokens;
  chat.prompt.clear();
  const std::int64_t room = std::min<std::int64_t>(settings_.prompt_tokens, generator_.context_length() - chat.max_tokens);
  const std::string system = request.instructions.empty() ? settings_.system : settings_.system + "\n" + request.instructions;
  std::size_t count = std::min(request.passages.size(), static_cast<std::size_t>(settings_.max_passages));
  for (; count > 0; --count) {
    std::string passages;
    for (std::size_t i = 0; i < count; ++i) {
      const Passage& passage = request.passages[i];
      passages += fill_template(settings_.passage, {{"number", std::to_string(i + 1)},
                                                    {"title", passage.title},
                                                    {"section", fmt::format("{}", fmt::join(passage.section, " > "))},
                                                    {"text", excerpt(evidence, request.passages, i, static_cast<std::size_t>(settings_.passage_bytes))}});
    }
    chat.messages = {{"system", system}, {"user", fill_template(settings_.user, {{"passages", passages}, {"question", request.question}})}};
    STOA_TRY(tokens, generator_.count_prompt_tokens(chat));
    if (tokens > room) continue;
    chat.sources.clear();
    for (std::size_t i = 0; i < count; ++i) chat.sources.push_back(request.passages[i].document_id + "@" + request.passages[i].document_version);
    STOA_CHECK(add_history(chat, request.history, std::min<std::int64_t>(room, tokens + settings_.history_tokens)));
    return chat;
  }
  return fail(error(ErrorCode::kTooLarge, "the question leaves no room for passages within {} prompt tokens", room).with_hint("ask a shorter question"));
}

Status GenerativeAnswerer::add_history(ChatRequest& chat, const std::vector<ChatMessage>& history, std::int64_t room) const {
  // Whole turns, a question with its answer: chat templates want the roles to alternate.
  for (std::size_t i = history.size(); i >= 2; i -= 2) {
    const ChatMessage &question = history[i - 2], &answer = history[i - 1];
    if (question.role != "user" || answer.role != "assistant") break;
    const auto place = chat.messages.insert(chat.messages.begin() + 1, {question, answer});
    STOA_TRY(tokens, generator_.count_prompt_tokens(chat));
    if (tokens <= room) continue;
    chat.messages.erase(place, place + 2);
    break;
  }
  return {};
}

Result<GroundedAnswer> GenerativeAnswerer::answer(const Call& call, const GroundingRequest& request, const TextSink& sink) {
  Span span = call.span("grounding generative");
  STOA_TRY(evidence, Evidence::collect(call, embedder_, settings_, search_query(request.history, request.question), request.passages));
  span.set("stoa.grounding.relevance", evidence.relevance());
  if (evidence.relevance() < settings_.relevance) {
    STOA_TRY(nothing, quote_evidence(settings_, request, evidence, sink));
    nothing.usage.compute_micros = evidence.compute_micros();
    return std::move(nothing);
  }
  STOA_TRY(chat, pack(request, evidence));
  GroundedAnswer answer;
  answer.passages = request.passages;
  answer.mode = AnswerMode::kGenerative;
  CheckedStream stream(call, settings_, evidence, sink, answer);
  STOA_TRY(outcome, generator_.generate(call, chat, [&](const ChatDelta& delta) { return stream.add(delta.text); }));
  const auto tell = [&] {
    answer.usage = outcome.usage;
    answer.target = outcome.target;
    answer.also = outcome.also;
    answer.cache = outcome.cache;
    answer.usage.compute_micros += evidence.compute_micros();
  };
  if (outcome.finish == FinishReason::kError) {
    tell();
    answer.failure = outcome.failure ? *outcome.failure : error(ErrorCode::kInternal, "the model failed while generating");
    return answer;
  }
  if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the caller went away");
  stream.finish(outcome.finish == FinishReason::kLength);
  STOA_CHECK(stream.status());
  answer.answered = !answer.citations.empty();
  if (!answer.answered) {
    const int dropped = answer.dropped_sentences;
    STOA_TRY(quoted, quote_evidence(settings_, request, evidence, sink));
    answer = std::move(quoted);
    answer.dropped_sentences = dropped;
  }
  tell();
  span.set("stoa.grounding.citations", static_cast<std::int64_t>(answer.citations.size()));
  span.set("stoa.grounding.dropped_sentences", static_cast<std::int64_t>(answer.dropped_sentences));
  return answer;
}

}  // namespace stoa::gateway
