// The Generator over a model that this process computes itself: a GGUF file, mapped into memory.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/result.h"
#include "models/compute/backend.h"
#include "models/engine/adapter_set.h"
#include "models/engine/generator.h"
#include "models/engine/model_report.h"
#include "models/engine/prompt.h"
#include "models/engine/scheduler.h"

namespace stoa::models {

struct EngineOptions {
  // For keys and values of running requests and of the prefix cache, which keeps what is no longer used until the space is needed.
  // Memory is taken as it is used, up to all of it.
  std::size_t kv_bytes = std::size_t{1} << 30;
  KvType kv_type = KvType::kF16;                // kQ8: twice as many fit, for a small cost in quality (docs/benchmarks.md)
  std::filesystem::path draft_model;            // a GGUF file with the same tokens that guesses ahead; empty: none
  std::size_t draft_kv_bytes = std::size_t{64} << 20;  // for its keys and values
  int context_length = 0;                       // 0: the model's own; otherwise at most that
  std::string tool_pattern;                     // how models are told of tools whose template knows none (prompt.h)
  SchedulerOptions scheduler;
};

// Thread-safe, as Generator says. No call may be running when it is destroyed; stop() ends those that are.
class LocalGenerator final : public Generator {
 public:
  // Reads headers and builds the tokenizer; weights stay in the file until they are used. `name` is what callers call the
  // model. `backend` and `metrics` outlive the generator.
  // Errors: those of GgufFile, Tokenizer, Decoder and KvPool, check_same_tokens (draft model); kResourceExhausted when the machine has less memory than all of it needs.
  static Result<std::unique_ptr<LocalGenerator>> load(const std::filesystem::path& file, std::string name, const EngineOptions& options,
                                                      Backend& backend, Metrics& metrics);
  ~LocalGenerator() override;

  // A started request that call.cancel or the sink stops is no error: it comes back as kCancelled with its usage, to be charged.
  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const DeltaSink& sink) override;
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override;
  int context_length() const override;
  std::vector<NamedAdapter> adapters(std::string_view project) const override;

  // LoRA adapters, while requests run: AdapterSet says which files, names and errors. Requests that use one that is unloaded end with it.
  Status load_adapter(const AdapterFile& file);
  Status unload_adapter(const std::string& name, std::string_view owner);
  bool has_adapter(std::string_view name, std::string_view owner) const;

  const ModelReport& report() const;
  // Takes no more requests, waits up to `drain` for running ones, then ends them with kUnavailable.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Draft;
  struct Loaded;
  explicit LocalGenerator(std::unique_ptr<Loaded> loaded);
  static Result<std::unique_ptr<Draft>> load_draft(const EngineOptions& options, const Tokenizer& tokenizer, Backend& backend);
  Result<Generation> prepare(const Call& call, const ChatRequest& request, Prompt prompt) const;
  Result<ChatOutcome> read(Outbox& outbox, const ChatRequest& request, Reasoning reasoning, const DeltaSink& sink) const;

  std::unique_ptr<Loaded> loaded_;
};

}  // namespace stoa::models
