// The embedder alone: embed_bench MODEL TEXTS.json --threads N [--batch 32] [--rounds 3] [--vectors FILE]. TEXTS is an array of strings. Prints "name value" lines; --vectors
// writes the vectors as floats. Tokenizing is in the times. Each batch counts with its best round, since other work on the machine would drown what is compared.
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"

namespace {

using namespace stoa;

// With one thread the processor's time, which other work does not change; with more, time itself.
double now(int threads) {
  timespec time{};
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Options {
  std::filesystem::path model;
  std::string texts, vectors;
  int threads = 1, rounds = 3;
  std::size_t batch = 32;
};

// Passages a second in batches of this size.
Result<double> rate(data::Embedder& embedder, const std::vector<std::string>& texts, std::size_t batch, const Options& options, std::ofstream* vectors) {
  std::vector<double> best((texts.size() + batch - 1) / batch, 1e9);
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < best.size(); ++i) {
      const auto some = std::span(texts).subspan(i * batch, std::min(batch, texts.size() - i * batch));
      const double begin = now(options.threads);
      STOA_TRY(embedded, embedder.embed({}, some));
      best[i] = std::min(best[i], now(options.threads) - begin);
      if (vectors != nullptr && round == 0) vectors->write(reinterpret_cast<const char*>(embedded.values.data()), static_cast<std::streamsize>(embedded.values.size() * sizeof(float)));
    }
  }
  double sum = 0;
  for (const double time : best) sum += time;
  return static_cast<double>(texts.size()) / sum;
}

Status run(const Options& options) {
  std::ifstream file(options.texts);
  STOA_TRY(json, parse_json(std::string(std::istreambuf_iterator<char>(file), {})));
  std::vector<std::string> texts;
  for (const Json& text : json.as_array()) texts.emplace_back(text.as_string());
  Metrics metrics;
  models::ThreadPool threads(options.threads);
  models::CpuBackend backend(threads);
  STOA_TRY(embedder, models::LocalEmbedder::load(options.model, "embedder", {}, backend, metrics));
  std::int64_t tokens = 0;
  for (const auto& text : texts) {
    STOA_TRY(count, embedder->count_tokens(text));
    tokens += std::min(count, embedder->max_tokens());
  }
  STOA_CHECK(embedder->embed({}, std::span(texts).first(1)));  // packs the weights
  std::ofstream vectors;
  if (!options.vectors.empty()) vectors.open(options.vectors, std::ios::binary);
  STOA_TRY(batched, rate(*embedder, texts, options.batch, options, vectors.is_open() ? &vectors : nullptr));
  STOA_TRY(single, rate(*embedder, texts, 1, options, nullptr));
  fmt::print("batched_per_second {}\nsingle_per_second {}\ntokens_per_passage {}\n", batched, single, static_cast<double>(tokens) / static_cast<double>(texts.size()));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The embedder alone");
  Options options;
  app.add_option("model", options.model)->required();
  app.add_option("texts", options.texts)->required();
  app.add_option("--threads", options.threads);
  app.add_option("--batch", options.batch);
  app.add_option("--rounds", options.rounds);
  app.add_option("--vectors", options.vectors);
  CLI11_PARSE(app, argc, argv);
  const Status done = run(options);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
