#include "models/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace stoa::models {
namespace {

using Clock = std::chrono::steady_clock;

// Tokens beyond its prompt that a request finds pages for when it is admitted.
constexpr int kAdmissionRoom = 64;
// How often a step-less engine looks at cancellation, deadlines and readers; everything else wakes it.
constexpr std::chrono::milliseconds kIdlePoll{5};

std::int64_t micros_between(SteadyTime from, SteadyTime to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

const std::vector<double> kFirstTokenBuckets = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10};
const std::vector<double> kPerTokenBuckets = {.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5};
const std::vector<double> kDurationBuckets = {.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};

}  // namespace

struct Scheduler::Instruments {
  Instruments(Metrics& m, const Labels& l)
      : queued(m.gauge("stoa_engine_queue_depth", "Requests waiting for a slot", l)),
        running(m.gauge("stoa_engine_running_requests", "Requests in a slot", l)),
        kv_used(m.gauge("stoa_engine_kv_used_bytes", "KV cache pages in use", l)),
        kv_size(m.gauge("stoa_engine_kv_size_bytes", "Size of the KV cache", l)),
        steps(m.counter("stoa_engine_steps_total", "Forward passes", l)),
        step_seconds(m.counter("stoa_engine_compute_seconds_total", "Time spent in forward passes and sampling", l)),
        prompt_tokens(m.counter("stoa_engine_prompt_tokens_total", "Prompt tokens computed", l)),
        generated_tokens(m.counter("stoa_engine_generated_tokens_total", "Tokens generated", l)),
        preemptions(m.counter("stoa_engine_preemptions_total", "Sequences that gave their KV pages back to be computed again", l)),
        rejected(m.counter("stoa_engine_rejected_requests_total", "Requests refused because the queue was full", l)),
        first_token(m.histogram("gen_ai_server_time_to_first_token_seconds", "From submission to the first token", kFirstTokenBuckets, l)),
        per_token(m.histogram("gen_ai_server_time_per_output_token_seconds", "Between tokens after the first, mean of a request", kPerTokenBuckets, l)),
        duration(m.histogram("gen_ai_server_request_duration_seconds", "From submission to the last token", kDurationBuckets, l)) {}

  Gauge &queued, &running, &kv_used, &kv_size;
  Counter &steps, &step_seconds, &prompt_tokens, &generated_tokens, &preemptions, &rejected;
  Histogram &first_token, &per_token, &duration;
};

struct Scheduler::Sequence {
  Sequence(Generation g, std::shared_ptr<Outbox> out)
      : request(std::move(g)), outbox(std::move(out)), tokens(request.prompt), sampler(request.sampling, request.seed, request.prompt),
        text(request.stop) {
    usage.prompt_tokens = static_cast<std::int64_t>(tokens.size());
  }

  int left() const { return static_cast<int>(tokens.size()) - computed; }
  int limit() const { return static_cast<int>(request.prompt.size()) + request.max_tokens; }

  Generation request;
  std::shared_ptr<Outbox> outbox;
  std::vector<std::int32_t> tokens;  // prompt and answer
  int computed = 0;                  // of them have keys and values in the pages
  std::vector<PageId> pages;
  Sampler sampler;
  TextStream text;
  Usage usage;
  double compute_micros = 0;
  SteadyTime submitted = Clock::now(), last_room = submitted;
  bool admitted = false, over = false;
};

Scheduler::Scheduler(Decoder& decoder, KvPool& pool, const Tokenizer& tokenizer, SchedulerOptions options, Metrics& metrics,
                     const std::string& model)
    : decoder_(decoder),
      pool_(pool),
      tokenizer_(tokenizer),
      options_(options),
      context_length_(static_cast<int>(std::min<std::int64_t>(decoder.config().context_length, std::int64_t{pool.pages()} * kPageTokens))),
      instruments_(std::make_unique<Instruments>(metrics, Labels{{"model", model}})) {
  instruments_->kv_size.set(static_cast<double>(pool.pages()) * static_cast<double>(pool.layout().page_bytes()));
  thread_ = std::thread([this] { run(); });
}

Scheduler::~Scheduler() { stop(std::chrono::milliseconds(0)); }

Result<std::shared_ptr<Outbox>> Scheduler::submit(Generation generation) {
  auto outbox = std::make_shared<Outbox>(static_cast<std::size_t>(options_.outbox), [this] {
    {
      std::lock_guard lock(mutex_);
      wake_ = true;
    }
    changed_.notify_one();
  });
  auto sequence = std::make_unique<Sequence>(std::move(generation), outbox);
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return fail(ErrorCode::kUnavailable, "the engine is shutting down");
    if (waiting_.size() >= static_cast<std::size_t>(options_.queue)) {
      instruments_->rejected.add();
      return fail(error(ErrorCode::kResourceExhausted, "{} requests wait for this model already", waiting_.size())
                      .with_hint("Try again in a few seconds, or give the engine a longer queue or more slots."));
    }
    waiting_.push_back(std::move(sequence));
    wake_ = true;
  }
  changed_.notify_one();
  return outbox;
}

