// Prints how fast matrix products run: GB/s of weights, also as a share of the read bandwidth probed just before (what bounds few input
// rows, as in decoding), and GOP/s (what bounds many). The weights of each line are used in turn from 192 MiB, so that they come from
// memory as in decoding.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "models/compute/cpu/cpu_compute.h"
#include "models/measure/bandwidth.h"

namespace {

using namespace stoa::models;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kProbe{100};

struct Shape {
  const char* what;
  int rows;
  int cols;
};

// Matrices of SmolLM2-135M, Qwen2.5-0.5B and Llama-3.2-1B.
constexpr Shape kShapes[] = {
    {"smol-gate", 1536, 576},  {"smol-down", 576, 1536},   {"smol-head", 49152, 576},  {"qwen-q", 896, 896},         {"qwen-gate", 4864, 896},
    {"qwen-down", 896, 4864},  {"qwen-head", 151936, 896}, {"llama-gate", 8192, 2048}, {"llama-down", 2048, 8192},   {"llama-head", 128256, 2048},
};

constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                            DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

// Bytes whose scales are finite whatever the format: every half has its exponent kept small.
std::vector<std::byte> weight_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    const std::uint64_t bits = random() & 0x3b3b3b3b3b3b3b3bULL;
    std::memcpy(bytes.data() + i, &bits, 8);
  }
  return bytes;
}

struct Speed {
  double median_us;
  double best_us;
  double gigabytes;  // at the median
  double gigaops;
};

Speed measure(ThreadPool& pool, Compute& compute, DType dtype, const Shape& shape, int m, double seconds, std::span<const std::byte> bytes) {
  const std::size_t size = dtype_bytes(dtype, static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(shape.cols));
  std::vector<Weights> copies;
  PackedWeights packed(pool);
  for (std::size_t at = 0; at + size <= bytes.size(); at += size) {
    copies.push_back(packed.add(make_weights(dtype, shape.rows, shape.cols, bytes.subspan(at, size)).value()).value());
  }
  std::vector<float> x(static_cast<std::size_t>(m) * static_cast<std::size_t>(shape.cols));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
  std::vector<float> y(static_cast<std::size_t>(m) * static_cast<std::size_t>(shape.rows));
  // The median of rounds says what a shared machine gives; the best what the kernels can do.
  std::vector<double> rounds;
  std::size_t next = 0;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  const int repeat = m == 1 ? std::max<int>(1, static_cast<int>((8 << 20) / size)) : 1;
  while (rounds.size() < 5 || Clock::now() < end) {
    const auto start = Clock::now();
    for (int i = 0; i < repeat; ++i) {
      const Product product = {.w = &copies[next++ % copies.size()], .y = y.data(), .y_stride = shape.rows};
      compute.matmul(x.data(), shape.cols, m, shape.cols, {&product, 1});
    }
    rounds.push_back(std::chrono::duration<double>(Clock::now() - start).count() / repeat);
  }
  std::ranges::sort(rounds);
  const double best = rounds.front(), median = rounds[rounds.size() / 2];
  const double ops = 2.0 * m * shape.rows * shape.cols;
  return {median * 1e6, best * 1e6, static_cast<double>(size) / median / 1e9, ops / best / 1e9};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Speed of matrix products by weight type and shape");
  int threads = 2;
  std::string isa_name = "auto";
  std::string only;
  std::string shape_name;
  std::vector<int> columns = {1, 4, 8, 16, 64, 512};
  double seconds = 0.2;
  app.add_option("--threads", threads, "threads, the caller included")->capture_default_str();
  app.add_option("--isa", isa_name, "auto, plain, avx2, avx512 or avx512_bf16")->capture_default_str();
  app.add_option("--type", only, "one weight type, such as Q4_1 (default: all)");
  app.add_option("--shape", shape_name, "the shapes whose name contains this (default: all)");
  app.add_option("--m", columns, "input rows")->capture_default_str();
  app.add_option("--seconds", seconds, "time for each line")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto isa = choose_isa(isa_name);
  if (!isa) {
    fmt::print(stderr, "{} ({})\n", isa.error().message, isa.error().hint);
    return 2;
  }
  ThreadPool pool(threads);
  CpuCompute compute(pool, *isa);
  const std::vector<std::byte> bytes = weight_bytes(std::size_t{192} << 20);
  fmt::print("{} threads, {}\n{:5} {:22} {:>4} {:>10} {:>10} {:>7} {:>9} {:>8}\n", pool.threads(), stoa::models::isa_name(*isa), "type", "shape", "m", "median us",
             "best us", "GB/s", "of probed", "GOP/s");
  for (const DType dtype : kTypes) {
    const DTypeInfo& info = dtype_info(dtype);
    if (!only.empty() && only != info.name) continue;
    for (const Shape& shape : kShapes) {
      if (shape.cols % info.block_values != 0 || std::string_view(shape.what).find(shape_name) == std::string_view::npos) continue;
      if (dtype_bytes(dtype, static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(shape.cols)) > bytes.size()) continue;
      const double bandwidth = read_bandwidth(pool, kProbe) * 1e-9;
      for (const int m : columns) {
        const Speed speed = measure(pool, compute, dtype, shape, m, seconds, bytes);
        fmt::print("{:5} {:22} {:4} {:10.1f} {:10.1f} {:7.2f} {:8.0f}% {:8.1f}\n", info.name, fmt::format("{} {}x{}", shape.what, shape.rows, shape.cols), m,
                   speed.median_us, speed.best_us, speed.gigabytes, 100 * speed.gigabytes / bandwidth, speed.gigaops);
        std::fflush(stdout);
      }
    }
  }
  return 0;
}
