// What a constraint costs a token in the whole engine: constrained_bench FILE.gguf [THREADS] [RUNS]
// Decodes greedily, one stream, no guesses, in turns without and with each constraint. "Any text" lets the model say what it says without
// one, so that the same tokens are compared; the others compare the time of a token. The last line has guesses, of which those that a
// schema prescribes make it faster than free text. Prints medians of RUNS, by the clock and in processor time of all threads: the latter
// holds on a machine that others use, too.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include "base/log.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_generator.h"

namespace {

using namespace stoa;
using namespace stoa::models;
using Kind = AnswerConstraint::Kind;

constexpr int kTokens = 160;
constexpr const char* kSchema = R"({"type":"object","properties":{"people":{"type":"array","minItems":20,"items":{"type":"object","properties":{
  "name":{"type":"string","maxLength":20},"age":{"type":"integer","minimum":0,"maximum":120},"role":{"enum":["reader","writer","editor"]}},
  "required":["name","age","role"],"additionalProperties":false}}},"required":["people"],"additionalProperties":false})";

struct Cost {
  double clock = 0, processor = 0;  // microseconds a token
};

Result<Cost> cost_per_token(LocalGenerator& generator, const std::optional<AnswerConstraint>& constraint) {
  ChatRequest request;
  request.messages = {{"user", "List twenty people who work at a newspaper, with their names, ages and roles."}};
  request.max_tokens = kTokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0;
  request.constraint = constraint;
  std::clock_t begin = 0;  // at the first token
  STOA_TRY(outcome, generator.generate({}, request, [&](const ChatDelta&) {
    if (begin == 0) begin = std::clock();
    return true;
  }));
  const auto tokens = static_cast<double>(outcome.usage.completion_tokens - 1);
  return Cost{.clock = static_cast<double>(outcome.usage.total_micros - outcome.usage.first_token_micros) / tokens,
              .processor = static_cast<double>(std::clock() - begin) * 1e6 / CLOCKS_PER_SEC / tokens};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Status compare(LocalGenerator& generator, const char* name, const AnswerConstraint& constraint, int runs) {
  std::vector<double> free, clock, processor;
  STOA_CHECK(cost_per_token(generator, constraint));  // the grammar, its masks
  for (int run = 0; run < runs; ++run) {
    STOA_TRY(a, cost_per_token(generator, std::nullopt));
    STOA_TRY(b, cost_per_token(generator, constraint));
    free.push_back(a.clock);
    clock.push_back(b.clock / a.clock);
    processor.push_back(b.processor / a.processor);
  }
  const auto added = [](const std::vector<double>& ratios) { return 100 * (median(ratios) - 1); };
  std::cout << fmt::format("{:24} {:7.0f} us a token without; with it {:+5.1f} % of time, {:+5.1f} % of processor time\n", name, median(free), added(clock), added(processor))
            << std::flush;
  return {};
}

Status bench(const std::string& file, int threads, int runs) {
  ThreadPool pool(threads);
  CpuBackend backend(pool);
  Metrics metrics;
  EngineOptions options;
  options.scheduler.guess_rows = 0;
  {
    STOA_TRY(plain, LocalGenerator::load(file, "plain", options, backend, metrics));
    STOA_CHECK(compare(*plain, "any text", {Kind::kRegex, "(.|\\n)*", ""}, runs));
    STOA_CHECK(compare(*plain, "any JSON object", {Kind::kJsonObject, "", ""}, runs));
    STOA_CHECK(compare(*plain, "a schema", {Kind::kJsonSchema, kSchema, ""}, runs));
  }
  options.scheduler.guess_rows = EngineOptions().scheduler.guess_rows;
  STOA_TRY(guessing, LocalGenerator::load(file, "guessing", options, backend, metrics));
  return compare(*guessing, "a schema, with guesses", {Kind::kJsonSchema, kSchema, ""}, runs);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: constrained_bench FILE.gguf [THREADS] [RUNS]\n";
    return 2;
  }
  const auto number = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const auto done = bench(argv[1], number(2, 2), number(3, 9));
  if (!done) std::cerr << done.error().message << "\n";
  return done ? 0 : 1;
}
