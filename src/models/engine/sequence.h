// One request on its way through the engine: what the scheduler, its queue and its steps know of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/chat.h"
#include "models/constrain/matcher.h"
#include "models/engine/adapter_set.h"
#include "models/engine/draft_model.h"
#include "models/engine/drafting.h"
#include "models/engine/outbox.h"
#include "models/engine/prefix_cache.h"
#include "models/engine/sampler.h"
#include "models/engine/text_stream.h"
#include "models/tokenizer/tokenizer.h"
#include "models/tools/tool_parser.h"

namespace stoa::models {

// What the engine needs to know of a request; the text side (template, tokens) is done by its caller.
struct Generation {
  std::string tenant;  // whose share the work is charged to, and whose prefixes it may find
  int priority = 0;    // higher goes first
  CancelToken cancel;
  Deadline deadline;
  ChosenAdapter adapter;
  std::vector<std::int32_t> prompt;  // at least one token, all within the vocabulary
  int max_tokens = 1;                // at least 1
  bool ignore_eos = false;
  std::vector<std::string> stop;
  SamplingOptions sampling;
  std::uint64_t seed = 0;
  std::shared_ptr<const Constraint> constraint;  // null: any text
  Reasoning reasoning = Reasoning::kNone;        // how the answer may begin
  std::span<const std::int32_t> shown;           // control tokens whose text is part of the answer; outlives the engine's work

  // What the prefix cache keeps apart: tenants, and what the same tokens become under different adapters.
  std::string cache_salt() const { return adapter.weights == nullptr ? tenant : tenant + '\0' + std::to_string(adapter.serial); }
};

// Made by the caller's thread, then the engine's own.
struct Sequence {
  Sequence(Generation g, std::shared_ptr<Outbox> out)
      : request(std::move(g)), cache_salt(request.cache_salt()), outbox(std::move(out)), tokens(request.prompt), sampler(request.sampling, request.seed, request.prompt),
        text(request.stop), reasoning(request.reasoning) {
    if (request.constraint != nullptr) matcher.emplace(request.constraint);
    usage.prompt_tokens = static_cast<std::int64_t>(tokens.size());
  }

  int size() const { return static_cast<int>(tokens.size()); }
  int left() const { return size() - computed; }
  int limit() const { return static_cast<int>(request.prompt.size()) + request.max_tokens; }
  bool in_prompt() const { return computed < static_cast<int>(request.prompt.size()); }

  // Draws the next token. kInvalidArgument when the constraint leaves none.
  Result<SampledToken> sample(std::span<float> logits);
  // Appends a sampled token and its text to `delta`; says why the answer is complete, if it is.
  std::optional<FinishReason> append(const SampledToken& sampled, const Tokenizer& tokenizer, ChatDelta& delta);

  Generation request;
  const std::string cache_salt;
  std::shared_ptr<Outbox> outbox;
  std::vector<std::int32_t> tokens;  // prompt and answer
  int computed = 0;                  // of them have keys and values in the pages
  std::vector<PageId> pages;
  int passed = 0;                    // of them, the first so many have been given up: no token to come sees them
  int accounted = 0;                 // prompt tokens that have been computed or found in the cache, once
  PrefixCache::Place cached;         // the pages that are the prefix cache's too
  std::vector<std::int32_t> trial;   // the last token and the drafts after it, while a step tries them
  DraftLength drafts;
  DraftModel::State drafter;         // where there is a draft model
  bool forced = false;               // those drafts are what the constraint prescribes
  Sampler sampler;
  std::optional<GrammarMatcher> matcher;  // where there is a constraint
  TextStream text;
  ReasoningCounter reasoning;
  Usage usage;
  double compute_micros = 0;
  SteadyTime submitted = std::chrono::steady_clock::now(), last_room = submitted, admitted_at{}, last_token_at{};
  bool admitted = false, over = false;
};

}  // namespace stoa::models
