// The part of the scheduler that computes: what goes into a step, the step, and what follows from its logits.
#include "models/engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace stoa::models {
namespace {

using SteadyClock = std::chrono::steady_clock;

double micros_since(SteadyTime begin) { return std::chrono::duration<double, std::micro>(SteadyClock::now() - begin).count(); }

}  // namespace

void Scheduler::compose() {
  segments_.clear();
  in_step_.clear();
  add_decoding();
  decoding_in_step_ = in_step_.size();
  add_prompts(decoding_in_step_ == 0 ? options_.step_tokens : budget_.chunk());
}

// Victims of preemption are taken from the end of running_, so a victim is never part of this step already.
void Scheduler::add_decoding() {
  const auto ready = [](const auto& sequence) { return sequence->left() == 1 && sequence->outbox->has_room(); };
  const auto sequences = static_cast<int>(std::ranges::count_if(running_, ready));
  const int guesses = sequences == 0 ? 0 : options_.guess_rows / sequences - 1;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (!ready(running_[i])) continue;
    auto& sequence = *running_[i];
    const int need = pages_for(sequence.size()) - static_cast<int>(sequence.pages.size());
    while (need > 0 && i < running_.size() && !cache_.allocate(need, sequence.pages)) {
      std::lock_guard lock(mutex_);
      preempt_last();
    }
    if (i >= running_.size()) return;
    sequence.trial.assign(1, sequence.tokens.back());
    if (guesses > 0) draft(sequence, guesses);
    add_to_step(sequence, sequence.trial, static_cast<int>(sequence.trial.size()));
  }
}

// Appends at most so many guesses to the sequence's trial.
void Scheduler::draft(Sequence& sequence, int most) {
  const auto begin = SteadyClock::now();
  guess(sequence, std::min(most, sequence.limit() - sequence.size() - 1));
  sequence.compute_micros += micros_since(begin);
  if (sequence.trial.size() == 1) {
    sequence.drafts.skipped();
    return;
  }
  // Pages for guesses are taken where they are to be had: nobody is preempted for them.
  const int need = pages_for(sequence.computed + static_cast<int>(sequence.trial.size())) - static_cast<int>(sequence.pages.size());
  if (need > 0 && !cache_.allocate(need, sequence.pages)) {
    sequence.trial.resize(sequence.pages.size() * kPageTokens - static_cast<std::size_t>(sequence.computed));
  }
}

// What a constraint prescribes is the surest guess; the rest of an object's keys, say. It is checked like any other, since other tokens may
// spell the same text and the model has its own view of which. Guesses that a constraint forbids are not worth a row.
void Scheduler::guess(Sequence& sequence, int most) {
  auto& trial = sequence.trial;
  sequence.forced = false;
  if (most <= 0) return;
  if (sequence.matcher) {
    const auto certain = sequence.matcher->forced_tokens(tokenizer_);
    sequence.forced = !certain.empty();
    trial.insert(trial.end(), certain.begin(), certain.begin() + std::min<std::ptrdiff_t>(most, std::ssize(certain)));
    if (sequence.forced) return;
  }
  const int want = sequence.drafts.want(std::min(most, GrammarMatcher::kMaxRollback));
  if (want <= 0) return;
  look_up_draft(sequence.tokens, want, trial);
  if (draft_model_ && trial.size() == 1) draft_model_->guess(sequence.drafter, sequence.tokens, want, trial);
  if (!sequence.matcher) return;
  std::size_t fit = 1;
  while (fit < trial.size() && sequence.matcher->accept(trial[fit])) ++fit;
  // As many as were accepted a moment ago: this cannot fail.
  static_cast<void>(sequence.matcher->rollback(static_cast<int>(fit) - 1));
  trial.resize(fit);
}

// Prompts, first come, first served. Their pages were allocated at admission.
void Scheduler::add_prompts(int budget) {
  for (const auto& item : running_) {
    if (budget <= 0) return;
    auto& sequence = *item;
    if (sequence.left() <= 1 || !sequence.outbox->has_room()) continue;
    // What others have computed since the last step need not be computed again.
    if (sequence.computed == sequence.cached.tokens() &&
        cache_.follow(sequence.cache_salt, sequence.cached, std::span(sequence.tokens).first(sequence.tokens.size() - 1), sequence.pages) > 0) {
      sequence.computed = sequence.cached.tokens();
      count_found(sequence);
    }
    if (another_computes_next_page(sequence)) continue;
    const int chunk = std::min(sequence.left(), budget);
    add_to_step(sequence, std::span(sequence.tokens).subspan(static_cast<std::size_t>(sequence.computed), static_cast<std::size_t>(chunk)),
                chunk == sequence.left() ? 1 : 0);
    budget -= chunk;
  }
}

// Then this one waits, and finds the page in the cache: several answers to one prompt compute it once.
bool Scheduler::another_computes_next_page(const Sequence& sequence) const {
  const auto begin = static_cast<std::size_t>(sequence.cached.tokens());
  if (!cache_.enabled() || sequence.computed != sequence.cached.tokens() || sequence.tokens.size() <= begin + kPageTokens) return false;
  const auto page = [begin](const Sequence& s) { return std::span(s.tokens).subspan(begin, kPageTokens); };
  return std::any_of(in_step_.begin() + static_cast<std::ptrdiff_t>(decoding_in_step_), in_step_.end(), [&](const Sequence* other) {
    return other->cached == sequence.cached && other->cache_salt == sequence.cache_salt && other->tokens.size() >= begin + kPageTokens &&
           std::ranges::equal(page(*other), page(sequence));
  });
}

