#include "feedback/telemetry/process.h"

#include <sys/resource.h>
#include <sys/times.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace stoa::feedback {
namespace {

// The fields of /proc/self/stat that matter here (proc(5)); the name in field 2 may hold spaces, so reading starts after its ')'.
struct Stat {
  double cpu_ticks = 0;
  double threads = 0;
  double start_ticks = 0;
  double virtual_bytes = 0;
  double resident_pages = 0;
};

bool read_stat(Stat& stat) {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return false;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  double user = 0, system = 0;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  fields >> user >> system;                                    // 14, 15
  for (int field = 16; field < 20; ++field) fields >> skipped;
  fields >> stat.threads >> skipped >> stat.start_ticks;       // 20, 21, 22
  fields >> stat.virtual_bytes >> stat.resident_pages;         // 23, 24
  stat.cpu_ticks = user + system;
  return !fields.fail();
}

double boot_time() {
  std::ifstream file("/proc/stat");
  std::string word;
  double seconds = 0;
  while (file >> word)
    if (word == "btime" && file >> seconds) return seconds;
  return 0;
}

}  // namespace

ProcessMetrics::ProcessMetrics(Metrics& metrics, const BuildInfo& build)
    : cpu_(metrics.counter("process_cpu_seconds_total", "User and system CPU time spent, in seconds.")),
      resident_(metrics.gauge("process_resident_memory_bytes", "Resident memory size, in bytes.")),
      virtual_(metrics.gauge("process_virtual_memory_bytes", "Virtual memory size, in bytes.")),
      open_files_(metrics.gauge("process_open_fds", "Number of open file descriptors.")),
      max_files_(metrics.gauge("process_max_fds", "Maximum number of open file descriptors.")),
      threads_(metrics.gauge("process_threads", "Number of operating system threads.")) {
  metrics.gauge("stoa_build_info", "Version and compiler of the running build; the value is always 1.",
                {{"version", build.version}, {"compiler", build.compiler}}).set(1);
  Stat stat;
  if (read_stat(stat))
    metrics.gauge("process_start_time_seconds", "Start time of the process since the Unix epoch, in seconds.")
        .set(boot_time() + stat.start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
  sample();
}

void ProcessMetrics::sample() {
  if (Stat stat; read_stat(stat)) {
    // A counter can only grow, so it is moved by the difference to the last reading.
    const double cpu = stat.cpu_ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
    if (cpu > cpu_.value()) cpu_.add(cpu - cpu_.value());
    resident_.set(stat.resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
    virtual_.set(stat.virtual_bytes);
    threads_.set(stat.threads);
  }
  std::error_code failed;
  std::filesystem::directory_iterator files("/proc/self/fd", failed);
  if (!failed) open_files_.set(static_cast<double>(std::distance(files, {})) - 1);  // without the folder being read
  if (rlimit limit{}; getrlimit(RLIMIT_NOFILE, &limit) == 0) max_files_.set(static_cast<double>(limit.rlim_cur));
}

}  // namespace stoa::feedback