void Scheduler::stop(std::chrono::milliseconds drain) {
  {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
    stopped_.wait_for(lock, drain, [&] { return done_; });
    abort_ = true;
    changed_.notify_one();
  }
  std::lock_guard join(join_);
  if (thread_.joinable()) thread_.join();
}

void Scheduler::run() {
  bool idle = true;
  while (wait_for_work(idle)) {
    drop_ended();
    admit();
    compose();
    idle = segments_.empty();
    if (!idle) step();
    publish_state();
  }
  close_all();
  publish_state();
  std::lock_guard lock(mutex_);
  done_ = true;
  stopped_.notify_all();
}

// False when the engine is to end.
bool Scheduler::wait_for_work(bool idle) {
  std::unique_lock lock(mutex_);
  const auto woken = [&] { return wake_ || stopping_ || abort_; };
  if (running_.empty() && waiting_.empty()) {
    changed_.wait(lock, woken);
  } else if (idle) {
    changed_.wait_for(lock, kIdlePoll, [&] { return wake_ || abort_; });
  }
  wake_ = false;
  return !abort_ && !(stopping_ && running_.empty() && waiting_.empty());
}

// Why a sequence must not go on, if it must not.
std::optional<Error> Scheduler::ended(Sequence& sequence) {
  const auto& request = sequence.request;
  if (request.cancel.cancelled() || sequence.outbox->abandoned()) return error(ErrorCode::kCancelled, "the caller cancelled the request");
  if (request.deadline.passed()) {
    return error(ErrorCode::kDeadlineExceeded, "the deadline passed {}",
                 sequence.admitted ? fmt::format("after {} generated tokens", sequence.usage.completion_tokens) : "while the request waited for a slot");
  }
  if (sequence.outbox->has_room()) {
    sequence.last_room = Clock::now();
  } else if (Clock::now() - sequence.last_room > options_.stall_limit) {
    return error(ErrorCode::kDeadlineExceeded, "the reader took no text for {} ms", options_.stall_limit.count());
  }
  return std::nullopt;
}

void Scheduler::drop_ended() {
  const auto end = [&](Sequence& sequence) {
    auto why = ended(sequence);
    if (!why) return false;
    // A request that was computed for comes back with its usage, so that it can be charged.
    if (why->code == ErrorCode::kCancelled && sequence.admitted) {
      finish(sequence, FinishReason::kCancelled);
    } else {
      finish(sequence, fail(std::move(*why)));
    }
    return true;
  };
  std::erase_if(running_, [&](const auto& sequence) { return end(*sequence); });
  std::lock_guard lock(mutex_);
  std::erase_if(waiting_, [&](const auto& sequence) { return end(*sequence); });
}

