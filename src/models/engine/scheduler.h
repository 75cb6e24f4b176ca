// Continuous batching: one thread owns the decoder, the KV pages and every sequence, and advances all of them step by step.
//
// A step takes one new token of every sequence that decodes (and, while few do, guessed ones after it: drafting.h) and adds chunks of
// prompts as large as a time budget allows (step_budget.h), so that a long prompt does not stall the others. A request is admitted
// when a slot and the pages of its prompt (plus a little room) are free; it starts behind the longest prefix that the prefix cache
// knows, and the rest of its pages come as it grows. When the pool runs dry the sequence of the lowest priority, of these the one
// admitted last, gives its pages back and is computed again later: nothing is lost but time. Cancellation, deadlines and slow readers
// are looked at before every step, and pages are freed at once. A sequence whose reader has fallen behind for a while gives its slot to
// a waiting one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "models/engine/decoder.h"
#include "models/engine/draft_model.h"
#include "models/engine/engine_metrics.h"
#include "models/engine/fair_share.h"
#include "models/engine/kv_pool.h"
#include "models/engine/outbox.h"
#include "models/engine/prefix_cache.h"
#include "models/engine/sequence.h"
#include "models/engine/step_budget.h"
#include "models/engine/wait_queue.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

struct SchedulerOptions {
  int slots = 8;                                // sequences computed together
  int queue = 64;                               // requests that may wait for a slot
  int step_tokens = 512;                        // most tokens of one step
  std::chrono::milliseconds step_target{50};    // time of a step that computes prompts while others decode: bounds how long they wait
  double cached_share = 1;                      // of the KV pages, how much may stay cached when no sequence holds it; 0: no prefix cache
  // Sequences that decode share so many rows of a step, each a token and the guesses after it; with more of them nothing is guessed.
  // 0: no speculation. Up to kDirectRows they cost little beside reading the weights, and the logits of a row are the same whatever
  // rows it is computed with. More pays where answers quote at length and the kernels have compute to spare.
  int guess_rows = kDirectRows;
  std::chrono::milliseconds max_wait{120'000};  // a request that would wait longer for a slot, by estimate, is refused
  int outbox = 64;                              // deltas a reader may be behind before its sequence pauses
  std::chrono::milliseconds reader_patience{250};  // one that takes nothing for this long loses its slot to a waiting request
  std::chrono::milliseconds stall_limit{60'000};  // and for this long, its own request
};

class Scheduler {
 public:
  // All references outlive the scheduler; `model` labels the metrics. With a draft model, that guesses where the prompt says nothing.
  // The thread runs from construction.
  Scheduler(Decoder& decoder, KvPool& pool, const Tokenizer& tokenizer, SchedulerOptions options, Metrics& metrics, const std::string& model,
            std::optional<DraftModel> draft_model = std::nullopt);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Thread-safe. The stream of the answer; it is always closed in the end, with the outcome or an error.
  // Errors: kTooLarge (prompt and max_tokens exceed context_length()), kResourceExhausted (queue full, or the estimated wait is beyond
  // max_wait), kUnavailable (the deadline would pass in the queue, or the engine is stopping). The middle two carry `retry_after`.
  // A full queue may also close the stream of a waiting request with kResourceExhausted, to let another tenant in.
  Result<std::shared_ptr<Outbox>> submit(Generation generation);

  // Tokens a sequence may have: the model's context, or what the KV pool holds if that is less.
  int context_length() const { return context_length_; }

  // Takes no more requests, waits up to `drain` for those it has, then closes the rest with kUnavailable. Idempotent.
  void stop(std::chrono::milliseconds drain);

 private:
  using Sequences = std::vector<std::unique_ptr<Sequence>>;

  Status make_way(const Generation& generation);
  void run();
  bool wait_for_work(bool idle);
  std::optional<Error> ended(Sequence& sequence);
  void drop_ended();
  void end_early(Sequence& sequence, Error why);
  void admit();
  bool take_pages(Sequence& sequence);
  void count_found(Sequence& sequence);
  void compose();
  void add_decoding();
  void add_prompts(int budget);
  bool another_computes_next_page(const Sequence& sequence) const;
  void draft(Sequence& sequence, int most);
  void guess(Sequence& sequence, int most);
  void add_to_step(Sequence& sequence, std::span<const std::int32_t> tokens, int logit_rows);
  void preempt_last();
  bool park_unread();
  void unpark();
  void step();
  void advance(Sequence& sequence, int tokens, std::span<float> logits, double micros);
  Result<std::optional<FinishReason>> choose(Sequence& sequence, std::span<float> logits, int rows);
  void release_pages(Sequence& sequence);
  void release_passed_pages(Sequence& sequence);
  void finish(Sequence& sequence, Result<FinishReason> reason);
  void close_all();
  void publish_state();

  Decoder& decoder_;
  KvPool& pool_;
  const Tokenizer& tokenizer_;
  const SchedulerOptions options_;
  const int context_length_;
  EngineMetrics metrics_;

  std::mutex mutex_;
  std::condition_variable changed_, stopped_;
  WaitQueue waiting_;       // guarded
  FairShare shares_;        // guarded
  WaitEstimate estimate_;   // guarded
  int occupied_ = 0;        // guarded; slots in use
  bool wake_ = false, stopping_ = false, abort_ = false, done_ = false;  // guarded
  std::mutex join_;

  // The engine thread's own.
  PrefixCache cache_;
  StepBudget budget_;
  std::optional<DraftModel> draft_model_;
  Sequences running_;  // by priority, then in order of admission
  Sequences parked_;   // gave up their slots because nobody reads their answers; they come back to the queue when somebody does
  std::vector<Segment> segments_;
  std::vector<Sequence*> in_step_;  // of each segment
  std::size_t decoding_in_step_ = 0;  // of them, the first so many; prompts stand behind

  std::thread thread_;
};

}  // namespace stoa::models