void Scheduler::add_to_step(Sequence& sequence, std::span<const std::int32_t> tokens, int logit_rows) {
  in_step_.push_back(&sequence);
  segments_.push_back({.tokens = tokens, .position = sequence.computed, .pages = sequence.pages, .logit_rows = logit_rows, .adapter = sequence.request.adapter.weights.get()});
}

void Scheduler::step() {
  const auto begin = SteadyClock::now();
  const std::span<float> logits = decoder_.forward(segments_, pool_);
  const double micros = micros_since(begin);

  int total = 0, prompt = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const int count = static_cast<int>(segments_[i].tokens.size());
    total += count;
    if (i >= decoding_in_step_) prompt += count;
  }
  budget_.measured(prompt, total, micros);
  const auto vocabulary = static_cast<std::size_t>(decoder_.config().vocabulary);
  std::size_t row = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const int count = static_cast<int>(segments_[i].tokens.size());
    const auto rows = static_cast<std::size_t>(segments_[i].logit_rows);
    // From here the segment's views may dangle: the sequence's tokens grow.
    advance(*in_step_[i], count, logits.subspan(row * vocabulary, rows * vocabulary), micros * count / total);
    row += rows;
  }
  std::erase_if(running_, [](const auto& sequence) { return sequence->over; });
  metrics_.steps.add();
  metrics_.step_seconds.add(micros_since(begin) * 1e-6);
}

// `tokens` of the sequence have been computed; `logits` has the rows asked for: none in the middle of a prompt, one at its end, and one
// for the last token and for each guess while it decodes.
void Scheduler::advance(Sequence& sequence, int tokens, std::span<float> logits, double micros) {
  const int rows = static_cast<int>(logits.size()) / decoder_.config().vocabulary;
  const int certain = tokens - std::max(0, rows - 1);  // the rest are guesses
  if (sequence.in_prompt()) metrics_.prompt_computed.add(certain);
  sequence.computed += certain;
  sequence.accounted = std::max(sequence.accounted, std::min(sequence.computed, static_cast<int>(sequence.request.prompt.size())));
  sequence.compute_micros += micros;
  Result<std::optional<FinishReason>> reason;
  if (rows > 0) {
    const auto begin = SteadyClock::now();
    reason = choose(sequence, logits, rows);
    sequence.compute_micros += micros_since(begin);
  }
  cache_.add(sequence.cache_salt, sequence.cached, std::span(sequence.tokens).first(static_cast<std::size_t>(sequence.computed)), sequence.pages);
  release_passed_pages(sequence);
  if (!reason) finish(sequence, fail(std::move(reason.error())));
  else if (*reason) finish(sequence, **reason);
}

// Samples the next tokens and streams their text; says why the answer is complete, if it is, or why it cannot go on. The first row is
// that of the last certain token; each further one counts only if the guess it belongs to is what was sampled before it.
Result<std::optional<FinishReason>> Scheduler::choose(Sequence& sequence, std::span<float> logits, int rows) {
  const auto vocabulary = static_cast<std::size_t>(decoder_.config().vocabulary);
  const auto now = SteadyClock::now();
  if (sequence.usage.completion_tokens == 0) {
    sequence.usage.first_token_micros = std::chrono::duration_cast<std::chrono::microseconds>(now - sequence.submitted).count();
    metrics_.first_token.observe(static_cast<double>(sequence.usage.first_token_micros) * 1e-6);
  } else {
    metrics_.inter_token.observe(std::chrono::duration<double>(now - sequence.last_token_at).count());
  }
  sequence.last_token_at = now;

  ChatDelta delta;
  Result<std::optional<FinishReason>> reason;
  std::size_t row = 0;
  for (;; ++row) {
    const auto sampled = sequence.sample(logits.subspan(row * vocabulary, vocabulary));
    if (!sampled) {
      reason = fail(sampled.error());
      break;
    }
    reason = sequence.append(*sampled, tokenizer_, delta);
    if (*reason || row + 1 == static_cast<std::size_t>(rows) || sampled->token != sequence.trial[row + 1]) break;
    ++sequence.computed;  // the guess's keys and values are this token's
  }
  const auto sampled = static_cast<double>(row + 1);
  metrics_.generated_tokens.add(sampled);
  if (rows > 1) {
    if (!sequence.forced) sequence.drafts.checked(rows - 1, static_cast<int>(row));
    metrics_.drafted.add(rows - 1);
    metrics_.accepted.add(static_cast<double>(row));
  }
  {
    std::lock_guard lock(mutex_);
    shares_.charge(sequence.request.tenant, FairShare::kGeneratedToken * sampled);
  }
  if (!delta.text.empty() || !delta.logprobs.empty()) sequence.outbox->push(std::move(delta));
  return reason;
}

}  // namespace stoa::models
