#include "gateway/grounding/generative.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "gateway/grounding/extractive.h"

namespace stoa::gateway {
namespace {

// Takes the stream of a generator apart into sentences, and lets through those that the evidence supports.
class CheckedStream {
 public:
  CheckedStream(const Call& call, const GroundingSettings& settings, const Evidence& evidence, const AsideModel& judge, const TextSink& sink, GroundedAnswer& answer)
      : call_(call), settings_(settings), evidence_(evidence), judge_(judge), sink_(sink), answer_(answer) {}

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
      const bool open = i + 1 == sentences.size() && cut_off && !is_ended(sentences[i].in(pending_));
      if (open || stopped_ || !take(sentences[i].in(pending_))) break;
    }
  }

  const Status& status() const { return status_; }
  std::vector<ChatCharge> take_charges() { return std::move(judging_); }

 private:
  static constexpr std::size_t kMaxPending = 8192;

  bool stop() {
    stopped_ = true;
    return false;
  }

  bool take(std::string_view sentence) {
    if (stopped_) return false;
    const auto words = content_words(sentence);
    if (!seen_.emplace(is_negated(sentence, settings_.negations, language_of(sentence)), words).second && !words.empty()) return stop();  // small models loop
    auto supports = evidence_.support(call_, sentence);
    if (!supports) {
      status_ = std::unexpected(std::move(supports).error());
      return stop();
    }
    const bool judged = supports->doubtful && judge_support(call_, settings_, judge_, sentence, evidence_.text(supports->doubtful->sentence), judging_);
    if (judged) supports->found.push_back(*supports->doubtful);
    if (!supports->found.empty()) return say(sentence, supports->found, judged);
    if (words.empty()) return true;
    if (settings_.flag_unsupported) return say(sentence, {}, false);
    ++answer_.dropped_sentences;
    return answer_.dropped_sentences < settings_.max_sentences || stop();
  }

  // Sends a sentence with what supports it.
  bool say(std::string_view sentence, const std::vector<Support>& supports, bool judged) {
    const std::string piece = (answer_.text.empty() ? "" : " ") + std::string(sentence);
    const std::size_t end = answer_.text.size() + piece.size(), begin = end - sentence.size();
    for (const Support& support : supports) {
      answer_.citations.push_back(cite(evidence_, support, {begin, end}));
      answer_.citations.back().judged = judged;
    }
    const auto given = std::span<const Citation>(answer_.citations).last(supports.size());
    if (supports.empty()) answer_.unsupported.push_back({begin, end});
    answer_.text += piece;
    if (!sink_({piece, given})) {
      status_ = fail(ErrorCode::kCancelled, "the caller stopped the answer");
      return stop();
    }
    return ++said_ < settings_.max_sentences || stop();
  }

  const Call& call_;
  const GroundingSettings& settings_;
  const Evidence& evidence_;
  const AsideModel& judge_;
  const TextSink& sink_;
  GroundedAnswer& answer_;
  std::vector<ChatCharge> judging_;
  std::string pending_;
  int said_ = 0;  // sentences
  std::set<std::pair<bool, std::set<std::string>>> seen_;  // negated or not, and what it speaks of
  Status status_;
  bool stopped_ = false;
};

}  // namespace

std::string GenerativeAnswerer::written(const GroundingRequest& request, const std::vector<PackedPassage>& packed) const {
  std::string passages;
  for (const PackedPassage& item : packed) {
    const Passage& passage = request.passages[item.passage];
    passages += fill_template(settings_.passage, {{"number", std::to_string(item.passage + 1)},
                                                  {"title", passage.title},
                                                  {"section", fmt::format("{}", fmt::join(passage.section, " > "))},
                                                  {"text", item.text()}});
  }
  return fill_template(settings_.user, {{"passages", passages}, {"question", request.question}});
}

Result<ChatRequest> GenerativeAnswerer::pack(const GroundingRequest& request, const Evidence& evidence) const {
  ChatRequest chat = request.options;
  chat.max_tokens = chat.max_tokens > 0 ? std::min(chat.max_tokens, settings_.answer_tokens) : settings_.answer_tokens;
  chat.prompt.clear();
  const std::int64_t room = std::min<std::int64_t>(settings_.prompt_tokens, generator_.context_length() - chat.max_tokens);
  const std::string system = request.instructions.empty() ? settings_.system : settings_.system + "\n" + request.instructions;
  const auto fits = [&](const std::vector<PackedPassage>& packed) -> Result<bool> {
    chat.messages = {{"system", system}, {"user", written(request, packed)}};
    STOA_TRY(tokens, generator_.count_prompt_tokens(chat));
    return tokens <= room;
  };
  for (std::size_t count = std::min(request.passages.size(), static_cast<std::size_t>(settings_.max_passages)); count > 0; --count) {
    auto packed = pack_passages(evidence, request.passages, count, static_cast<std::size_t>(settings_.passage_bytes));
    STOA_TRY(fitting, fits(packed));
    if (!fitting) continue;
    STOA_CHECK(grow_passages(packed, static_cast<std::size_t>(settings_.section_bytes), fits));
    STOA_CHECK(fits(packed));  // words the prompt again: the last that was tried may not have fitted
    chat.sources.clear();
    for (const PackedPassage& item : packed) {
      const Passage& passage = request.passages[item.passage];
      if (!passage.document_id.empty()) chat.sources.push_back(passage.document_id + "@" + passage.document_version);
    }
    STOA_TRY(tokens, generator_.count_prompt_tokens(chat));
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
  STOA_TRY(evidence, Evidence::collect(call, embedder_, settings_, compared_with(request), request.passages));
  span.set("stoa.grounding.relevance", evidence.relevance());
  if (!evidence.answers()) {
    STOA_TRY(nothing, quote_evidence(settings_, request, evidence, sink));
    nothing.usage.compute_micros = evidence.compute_micros();
    return std::move(nothing);
  }
  STOA_TRY(chat, pack(request, evidence));
  GroundedAnswer answer;
  answer.passages = request.passages;
  answer.mode = AnswerMode::kGenerative;
  CheckedStream stream(call, settings_, evidence, judge_, sink, answer);
  STOA_TRY(outcome, generator_.generate(call, chat, [&](const ChatDelta& delta) { return stream.add(delta.text); }));
  const auto tell = [&] {
    answer.usage = outcome.usage;
    answer.target = outcome.target;
    answer.also = outcome.also;
    std::ranges::move(stream.take_charges(), std::back_inserter(answer.also));
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
  answer.answered = !answer.text.empty();
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
