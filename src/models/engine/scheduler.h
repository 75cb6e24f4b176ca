// Continuous batching: one thread owns the decoder, the KV pages and every sequence, and advances all of them step by step.
//
// A step takes one new token of every sequence that decodes and fills up with chunks of prompts, so that a long prompt does not
// stall the others. A request is admitted when a slot and the pages of its prompt (plus a little room) are free; the rest of its pages
// come as it grows. When the pool runs dry the sequence admitted last gives its pages back and is computed again later: nothing is
// lost but time. Cancellation, deadlines and slow readers are looked at before every step, and pages are freed at once.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "models/engine/decoder.h"
#include "models/engine/kv_pool.h"
#include "models/engine/outbox.h"
#include "models/engine/sampler.h"
#include "models/engine/text_stream.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

struct SchedulerOptions {
  int slots = 8;                   // sequences computed together
  int queue = 64;                  // requests that may wait for a slot
  int step_tokens = 512;           // most tokens of one step
  int chunk_beside_decode = 128;   // most prompt tokens of a step in which others decode: bounds how long they wait
  int outbox = 64;                 // deltas a reader may be behind before its sequence pauses
  std::chrono::milliseconds stall_limit{60'000};  // a reader that takes nothing for this long loses its request
};

// What the scheduler needs to know of a request; the text side (template, tokens) is done by its caller.
struct Generation {
  CancelToken cancel;
  Deadline deadline;
  std::vector<std::int32_t> prompt;  // at least one token, all within the vocabulary
  int max_tokens = 1;                // at least 1, and prompt + max_tokens <= context_length()
  bool ignore_eos = false;
  std::vector<std::string> stop;
  SamplingOptions sampling;
  std::uint64_t seed = 0;
};

class Scheduler {
 public:
  // All references outlive the scheduler; `model` labels the metrics. The thread runs from construction.
  Scheduler(Decoder& decoder, KvPool& pool, const Tokenizer& tokenizer, SchedulerOptions options, Metrics& metrics, const std::string& model);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Thread-safe. The stream of the answer; it is always closed in the end, with the outcome or an error.
  // Errors: kResourceExhausted (queue full), kUnavailable (stopping).
  Result<std::shared_ptr<Outbox>> submit(Generation generation);

  // Tokens a sequence may have: the model's context, or what the KV pool holds if that is less.
  int context_length() const { return context_length_; }

  // Takes no more requests, waits up to `drain` for those it has, then closes the rest with kUnavailable. Idempotent.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Sequence;
  struct Instruments;
  using Sequences = std::vector<std::unique_ptr<Sequence>>;

  void run();
  bool wait_for_work(bool idle);
  std::optional<Error> ended(Sequence& sequence);
  void drop_ended();
  void admit();
  void compose();
  void add_to_step(Sequence& sequence, int tokens);
  void step();
  void advance(Sequence& sequence, int tokens, std::span<float> logits, double micros);
  std::optional<FinishReason> append_token(Sequence& sequence, std::span<float> logits);
  void preempt_last();
  void release_pages(Sequence& sequence);
  void finish(Sequence& sequence, Result<FinishReason> reason);
  void close_all();
  void publish_state();

  Decoder& decoder_;
  KvPool& pool_;
  const Tokenizer& tokenizer_;
  const SchedulerOptions options_;
  const int context_length_;
  std::unique_ptr<Instruments> instruments_;

  std::mutex mutex_;
  std::condition_variable changed_, stopped_;
  std::deque<std::unique_ptr<Sequence>> waiting_;  // guarded; preempted sequences stand at its front
  bool wake_ = false, stopping_ = false, abort_ = false, done_ = false;  // guarded
  std::mutex join_;

  // The engine thread's own.
  Sequences running_;  // in order of admission
  std::vector<Segment> segments_;
  std::vector<Sequence*> in_step_;  // of each segment

  std::thread thread_;
};

}  // namespace stoa::models
