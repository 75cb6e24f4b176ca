#include "models/engine/scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace stoa::models {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Tokens beyond its prompt that a request finds pages for when it is admitted.
constexpr int kAdmissionRoom = 64;
// How often a step-less engine looks at cancellation, deadlines and readers; everything else wakes it.
constexpr std::chrono::milliseconds kIdlePoll{5};
constexpr double kLongestRetrySeconds = 60;

double seconds_between(SteadyTime from, SteadyTime to) { return std::chrono::duration<double>(to - from).count(); }
std::int64_t micros_between(SteadyTime from, SteadyTime to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

int retry_seconds(double estimate) { return static_cast<int>(std::clamp(std::ceil(estimate), 1.0, kLongestRetrySeconds)); }

}  // namespace

Scheduler::Scheduler(Decoder& decoder, KvPool& pool, const Tokenizer& tokenizer, SchedulerOptions options, Metrics& metrics,
                     const std::string& model, std::optional<DraftModel> draft_model)
    : decoder_(decoder),
      pool_(pool),
      tokenizer_(tokenizer),
      options_(options),
      context_length_(static_cast<int>(std::min<std::int64_t>(decoder.config().context_length, std::int64_t{pool.pages()} * kPageTokens))),
      metrics_(metrics, model),
      estimate_(options.slots),
      cache_(pool, static_cast<int>(std::clamp(options.cached_share, 0.0, 1.0) * pool.pages()), decoder.config().window()),
      budget_(options.step_target, options.step_tokens),
      draft_model_(draft_model) {
  metrics_.kv_size.set(static_cast<double>(pool.pages()) * static_cast<double>(pool.layout().page_bytes()));
  thread_ = std::thread([this] { run(); });
}

Scheduler::~Scheduler() { stop(std::chrono::milliseconds(0)); }

Result<std::shared_ptr<Outbox>> Scheduler::submit(Generation generation) {
  const std::int64_t tokens = static_cast<std::int64_t>(generation.prompt.size()) + generation.max_tokens;
  if (tokens > context_length_) {
    return fail(error(ErrorCode::kTooLarge, "prompt ({} tokens) and answer (up to {}) need {} tokens, but a request has room for {}",
                      generation.prompt.size(), generation.max_tokens, tokens, context_length_)
                    .with_hint("Shorten the prompt, lower max_tokens, or give the engine more KV memory."));
  }
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
    STOA_CHECK(make_way(sequence->request));
    shares_.enter(sequence->request.tenant);
    waiting_.push(std::move(sequence));
    wake_ = true;
  }
  changed_.notify_one();
  return outbox;
}

// Whether a request may join the queue, which may cost another its place. mutex_ is held.
Status Scheduler::make_way(const Generation& generation) {
  const double wait = estimate_.seconds(waiting_.ahead_of(generation.tenant, generation.priority), options_.slots - occupied_);
  if (generation.deadline.at != SteadyTime::max()) {
    const double left = seconds_between(SteadyClock::now(), generation.deadline.at);
    if (wait > 0 && wait > left) {
      metrics_.refused_deadline.add();
      return fail(error(ErrorCode::kUnavailable, "a slot is free in about {:.1f} s, but the request has to be done in {:.1f} s", wait, left)
                      .with_hint("Try again later, or give the request more time.")
                      .with_retry_after(retry_seconds(wait - left)));
    }
  }
  const double limit = std::chrono::duration<double>(options_.max_wait).count();
  if (wait > limit) {
    metrics_.refused_wait.add();
    return fail(error(ErrorCode::kResourceExhausted, "a slot is free in about {:.1f} s, and requests wait at most {:.1f} s", wait, limit)
                    .with_hint("Try again later, or give the engine more slots.")
                    .with_retry_after(retry_seconds(wait - limit)));
  }
  if (waiting_.size() < static_cast<std::size_t>(options_.queue)) return {};
  const auto full = [&] {
    return error(ErrorCode::kResourceExhausted, "{} requests wait for this model already", waiting_.size())
        .with_hint("Try again in a few seconds, or give the engine a longer queue or more slots.")
        .with_retry_after(retry_seconds(estimate_.seconds(0, 0)));
  };
  const auto displaced = waiting_.displace_for(generation.tenant, generation.priority);
  if (displaced == nullptr) {
    metrics_.refused_full.add();
    return fail(full());
  }
  metrics_.displaced.add();
  shares_.leave(displaced->request.tenant);
  displaced->outbox->close(fail(full()));
  return {};
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
    unpark();
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
  if (running_.empty() && waiting_.empty() && parked_.empty()) {
    changed_.wait(lock, woken);
  } else if (idle) {
    changed_.wait_for(lock, kIdlePoll, [&] { return wake_ || abort_; });
  }
  wake_ = false;
  return !abort_ && !(stopping_ && running_.empty() && waiting_.empty() && parked_.empty());
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
    sequence.last_room = SteadyClock::now();
  } else if (SteadyClock::now() - sequence.last_room > options_.stall_limit) {
    return error(ErrorCode::kDeadlineExceeded, "the reader took no text for {} ms", options_.stall_limit.count());
  }
  return std::nullopt;
}

