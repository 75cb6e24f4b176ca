#include "gateway/cache/cached_generator.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "gateway/cache/request_key.h"

namespace stoa::gateway {
namespace {

constexpr int kMaxBoardings = 3;  // behind leaders that went away; then it is generated without sharing

std::int64_t micros_since(SteadyTime start) { return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count(); }

bool complete(const ChatOutcome& outcome) {
  return !outcome.failure && (outcome.finish == FinishReason::kStop || outcome.finish == FinishReason::kToolCalls || outcome.finish == FinishReason::kLength);
}

}  // namespace

// One request on its way through.
struct CachedGenerator::Asked {
  const Call& call;
  const ChatRequest& request;
  const models::DeltaSink& sink;
  SteadyTime start;
  KeyContext context;
  std::string key;
  std::uint64_t purges = 0;
  std::optional<AskedQuestion> question;
};

std::size_t CachedGenerator::alternative_of(const std::string& key) {
  std::lock_guard lock(mutex_);
  return asked_[key]++;
}

// An answer of a route is kept for those who may use the same of its targets.
std::string CachedGenerator::served_for(const Call& call) const {
  std::string served = served_;
  for (const std::string& target : inner_->targets())
    if (!cache_.parts_.permits || cache_.parts_.permits(call, target)) served += "\n" + target;
  return served;
}

void CachedGenerator::note(const Asked& asked, std::string_view kind, std::string_view source, double similarity) const {
  if (use_.note == nullptr) return;
  if (kind.empty())
    use_.note->missed(asked.key);
  else
    use_.note->found(asked.key, {std::string(kind), std::string(source), similarity});
}

std::optional<AskedQuestion> CachedGenerator::question_of(const Asked& asked, std::int64_t& compute_micros) const {
  data::Embedder* embedder = cache_.parts_.embedder;
  if (!settings_->semantic || embedder == nullptr) return std::nullopt;
  auto frame = frame_key(asked.request, asked.context);
  if (!frame) return std::nullopt;
  const std::string& text = asked.request.messages.back().content;
  // A text that the embedder cuts would be like every other that begins alike.
  if (text.size() + 2 > static_cast<std::size_t>(embedder->max_tokens())) {
    const auto tokens = embedder->count_tokens(text);
    if (!tokens || *tokens > embedder->max_tokens()) return std::nullopt;
  }
  auto embedded = embedder->embed(asked.call, std::span(&text, 1));
  if (!embedded) {
    log_error("a question was not compared with others", embedded.error());
    return std::nullopt;
  }
  compute_micros += embedded->compute_micros;
  return AskedQuestion{std::move(*frame), std::move(embedded->values), numbers_in(text)};
}

Result<ChatOutcome> CachedGenerator::replay(const Asked& asked, const ProjectCache::Found& found, std::string_view kind) const {
  cache_.count(*kept_, kind == "exact" ? ProjectCache::Counted::kHit : ProjectCache::Counted::kSemantic);
  note(asked, kind, found.answer->source, found.similarity);
  ChatOutcome outcome = found.answer->outcome;
  outcome.cache = CacheHit{std::string(kind), found.answer->source, found.similarity};
  outcome.usage.queue_micros = 0;
  outcome.usage.first_token_micros = micros_since(asked.start);
  for (const ChatDelta& piece : found.answer->pieces)
    if (asked.call.cancel.cancelled() || !asked.sink(piece)) {
      outcome.finish = FinishReason::kCancelled;
      break;
    }
  outcome.usage.total_micros = micros_since(asked.start);
  return outcome;
}

Result<ChatOutcome> CachedGenerator::generate_and_keep(Asked& asked, const Call& call, const models::DeltaSink& sink) {
  AnswerRecorder recorder(std::min<std::size_t>(Flight::kMaxBytes, static_cast<std::size_t>(settings_->max_bytes)));
  auto outcome = inner_->generate(call, asked.request, [&](const ChatDelta& delta) {
    recorder.add(delta);
    return sink(delta);
  });
  if (!outcome || !complete(*outcome) || !recorder.whole() || !use_.write || !cache_.has_room()) return outcome;
  CachedAnswer answer{.pieces = std::move(recorder).take(), .outcome = *outcome, .source = asked.call.request_id, .model = asked.request.model, .tags = asked.call.origin.tags,
                      .documents = documents_of(asked.request)};
  answer.outcome.also.clear();
  kept_->put(asked.key, std::move(answer), std::move(asked.question), *settings_, cache_.parts_.clock.now(), asked.purges);
  return outcome;
}

// Goes on for those who follow when this caller goes away.
Result<ChatOutcome> CachedGenerator::lead(Asked& asked, const std::string& boarded, const std::shared_ptr<Flight>& flight) {
  Call call = asked.call;
  call.cancel = flight->token();
  bool here = true;
  auto outcome = generate_and_keep(asked, call, [&](const ChatDelta& delta) {
    const bool followed = flight->add(delta);
    if (here && (asked.call.cancel.cancelled() || !asked.sink(delta))) here = false;
    return here || followed || !flight->close_if_alone();
  });
  flight->end(outcome);
  cache_.flights_.land(boarded, flight);
  if (outcome && !here) outcome->finish = FinishReason::kCancelled;
  return outcome;
}

Result<ChatOutcome> CachedGenerator::generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) {
  if (!settings_->covers(request) || (!use_.read && !use_.write)) return inner_->generate(call, request, sink);
  const std::string served = served_for(call);
  Asked asked{.call = call, .request = request, .sink = sink, .start = std::chrono::steady_clock::now(), .context = {}, .key = {}, .question = {}};
  asked.context = {.project = call.principal.project, .served = served, .origin = inner_->targets().empty() ? nullptr : &call.origin};
  asked.key = request_key(request, asked.context);
  if (const std::size_t alternative = alternative_of(asked.key); alternative > 0) {
    asked.context.alternative = alternative;
    asked.key = request_key(request, asked.context);
  }
  asked.purges = kept_->purges();
  const Micros now = cache_.parts_.clock.now();
  if (use_.read)
    if (const auto found = kept_->find(asked.key, now); found.answer != nullptr) return replay(asked, found, "exact");
  std::int64_t compared = 0;
  asked.question = question_of(asked, compared);
  if (use_.read && asked.question)
    if (const auto found = kept_->find_like(*asked.question, settings_->semantic->threshold, now); found.answer != nullptr) return replay(asked, found, "semantic");

  const std::string boarding = asked.key + (request.whole ? " whole" : "");
  for (int i = 0; settings_->share && use_.read && i < kMaxBoardings; ++i) {
    const auto [flight, leads] = cache_.flights_.board(boarding, call);
    if (flight == nullptr) break;
    if (leads) {
      if (const auto found = kept_->find(asked.key, now); found.answer != nullptr) {  // of one that landed just now
        flight->end(fail(ErrorCode::kCancelled, "it was made already"));
        cache_.flights_.land(boarding, flight);
        return replay(asked, found, "exact");
      }
      cache_.count(*kept_, ProjectCache::Counted::kMiss);
      note(asked, "", "", 1);
      auto outcome = lead(asked, boarding, flight);
      if (outcome) outcome->usage.compute_micros += compared;
      return outcome;
    }
    note(asked, "shared", flight->source(), 1);
    auto outcome = flight->follow(call, sink);
    if (!outcome) continue;
    cache_.count(*kept_, ProjectCache::Counted::kShared);
    if (!*outcome) return std::move(*outcome);
    ChatOutcome& shared = **outcome;
    if (shared.finish == FinishReason::kCancelled && shared.usage.prompt_tokens == 0) shared.usage.prompt_tokens = inner_->count_prompt_tokens(request).value_or(0);
    shared.cache = CacheHit{"shared", flight->source(), 1};
    shared.also.clear();
    shared.usage.total_micros = micros_since(asked.start);
    return std::move(*outcome);
  }
  cache_.count(*kept_, ProjectCache::Counted::kMiss);
  note(asked, "", "", 1);
  auto outcome = generate_and_keep(asked, call, sink);
  if (outcome) outcome->usage.compute_micros += compared;
  return outcome;
}

}  // namespace stoa::gateway