void Scheduler::admit() {
  std::lock_guard lock(mutex_);
  while (!waiting_.empty() && running_.size() < static_cast<std::size_t>(options_.slots)) {
    auto& next = *waiting_.front();
    const int room = std::min(static_cast<int>(next.tokens.size()) + kAdmissionRoom, next.limit());
    if (!pool_.allocate(pages_for(room), next.pages)) return;
    if (!next.admitted) next.usage.queue_micros = micros_between(next.submitted, Clock::now());
    next.admitted = true;
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

void Scheduler::compose() {
  segments_.clear();
  in_step_.clear();
  // Those that decode first. They are in order of admission and the victims of preemption are taken from the end, so a victim
  // is never part of this step already.
  for (std::size_t i = 0; i < running_.size(); ++i) {
    auto& sequence = *running_[i];
    if (sequence.left() != 1 || !sequence.outbox->has_room()) continue;
    const int need = pages_for(static_cast<int>(sequence.tokens.size())) - static_cast<int>(sequence.pages.size());
    while (need > 0 && i < running_.size() && !pool_.allocate(need, sequence.pages)) preempt_last();
    if (i < running_.size()) add_to_step(sequence, 1);
  }
  // Then prompts, first come, first served. Their pages were allocated at admission.
  int budget = segments_.empty() ? options_.step_tokens : options_.chunk_beside_decode;
  for (const auto& sequence : running_) {
    if (budget <= 0) break;
    if (sequence->left() <= 1 || !sequence->outbox->has_room()) continue;
    const int chunk = std::min(sequence->left(), budget);
    add_to_step(*sequence, chunk);
    budget -= chunk;
  }
}

void Scheduler::add_to_step(Sequence& sequence, int tokens) {
  in_step_.push_back(&sequence);
  segments_.push_back({.tokens = std::span(sequence.tokens).subspan(static_cast<std::size_t>(sequence.computed), static_cast<std::size_t>(tokens)),
                       .position = sequence.computed,
                       .pages = sequence.pages,
                       .wants_logits = tokens == sequence.left()});
}

void Scheduler::preempt_last() {
  auto victim = std::move(running_.back());
  running_.pop_back();
  release_pages(*victim);
  victim->computed = 0;
  instruments_->preemptions.add();
  std::lock_guard lock(mutex_);
  waiting_.push_front(std::move(victim));
}

void Scheduler::step() {
  const auto begin = Clock::now();
  const std::span<float> logits = decoder_.forward(segments_, pool_);
  const double micros = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();

  std::size_t total = 0;
  for (const auto& segment : segments_) total += segment.tokens.size();
  const auto vocabulary = static_cast<std::size_t>(decoder_.config().vocabulary);
  std::size_t row = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const auto count = segments_[i].tokens.size();
    const double share = micros * static_cast<double>(count) / static_cast<double>(total);
    const auto own = segments_[i].wants_logits ? logits.subspan(row++ * vocabulary, vocabulary) : std::span<float>{};
    // From here the segment's views may dangle: the sequence's tokens grow.
    advance(*in_step_[i], static_cast<int>(count), own, share);
  }
  std::erase_if(running_, [](const auto& sequence) { return sequence->over; });
  instruments_->steps.add();
  instruments_->step_seconds.add(std::chrono::duration<double>(Clock::now() - begin).count());
}

void Scheduler::advance(Sequence& sequence, int tokens, std::span<float> logits, double micros) {
  if (sequence.computed < static_cast<int>(sequence.request.prompt.size())) instruments_->prompt_tokens.add(tokens);
  sequence.computed += tokens;
  sequence.compute_micros += micros;
  if (logits.empty()) return;
  const auto begin = Clock::now();
  const auto reason = append_token(sequence, logits);
  sequence.compute_micros += std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  if (reason) finish(sequence, *reason);
}

// Samples the next token and streams its text; says why the answer is complete, if it is.
std::optional<FinishReason> Scheduler::append_token(Sequence& sequence, std::span<float> logits) {
  auto& request = sequence.request;
  const auto sampled = sequence.sampler.sample(logits);
  instruments_->generated_tokens.add();
  if (++sequence.usage.completion_tokens == 1) {
    sequence.usage.first_token_micros = micros_between(sequence.submitted, Clock::now());
    instruments_->first_token.observe(static_cast<double>(sequence.usage.first_token_micros) * 1e-6);
  }
  if (!request.ignore_eos && tokenizer_.is_end_of_generation(sampled.token)) return FinishReason::kStop;

  sequence.sampler.accept(sampled.token);
  sequence.tokens.push_back(sampled.token);
  const std::string bytes = tokenizer_.token_bytes(sampled.token);
  ChatDelta delta;
  bool stopped = false;
  if (request.sampling.logprobs >= 0) {
    TokenLogprob logprob{.token = sampled.token, .text = bytes, .logprob = sampled.logprob, .top = {}};
    for (const auto& chance : sampled.top) logprob.top.emplace_back(tokenizer_.token_bytes(chance.token, true), chance.logprob);
    stopped = sequence.text.push(bytes, &logprob, delta);
  } else {
    stopped = sequence.text.push(bytes, nullptr, delta);
  }
  if (!delta.text.empty() || !delta.logprobs.empty()) sequence.outbox->push(std::move(delta));
  if (stopped) return FinishReason::kStop;
  if (sequence.usage.completion_tokens >= request.max_tokens) return FinishReason::kLength;
  return std::nullopt;
}

void Scheduler::release_pages(Sequence& sequence) {
  for (const PageId page : sequence.pages) pool_.release(page);
  sequence.pages.clear();
}

// Ends the stream; the caller takes the sequence out of its list.
void Scheduler::finish(Sequence& sequence, Result<FinishReason> reason) {
  release_pages(sequence);
  sequence.over = true;
  auto& usage = sequence.usage;
  usage.compute_micros = static_cast<std::int64_t>(sequence.compute_micros);
  usage.total_micros = micros_between(sequence.submitted, Clock::now());
  if (!reason) {
    sequence.outbox->close(fail(std::move(reason.error())));
    return;
  }
  if (*reason == FinishReason::kStop || *reason == FinishReason::kLength) {
    ChatDelta rest;
    sequence.text.finish(rest);
    if (!rest.text.empty() || !rest.logprobs.empty()) sequence.outbox->push(std::move(rest));
    instruments_->duration.observe(static_cast<double>(usage.total_micros) * 1e-6);
    if (usage.completion_tokens > 1) {
      const auto decoding = static_cast<double>(usage.total_micros - usage.first_token_micros);
      instruments_->per_token.observe(decoding * 1e-6 / static_cast<double>(usage.completion_tokens - 1));
    }
  }
  sequence.outbox->close(ChatOutcome{.finish = *reason, .usage = usage});
}

void Scheduler::close_all() {
  const auto why = [] { return fail(ErrorCode::kUnavailable, "the engine is shutting down"); };
  for (const auto& sequence : running_) finish(*sequence, why());
  running_.clear();
  std::lock_guard lock(mutex_);
  for (const auto& sequence : waiting_) finish(*sequence, why());
  waiting_.clear();
}

void Scheduler::publish_state() {
  std::size_t queued = 0;
  {
    std::lock_guard lock(mutex_);
    queued = waiting_.size();
  }
  instruments_->queued.set(static_cast<double>(queued));
  instruments_->running.set(static_cast<double>(running_.size()));
  instruments_->kv_used.set(static_cast<double>(pool_.used_pages()) * static_cast<double>(pool_.layout().page_bytes()));
}

}  // namespace stoa::models
