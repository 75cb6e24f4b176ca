#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "contracts/events.h"
#include "feedback/telemetry/exposition.h"
#include "feedback/telemetry/process.h"
#include "feedback/telemetry/request_metrics.h"

namespace stoa::feedback {
namespace {

bool has_line(const std::string& page, const std::string& line) { return ("\n" + page).find("\n" + line + "\n") != std::string::npos; }

TEST(Exposition, WritesEachKind) {
  Metrics metrics;
  metrics.counter("stoa_requests_total", "Requests.", {{"route", "/v1/x"}, {"status", "200"}}).add(3);
  metrics.gauge("stoa_queue_depth", "Waiting requests.").set(-2.5);
  auto& histogram = metrics.histogram("stoa_latency_seconds", "Latency.", {0.1, 1});
  for (const double value : {0.05, 0.1, 0.5, 7.0}) histogram.observe(value);

  const std::string page = expose(metrics);
  for (const char* line : {
           "# HELP stoa_requests_total Requests.",
           "# TYPE stoa_requests_total counter",
           "stoa_requests_total{route=\"/v1/x\",status=\"200\"} 3",
           "# TYPE stoa_queue_depth gauge",
           "stoa_queue_depth -2.5",
           "# TYPE stoa_latency_seconds histogram",
           "stoa_latency_seconds_bucket{le=\"0.1\"} 2",
           "stoa_latency_seconds_bucket{le=\"1\"} 3",
           "stoa_latency_seconds_bucket{le=\"+Inf\"} 4",
           "stoa_latency_seconds_count 4",
       })
    EXPECT_TRUE(has_line(page, line)) << line << "\nin\n" << page;
}

TEST(Exposition, EscapesLabelValues) {
  Metrics metrics;
  metrics.gauge("stoa_odd", "Odd labels.", {{"path", "a\"b\\c\nd"}}).set(1);
  EXPECT_TRUE(has_line(expose(metrics), "stoa_odd{path=\"a\\\"b\\\\c\\nd\"} 1")) << expose(metrics);
}

TEST(Process, ReadsTheSystem) {
  Metrics metrics;
  ProcessMetrics process(metrics, {"1.2.3", "a compiler"});
  EXPECT_GT(metrics.gauge("process_resident_memory_bytes", "").value(), 1e5);
  EXPECT_GE(metrics.gauge("process_threads", "").value(), 1);
  EXPECT_GT(metrics.gauge("process_start_time_seconds", "").value(), 1.6e9);
  const double open_before = metrics.gauge("process_open_fds", "").value();
  const int file = dup(0);
  process.sample();
  EXPECT_EQ(metrics.gauge("process_open_fds", "").value(), open_before + 1);
  close(file);
  EXPECT_TRUE(has_line(expose(metrics), "stoa_build_info{version=\"1.2.3\",compiler=\"a compiler\"} 1")) << expose(metrics);
}

TEST(Exposition, SatisfiesPromtool) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) GTEST_SKIP() << "promtool (package prometheus) is not installed";
  Metrics metrics;
  ProcessMetrics process(metrics, {"1.2.3", "a \"compiler\""});
  metrics.counter("stoa_requests_total", "Requests.", {{"route", "/v1/x"}}).add(3);
  metrics.histogram("stoa_latency_seconds", "Latency.", {0.1, 1}).observe(3);
  const std::string file = testing::TempDir() + "stoa_exposition.txt";
  std::ofstream(file) << expose(metrics);
  EXPECT_EQ(std::system(("promtool check metrics <" + file).c_str()), 0) << expose(metrics);
}

TEST(Exposition, RoutersFindTheNamesTheyRead) {
  Metrics metrics;
  metrics.gauge("stoa_engine_queue_depth", "Waiting.", {{"model", "m"}}).set(3);
  metrics.gauge("stoa_other", "Something else.", {{"model", "m"}}).set(1);
  EXPECT_FALSE(expose(metrics).contains("vllm:"));
  const std::string page = expose(metrics, MetricNames::kRouters);
  EXPECT_TRUE(has_line(page, "stoa_engine_queue_depth{model=\"m\"} 3")) << page;
  EXPECT_TRUE(has_line(page, "vllm:num_requests_waiting{model_name=\"m\"} 3")) << page;
  EXPECT_FALSE(page.contains("stoa_other{model_name")) << page;
}

TEST(RequestMetrics, CountWhatRequestsUsed) {
  Metrics metrics;
  RequestMetrics requests(metrics);
  Usage usage;
  usage.prompt_tokens = 3;
  usage.completion_tokens = 4;
  usage.compute_micros = 500'000;
  for (int i = 0; i < 2; ++i) requests.count("m", usage, 7);
  requests.count("", usage, 7);
  const std::string page = expose(metrics);
  for (const char* line : {"stoa_tokens_total{model=\"m\",direction=\"input\"} 6", "stoa_tokens_total{model=\"m\",direction=\"output\"} 8",
                           "stoa_compute_seconds_total{model=\"m\"} 1", "stoa_cost_micro_units_total{model=\"m\"} 14"})
    EXPECT_TRUE(has_line(page, line)) << line << "\n" << page;
}

}  // namespace
}  // namespace stoa::feedback
