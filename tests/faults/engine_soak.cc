// The engine under clients that behave badly: engine_soak [--seconds N] [--clients N]
//
// Many clients ask a small random model at once, in a KV pool that is too small for all of them, and let their requests end in every
// way there is: read to the end, cancelled, abandoned, past their deadline, read slowly. In the end no request may hold a slot or a
// page, and the memory of the process must not have grown between the second quarter of the time and the last.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "base/log.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_generator.h"
#include "models/engine/tiny_model.h"

namespace {

using namespace stoa;
using namespace stoa::models;
using SteadyClock = std::chrono::steady_clock;

constexpr int kPages = 40;  // 1,280 tokens for 6 slots

std::size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

class Soak {
 public:
  Soak(LocalGenerator& generator, SteadyTime end) : generator_(generator), end_(end) {}

  void client(std::uint32_t seed) {
    std::mt19937 random(seed);
    while (SteadyClock::now() < end_) one(random);
  }

  bool failed() const { return failed_; }
  void print() const {
    for (const auto& [what, count] : outcomes_) std::cout << "  " << what << ": " << count << '\n';
  }

 private:
  void one(std::mt19937& random) {
    const auto pick = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
    ChatRequest request;
    request.prompt = std::string(static_cast<std::size_t>(32 * pick(12)), static_cast<char>('a' + pick(5)));  // a prefix that others have too
    for (int i = pick(40); i >= 0; --i) request.prompt += static_cast<char>('a' + pick(26));
    request.max_tokens = 1 + pick(200);
    request.ignore_eos = pick(2) == 0;
    request.priority = pick(8) == 0 ? 1 : 0;
    request.sampling.temperature = pick(3) == 0 ? 0 : 1;
    request.sampling.logprobs = pick(4) == 0 ? 2 : -1;
    Call call;
    call.principal.tenant = "tenant_" + std::to_string(pick(4));
    const int fate = pick(6);
    if (fate == 1) call.deadline = Deadline::after(std::chrono::milliseconds(1 + pick(60)));
    std::jthread canceller;
    if (fate == 2) {
      canceller = std::jthread([cancel = call.cancel, wait = pick(30)] {
        std::this_thread::sleep_for(std::chrono::milliseconds(wait));
        cancel.cancel();
      });
    }
    int deltas = pick(20);
    const auto outcome = generator_.generate(call, request, [&](const ChatDelta&) {
      if (fate == 3 && deltas-- == 0) return false;
      if (fate == 4 && deltas-- > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return true;
    });
    count(outcome);
    if (!outcome && outcome.error().retry_after > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // much sooner than it was asked to
  }

  void count(const Result<ChatOutcome>& outcome) {
    std::lock_guard lock(mutex_);
    if (outcome) {
      ++outcomes_[outcome->finish == FinishReason::kCancelled ? "cancelled" : "answered"];
      return;
    }
    switch (outcome.error().code) {
      case ErrorCode::kCancelled: ++outcomes_["cancelled before it began"]; break;
      case ErrorCode::kDeadlineExceeded: ++outcomes_["deadline passed"]; break;
      case ErrorCode::kUnavailable:
      case ErrorCode::kResourceExhausted: ++outcomes_["refused"]; break;
      default:
        std::cerr << "unexpected: " << outcome.error().message << '\n';
        failed_ = true;
    }
  }

  LocalGenerator& generator_;
  const SteadyTime end_;
  std::mutex mutex_;
  std::map<std::string, int> outcomes_;
  std::atomic<bool> failed_ = false;
};

// What is wrong in the end, or nothing.
std::string complaint(Metrics& metrics, const std::vector<std::size_t>& resident) {
  const auto gauge = [&](const char* name) { return metrics.gauge(name, "", {{"model", "soak"}}).value(); };
  for (const char* name : {"stoa_engine_kv_used_bytes", "stoa_engine_running_requests", "stoa_engine_queue_depth"}) {
    for (int i = 0; i < 1000 && gauge(name) != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (gauge(name) != 0) return fmt::format("{} is {} although no request is left", name, gauge(name));
  }
  if (gauge("stoa_engine_kv_cached_bytes") > gauge("stoa_engine_kv_size_bytes")) return "more is cached than there is";
  const std::size_t n = resident.size();
  if (n < 8) return "";
  const auto most = [&](std::size_t begin, std::size_t end) {
    return *std::max_element(resident.begin() + static_cast<std::ptrdiff_t>(begin), resident.begin() + static_cast<std::ptrdiff_t>(end));
  };
  const std::size_t before = most(n / 4, n / 2), after = most(3 * n / 4, n);
  if (after > before + before / 20 + (16 << 20)) return fmt::format("resident memory grew from {} to {} bytes", before, after);
  return "";
}

int soak(int seconds, int clients) {
  TinyModel model;
  model.width = 128;
  model.heads = 2;
  model.kv_heads = 1;
  model.feed_forward = 128;
  model.context_length = 1024;
  const auto path = std::filesystem::temp_directory_path() / fmt::format("engine_soak_{}.gguf", getpid());
  const auto bytes = model.build();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  Metrics metrics;
  ThreadPool threads(2);
  CpuBackend backend(threads);
  EngineOptions options;
  options.kv_bytes = KvLayout{.layers = model.layers, .kv_heads = model.kv_heads, .head_dim = model.head_dim}.page_bytes() * kPages;
  options.scheduler.slots = 6;
  options.scheduler.queue = 6;
  options.scheduler.outbox = 8;
  options.scheduler.guess_rows = 16;
  auto generator = LocalGenerator::load(path, "soak", options, backend, metrics);
  std::filesystem::remove(path);
  if (!generator) {
    std::cerr << generator.error().message << '\n';
    return 1;
  }
  const auto end = SteadyClock::now() + std::chrono::seconds(seconds);
  Soak soak(**generator, end);
  std::vector<std::size_t> resident;
  {
    std::vector<std::jthread> threads_of_clients;
    for (int i = 0; i < clients; ++i) threads_of_clients.emplace_back([&soak, i] { soak.client(static_cast<std::uint32_t>(i)); });
    while (SteadyClock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(std::clamp(seconds * 10, 50, 2000)));
      resident.push_back(resident_bytes());
    }
  }
  soak.print();
  const auto counter = [&](const char* name) { return metrics.counter(name, "", {{"model", "soak"}}).value(); };
  std::cout << fmt::format("  preemptions: {}\n  prompt tokens computed: {}, found: {}\n  guessed tokens: {}, right: {}\n  resident MiB:",
                           counter("stoa_engine_preemptions_total"), counter("stoa_engine_prompt_tokens_total"),
                           counter("stoa_engine_prefix_cache_hits_total"), counter("stoa_engine_draft_tokens_total"),
                           counter("stoa_engine_accepted_draft_tokens_total"));
  for (std::size_t i = 0; i < resident.size(); i += std::max<std::size_t>(1, resident.size() / 10)) std::cout << ' ' << (resident[i] >> 20);
  std::cout << '\n';
  const std::string wrong = complaint(metrics, resident);
  if (!wrong.empty()) std::cerr << "engine_soak: " << wrong << '\n';
  return soak.failed() || !wrong.empty() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, int> options = {{"--seconds", 5}, {"--clients", 12}};
  for (int i = 1; i + 1 < argc; i += 2) options[argv[i]] = std::atoi(argv[i + 1]);
  configure_log(LogLevel::kWarning, LogFormat::kText);
  return soak(std::max(1, options["--seconds"]), std::clamp(options["--clients"], 1, 256));
}