void Scheduler::drop_ended() {
  const auto drop = [&](const auto& sequence) {
    auto why = ended(*sequence);
    if (why) end_early(*sequence, std::move(*why));
    return sequence->over;
  };
  std::erase_if(running_, drop);
  std::erase_if(parked_, drop);
  std::vector<WaitQueue::Item> over;
  std::vector<Error> reasons;
  {
    std::lock_guard lock(mutex_);
    over = waiting_.take_if([&](Sequence& sequence) {
      auto why = ended(sequence);
      if (why) reasons.push_back(std::move(*why));
      return why.has_value();
    });
  }
  for (std::size_t i = 0; i < over.size(); ++i) end_early(*over[i], std::move(reasons[i]));
}

// A cancelled request that was computed for comes back with its usage, so that it can be charged.
void Scheduler::end_early(Sequence& sequence, Error why) {
  if (why.code == ErrorCode::kCancelled && sequence.admitted) {
    finish(sequence, FinishReason::kCancelled);
  } else {
    finish(sequence, fail(std::move(why)));
  }
}

void Scheduler::admit() {
  std::lock_guard lock(mutex_);
  while (!waiting_.empty()) {
    auto& next = waiting_.next(shares_);
    if (running_.size() >= static_cast<std::size_t>(options_.slots) || !take_pages(next)) {
      if (park_unread()) continue;
      if (running_.empty() || running_.back()->request.priority >= next.request.priority) return;
      preempt_last();
      continue;
    }
    auto sequence = waiting_.take_next(shares_);
    if (!std::exchange(sequence->admitted, true)) {
      sequence->admitted_at = SteadyClock::now();
      sequence->usage.queue_micros = micros_between(sequence->submitted, sequence->admitted_at);
      metrics_.queue_seconds.observe(static_cast<double>(sequence->usage.queue_micros) * 1e-6);
      metrics_.prompt_admitted.add(sequence->size());
      metrics_.prefix_queries.add(sequence->size());
      // At once, so that of several free slots each goes to the tenant whose turn it is then.
      shares_.charge(sequence->request.tenant, FairShare::kPromptToken * sequence->left());
    }
    count_found(*sequence);
    const auto behind = std::ranges::upper_bound(running_, -sequence->request.priority, {}, [](const auto& s) { return -s->request.priority; });
    running_.insert(behind, std::move(sequence));
  }
}

// The pages a sequence needs to begin with: those the cache has, and new ones. All or none.
bool Scheduler::take_pages(Sequence& sequence) {
  // One token at least is computed: its logits say what comes next.
  cache_.follow(sequence.cache_salt, sequence.cached, std::span(sequence.tokens).first(sequence.tokens.size() - 1), sequence.pages);
  const int room = std::min(sequence.size() + kAdmissionRoom, sequence.limit());
  if (!cache_.allocate(pages_for(room) - static_cast<int>(sequence.pages.size()), sequence.pages)) {
    release_pages(sequence);
    return false;
  }
  sequence.computed = sequence.cached.tokens();
  return true;
}

// Prompt tokens that the cache has spared this request, each once, however often it is preempted.
void Scheduler::count_found(Sequence& sequence) {
  const int found = std::min(sequence.computed, static_cast<int>(sequence.request.prompt.size())) - sequence.accounted;
  if (found <= 0) return;
  sequence.accounted += found;
  sequence.usage.cached_tokens += found;
  metrics_.prefix_hits.add(found);
}

// The pages stay in the prefix cache until someone needs them, so most of the work is found again. mutex_ is held.
void Scheduler::preempt_last() {
  auto victim = std::move(running_.back());
  running_.pop_back();
  release_pages(*victim);
  metrics_.preemptions.add();
  waiting_.push(std::move(victim));
}

