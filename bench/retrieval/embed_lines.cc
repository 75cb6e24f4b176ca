// Vectors of lines of text: embed_lines MODEL LINES OUT.f32 [--words N] [--count N] [--threads 1]. The first N words of each line, or all of them; goes on behind what OUT has already.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"

namespace {

using namespace stoa;

struct Options {
  std::filesystem::path model, out;
  std::string lines;
  std::size_t words = 0, count = SIZE_MAX;
  int threads = 1;
};

std::string first_words(const std::string& text, std::size_t words) {
  std::size_t end = 0;
  for (std::size_t i = 0; i < words && end != std::string::npos; ++i) end = text.find(' ', end + 1);
  return words == 0 ? text : text.substr(0, end);
}

Status run(const Options& options) {
  Metrics metrics;
  models::ThreadPool threads(options.threads);
  models::CpuBackend backend(threads);
  STOA_TRY(embedder, models::LocalEmbedder::load(options.model, "embedder", {}, backend, metrics));
  const std::size_t vector_bytes = static_cast<std::size_t>(embedder->dimensions()) * sizeof(float);
  std::size_t done = std::filesystem::exists(options.out) ? std::filesystem::file_size(options.out) / vector_bytes : 0;
  if (done > 0) std::filesystem::resize_file(options.out, done * vector_bytes);  // a run that was ended may have left half a vector
  std::ifstream in(options.lines);
  std::ofstream out(options.out, std::ios::binary | std::ios::app);
  std::string line;
  for (std::size_t i = 0; i < done; ++i) std::getline(in, line);
  constexpr std::size_t kAtOnce = 256;
  while (done < options.count) {
    std::vector<std::string> some;
    while (some.size() < std::min(kAtOnce, options.count - done) && std::getline(in, line)) some.push_back(first_words(line, options.words));
    if (some.empty()) break;
    STOA_TRY(embedded, embedder->embed({}, some));
    out.write(reinterpret_cast<const char*>(embedded.values.data()), static_cast<std::streamsize>(embedded.values.size() * sizeof(float)));
    done += some.size();
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Vectors of lines of text");
  Options options;
  app.add_option("model", options.model)->required();
  app.add_option("lines", options.lines)->required();
  app.add_option("out", options.out)->required();
  app.add_option("--words", options.words);
  app.add_option("--count", options.count);
  app.add_option("--threads", options.threads);
  CLI11_PARSE(app, argc, argv);
  const Status done = run(options);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
