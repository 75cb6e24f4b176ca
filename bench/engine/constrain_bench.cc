// Prints what constrained decoding costs: compiling a grammar, the first mask of each state, warm masks and single-token checks, over a
// random walk of allowed tokens (the choice among a mask's tokens is random and seeded, so that runs compare).
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "models/constrain/matcher.h"
#include "models/formats/gguf.h"

namespace {

using namespace stoa::models;
using Clock = std::chrono::steady_clock;

double micros(Clock::time_point from) { return std::chrono::duration<double, std::micro>(Clock::now() - from).count(); }

struct Case {
  const char* name;
  stoa::Result<Grammar> (*make)();
};

const Case kCases[] = {
    {"any JSON object", [] { return Grammar::from_json_object(); }},
    {"flat object",
     [] {
       return Grammar::from_json_schema(R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
         "email":{"type":"string","format":"email"},"member":{"type":"boolean"}},"required":["name","age","email","member"],"additionalProperties":false})");
     }},
    {"nested, enums, arrays",
     [] {
       return Grammar::from_json_schema(R"({"$defs":{"step":{"type":"object","properties":{"explanation":{"type":"string"},"output":{"type":"string"},
         "status":{"enum":["open","done","failed"]}},"required":["explanation","output","status"]}},"type":"object","properties":{"steps":{"type":"array","items":{"$ref":"#/$defs/step"},
         "minItems":1,"maxItems":20},"scores":{"type":"array","items":{"type":"number"}},"answer":{"anyOf":[{"type":"string"},{"type":"null"}]},
         "tags":{"type":"array","items":{"type":"string","enum":["red","green","blue","yellow"]}}},"required":["steps","scores","answer","tags"]})");
     }},
    {"bounded strings",
     [] {
       return Grammar::from_json_schema(R"({"type":"object","properties":{"title":{"type":"string","minLength":3,"maxLength":60},
         "body":{"type":"string","maxLength":500},"code":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"}},"required":["title","body","code"]})");
     }},
    {"recursive",
     [] {
       return Grammar::from_json_schema(R"({"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["name","children"]})");
     }},
    {"GBNF arithmetic",
     [] { return Grammar::from_gbnf("root ::= expr \"\\n\"\nexpr ::= term ([-+*/] term)*\nterm ::= [a-z] [a-z0-9_]{0,10} | [0-9]+ | \"(\" expr \")\"\n"); }},
    {"regex date and text", [] { return Grammar::from_regex("[0-9]{4}-[0-9]{2}-[0-9]{2}: .{1,200}"); }},
};

struct Numbers {
  std::vector<double> first, warm, check, accept;
  int tokens = 0;
};

double at(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}
double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

// One sequence of at most `steps` tokens; times go to `masks`, and to the other lists.
void walk(const std::shared_ptr<const Constraint>& constraint, std::uint64_t seed, int steps, std::vector<double>& masks, Numbers& numbers) {
  GrammarMatcher matcher(constraint);
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> bits(constraint->trie().words());
  for (int i = 0; i < steps && !matcher.finished(); ++i) {
    auto start = Clock::now();
    if (!matcher.mask(bits)) break;
    masks.push_back(micros(start));
    std::vector<TokenId> allowed;
    for (std::size_t word = 0; word < bits.size(); ++word)
      for (std::uint64_t rest = bits[word]; rest != 0; rest &= rest - 1) allowed.push_back(static_cast<TokenId>(word * 64 + static_cast<std::size_t>(std::countr_zero(rest))));
    const TokenId token = allowed[random() % allowed.size()];
    start = Clock::now();
    if (!matcher.allows(token)) std::abort();
    numbers.check.push_back(micros(start));
    start = Clock::now();
    if (!matcher.accept(token)) std::abort();
    numbers.accept.push_back(micros(start));
    ++numbers.tokens;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Cost of constrained decoding");
  std::string model;
  int steps = 200, sequences = 20;
  app.add_option("model", model, "a GGUF file, for its tokenizer")->required();
  app.add_option("--steps", steps, "tokens of a sequence")->capture_default_str();
  app.add_option("--sequences", sequences, "warm sequences of each grammar")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto file = GgufFile::open(model);
  const auto tokenizer = file ? Tokenizer::from_gguf(*file) : stoa::Result<Tokenizer>(std::unexpected(file.error()));
  if (!tokenizer) {
    fmt::print(stderr, "{}\n", tokenizer.error().message);
    return 2;
  }
  auto start = Clock::now();
  const auto trie = TokenTrie::build(*tokenizer);
  fmt::print("{} tokens, trie of {} nodes in {:.1f} ms\n", trie->size(), trie->nodes().size(), micros(start) / 1000);
  fmt::print("{:24} {:>9} {:>7} {:>7} | {:>10} {:>10} | {:>9} {:>9} {:>9} | {:>9} {:>9} | {:>8}\n", "times in us", "compile", "states", "KB", "cold mean", "cold max", "warm mean",
             "warm p50", "warm p99", "allows", "accept", "cache KB");
  for (const Case& item : kCases) {
    start = Clock::now();
    const auto grammar = item.make();
    const double compile = micros(start);
    if (!grammar) {
      fmt::print(stderr, "{}: {}\n", item.name, grammar.error().message);
      return 1;
    }
    const auto constraint = std::make_shared<const Constraint>(*grammar, trie);
    Numbers numbers;
    walk(constraint, 1, steps, numbers.first, numbers);
    for (int i = 0; i < sequences; ++i) walk(constraint, static_cast<std::uint64_t>(i) + 2, steps, numbers.warm, numbers);
    // The first walks still meet new states: what is steady is measured over the same sequences once more.
    numbers.warm.clear();
    for (int i = 0; i < sequences; ++i) walk(constraint, static_cast<std::uint64_t>(i) + 2, steps, numbers.warm, numbers);
    fmt::print("{:24} {:9.0f} {:7} {:7} | {:10.1f} {:10.0f} | {:9.2f} {:9.2f} {:9.2f} | {:9.2f} {:9.2f} | {:8}\n", item.name, compile, grammar->states(), grammar->bytes() / 1024,
               mean(numbers.first), at(numbers.first, 1), mean(numbers.warm), at(numbers.warm, 0.5), at(numbers.warm, 0.99), mean(numbers.check), mean(numbers.accept),
               constraint->cached_bytes() / 1024);
  }
  return 0;
}