// Takes the slot of one whose reader does not keep up, if there is one. Its pages will be found in the cache, or computed again.
bool Scheduler::park_unread() {
  const auto unread = std::ranges::find_if(running_, [&](const auto& s) { return !s->outbox->has_room() && SteadyClock::now() - s->last_room > options_.reader_patience; });
  if (unread == running_.end()) return false;
  release_pages(**unread);
  metrics_.preemptions.add();
  parked_.push_back(std::move(*unread));
  running_.erase(unread);
  return true;
}

void Scheduler::unpark() {
  std::lock_guard lock(mutex_);
  for (auto& sequence : parked_)
    if (sequence->outbox->has_room()) waiting_.push(std::move(sequence));
  std::erase(parked_, nullptr);
}

void Scheduler::release_pages(Sequence& sequence) {
  sequence.computed = 0;
  if (draft_model_) draft_model_->release(sequence.drafter);
  if (sequence.pages.empty()) return;
  cache_.touch(sequence.cached);
  for (const PageId page : sequence.pages) {
    if (page != kNoPage) pool_.release(page);
  }
  sequence.pages.clear();
  sequence.passed = 0;
  sequence.cached = {};
  cache_.trim();
  if (pool_.used_pages() == 0) pool_.return_memory();
}

// Where every layer has a window, pages behind it are for whoever needs them.
void Scheduler::release_passed_pages(Sequence& sequence) {
  for (const int needed = cache_.first_needed(sequence.computed); sequence.passed < needed; ++sequence.passed) {
    const PageId page = std::exchange(sequence.pages[static_cast<std::size_t>(sequence.passed)], kNoPage);
    if (page != kNoPage) pool_.release(page);
  }
}

// Ends the stream; the caller takes the sequence out of its list.
void Scheduler::finish(Sequence& sequence, Result<FinishReason> reason) {
  release_pages(sequence);
  sequence.over = true;
  const auto now = SteadyClock::now();
  {
    std::lock_guard lock(mutex_);
    shares_.leave(sequence.request.tenant);
    if (sequence.admitted) estimate_.finished(seconds_between(sequence.admitted_at, now));
  }
  auto& usage = sequence.usage;
  usage.compute_micros = static_cast<std::int64_t>(sequence.compute_micros);
  usage.total_micros = micros_between(sequence.submitted, now);
  if (!reason) {
    sequence.outbox->close(fail(std::move(reason.error())));
    return;
  }
  auto& ended = *reason == FinishReason::kStop ? metrics_.ended_stop : *reason == FinishReason::kLength ? metrics_.ended_length : metrics_.ended_cancelled;
  ended.add();
  if (*reason == FinishReason::kStop || *reason == FinishReason::kLength) {
    ChatDelta rest;
    sequence.text.finish(rest);
    if (!rest.text.empty() || !rest.logprobs.empty()) sequence.outbox->push(std::move(rest));
    metrics_.duration.observe(static_cast<double>(usage.total_micros) * 1e-6);
    if (usage.completion_tokens > 1) {
      const auto decoding = static_cast<double>(usage.total_micros - usage.first_token_micros);
      metrics_.per_token.observe(decoding * 1e-6 / static_cast<double>(usage.completion_tokens - 1));
    }
  }
  sequence.outbox->close(ChatOutcome{.finish = *reason, .usage = usage, .stop = sequence.text.stopped_by()});
}

void Scheduler::close_all() {
  std::vector<WaitQueue::Item> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting = waiting_.take_if([](Sequence&) { return true; });
  }
  const auto why = [] { return fail(ErrorCode::kUnavailable, "the engine is shutting down"); };
  for (const auto& sequence : running_) finish(*sequence, why());
  for (const auto& sequence : waiting) finish(*sequence, why());
  for (const auto& sequence : parked_) finish(*sequence, why());
  running_.clear();
  parked_.clear();
}

void Scheduler::publish_state() {
  std::size_t queued = 0;
  {
    std::lock_guard lock(mutex_);
    queued = waiting_.size();
    occupied_ = static_cast<int>(running_.size());
  }
  const auto page_bytes = static_cast<double>(pool_.layout().page_bytes());
  metrics_.queued.set(static_cast<double>(queued));
  metrics_.running.set(static_cast<double>(running_.size()));
  metrics_.kv_used.set(pool_.used_pages() * page_bytes);
  metrics_.kv_cached.set(pool_.cached_pages() * page_bytes);
  metrics_.kv_share.set(static_cast<double>(pool_.used_pages()) / pool_.pages());
}

}  // namespace stoa::models
