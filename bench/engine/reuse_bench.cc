// What the engine saves by not computing things again: reuse_bench FILE.gguf [THREADS] [RUNS] [ROWS]
//   1. time to the first token of a prompt with a long prefix, the first time and again with another question behind it;
//   2. tokens a second of an answer that quotes its prompt, with and without guessing (prompt lookup), in turns.
// Prints medians of RUNS; ROWS is SchedulerOptions::guess_rows.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/log.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_generator.h"

namespace {

using namespace stoa;
using namespace stoa::models;

constexpr int kPrefixTokens = 1800, kQuoteTokens = 1400;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// Sentences that hardly repeat, as many as make `tokens`. `variant` makes another text.
std::string sentences(const LocalGenerator& generator, int tokens, int variant) {
  constexpr const char* kQualities[] = {"old", "green", "quiet", "broken", "northern", "careful", "wooden", "late", "narrow", "famous", "heavy"};
  constexpr const char* kThings[] = {"bridge", "doctor", "library", "river", "engine", "teacher", "garden", "letter", "market", "captain", "window", "farmer", "museum"};
  constexpr const char* kDeeds[] = {"crossed", "described", "found", "repaired", "left", "painted", "followed", "sold", "watched", "remembered", "avoided"};
  constexpr const char* kPlaces[] = {"in Bergen", "near the station", "before noon", "without a map", "in the winter of 1911", "with two friends", "by mistake"};
  std::minstd_rand random(static_cast<std::uint32_t>(variant));
  const auto pick = [&](const auto& words) { return words[random() / 7 % std::size(words)]; };
  ChatRequest request;
  for (int line = 0;; ++line) {
    request.prompt += fmt::format("The {} {} {} the {} {} {}.\n", pick(kQualities), pick(kThings), pick(kDeeds), pick(kQualities), pick(kThings), pick(kPlaces));
    if (line % 8 == 7 && generator.count_prompt_tokens(request).value_or(tokens) >= tokens) return request.prompt;
  }
}

struct Measured {
  Usage usage;
  std::string text;
};

Result<Measured> ask(LocalGenerator& generator, const std::string& prompt, int max_tokens) {
  ChatRequest request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  Measured measured;
  STOA_TRY(outcome, generator.generate({}, request, [&](const ChatDelta& delta) {
    measured.text += delta.text;
    return true;
  }));
  measured.usage = outcome.usage;
  return measured;
}

Status prefix(LocalGenerator& generator, int runs) {
  std::vector<double> first, second;
  std::int64_t prompt = 0, cached = 0;
  for (int run = 0; run < runs; ++run) {
    const std::string text = sentences(generator, kPrefixTokens, run + 1);
    STOA_TRY(cold, ask(generator, text + "Question: who crossed the bridge?\nAnswer:", 8));
    STOA_TRY(warm, ask(generator, text + "Question: what was sold in Bergen?\nAnswer:", 8));
    first.push_back(static_cast<double>(cold.usage.first_token_micros) * 1e-3);
    second.push_back(static_cast<double>(warm.usage.first_token_micros) * 1e-3);
    prompt = warm.usage.prompt_tokens;
    cached = warm.usage.cached_tokens;
  }
  std::cout << fmt::format("shared prefix: {} of {} prompt tokens found, first token after {:.1f} ms, then {:.1f} ms: {:.1f} times sooner\n", cached,
                           prompt, median(first), median(second), median(first) / median(second));
  return {};
}

Status quoting(LocalGenerator& plain, LocalGenerator& guessing, int runs) {
  std::vector<double> without, with;
  bool same = true;
  for (int run = 0; run < runs; ++run) {
    const std::string text = sentences(plain, kQuoteTokens, run + 1);
    const std::string prompt = text + "The same text again:\n" + text.substr(0, text.find('\n', 200) + 1);
    const auto rate = [](const Usage& usage) {
      return static_cast<double>(usage.completion_tokens - 1) * 1e6 / static_cast<double>(usage.total_micros - usage.first_token_micros);
    };
    STOA_TRY(a, ask(plain, prompt, 128));
    STOA_TRY(b, ask(guessing, prompt, 128));
    without.push_back(rate(a.usage));
    with.push_back(rate(b.usage));
    same = same && a.text == b.text;
  }
  std::cout << fmt::format("quoting answer: {:.1f} tokens/s without guesses, {:.1f} with: {:.2f} times; texts {}\n", median(without), median(with),
                           median(with) / median(without), same ? "equal" : "differ");
  return {};
}

Status bench(const std::string& file, int threads, int runs, int rows) {
  ThreadPool pool(threads);
  CpuBackend backend(pool);
  Metrics metrics;
  EngineOptions options;
  options.scheduler.guess_rows = rows;
  STOA_TRY(guessing, LocalGenerator::load(file, "guessing", options, backend, metrics));
  options.scheduler.guess_rows = 0;
  STOA_TRY(plain, LocalGenerator::load(file, "plain", options, backend, metrics));
  STOA_CHECK(prefix(*plain, runs));
  STOA_CHECK(quoting(*plain, *guessing, runs));
  const auto counter = [&](const char* name) { return metrics.counter(name, "", {{"model", "guessing"}}).value(); };
  std::cout << fmt::format("guessed {} tokens, {} right, {} steps\n", counter("stoa_engine_draft_tokens_total"),
                           counter("stoa_engine_accepted_draft_tokens_total"), counter("stoa_engine_steps_total"));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  configure_log(LogLevel::kWarning, LogFormat::kText);
  const auto number = [&](int at, int fallback) { return argc > at ? std::max(1, std::atoi(argv[at])) : fallback; };
  const auto status = argc < 2 ? Status(fail(ErrorCode::kInvalidArgument, "usage: reuse_bench FILE.gguf [THREADS] [RUNS] [ROWS]"))
                               : bench(argv[1], number(2, 2), number(3, 5), number(4, SchedulerOptions{}.guess_rows));
  if (status) return 0;
  std::cerr << "reuse_bench: " << status.error().message << '\n';
  return 1;
}
