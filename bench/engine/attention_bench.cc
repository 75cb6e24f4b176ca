// Prints how fast attention runs over a paged cache: one new token of one sequence and of sixteen (decoding), and a prompt. The GB/s are of
// keys and values as if each were read once, the GOP/s of the products with them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "models/compute/cpu/cpu_compute.h"

namespace {

using namespace stoa::models;
using Clock = std::chrono::steady_clock;

struct Shape {
  const char* what;
  int heads;
  int kv_heads;
  int head_dim;
  int layers;
};

constexpr Shape kShapes[] = {{"SmolLM2-135M", 9, 3, 64, 30}, {"Qwen2.5-0.5B", 14, 2, 64, 24}, {"Llama-3.2-1B", 32, 8, 64, 16}};

struct Case {
  int streams;
  int rows;     // new tokens of each
  int context;  // positions in all, the new ones included
};

constexpr Case kCases[] = {{1, 1, 512}, {1, 1, 2048}, {16, 1, 128}, {16, 1, 512}, {16, 1, 2048}, {1, 512, 512}, {1, 512, 2048}};

// Seconds for one layer; the layers are taken in turn, as in a model, so that keys and values come from memory.
double measure(Compute& compute, const Shape& shape, const Case& c, KvType type, double seconds, std::vector<std::byte>& memory) {
  const KvLayout layout{.layers = shape.layers, .kv_heads = shape.kv_heads, .head_dim = shape.head_dim, .type = type};
  const int pages_each = pages_for(c.context);
  memory.resize(layout.page_bytes() * static_cast<std::size_t>(pages_each * c.streams) + 64);
  std::byte* first = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  std::vector<std::byte*> pages;
  for (int i = 0; i < pages_each * c.streams; ++i) pages.push_back(first + layout.page_bytes() * static_cast<std::size_t>(i));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const int width = shape.heads * shape.head_dim, kv_width = shape.kv_heads * shape.head_dim;
  std::vector<float> kv(static_cast<std::size_t>(c.context * kv_width)), q(static_cast<std::size_t>(c.streams * c.rows * width)), out(q.size());
  for (float& v : kv) v = normal(random);
  for (float& v : q) v = normal(random);
  std::vector<AttentionSequence> sequences;
  for (int s = 0; s < c.streams; ++s) {
    std::byte** own = pages.data() + s * pages_each;
    for (int layer = 0; layer < shape.layers; ++layer) compute.store_kv(layout, layer, own, 0, c.context, kv.data(), kv_width, kv.data(), kv_width);
    sequences.push_back({.q = q.data() + s * c.rows * width, .out = out.data() + s * c.rows * width, .q_stride = width, .out_stride = width, .rows = c.rows,
                         .first_position = c.context - c.rows, .pages = own});
  }
  double best = 1e9;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (int round = 0; round < 3 || Clock::now() < end; ++round) {
    const auto start = Clock::now();
    for (int layer = 0; layer < shape.layers; ++layer) compute.attention(layout, {.heads = shape.heads, .layer = layer, .scale = 0.125f}, sequences);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count() / shape.layers);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Speed of attention by shape and context");
  int threads = 2;
  std::string isa_name = "auto", shape_name;
  double seconds = 0.3;
  app.add_option("--threads", threads, "threads, the caller included")->capture_default_str();
  app.add_option("--isa", isa_name, "auto, plain, avx2, avx512 or avx512_bf16")->capture_default_str();
  app.add_option("--shape", shape_name, "the shapes whose name contains this (default: all)");
  app.add_option("--seconds", seconds, "time for each line")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto isa = choose_isa(isa_name);
  if (!isa) {
    fmt::print(stderr, "{} ({})\n", isa.error().message, isa.error().hint);
    return 2;
  }
  ThreadPool pool(threads);
  CpuCompute compute(pool, *isa);
  std::vector<std::byte> memory;
  fmt::print("{} threads, {}\n{:14} {:6} {:>7} {:>5} {:>7} {:>12} {:>7} {:>8}\n", pool.threads(), stoa::models::isa_name(*isa), "shape", "cache", "streams", "rows", "context",
             "us per layer", "GB/s", "GOP/s");
  for (const Shape& shape : kShapes) {
    if (std::string_view(shape.what).find(shape_name) == std::string_view::npos) continue;
    for (const Case& c : kCases) {
      for (const KvType type : {KvType::kF16, KvType::kQ8}) {
        const double time = measure(compute, shape, c, type, seconds, memory);
        const KvLayout one{.layers = 1, .kv_heads = shape.kv_heads, .head_dim = shape.head_dim, .type = type};
        const double bytes = static_cast<double>(one.page_bytes()) / kPageTokens * c.context * c.streams;
        // A row sees what came before it: on average the context less half of the new rows.
        const double pairs = static_cast<double>(c.streams) * c.rows * (c.context - (c.rows - 1) / 2.0);
        fmt::print("{:14} {:6} {:7} {:5} {:7} {:12.1f} {:7.2f} {:8.1f}\n", shape.what, type == KvType::kF16 ? "F16" : "Q8", c.streams, c.rows, c.context, time * 1e6, bytes / time / 1e9,
                   4.0 * pairs * shape.heads * shape.head_dim / time / 1e9);
        std::fflush(stdout);
      }
    }
  }
  return 0;
}
