#include "data/parse/apart.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <new>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stoa::data {
namespace {

constexpr int kOut = 3, kNoMemory = 10, kFailed = 11;
constexpr int kPoll = 200;  // milliseconds between looks at the deadline

// Address space that this process has mapped, models included.
std::size_t mapped_bytes() {
  std::size_t pages = 0;
  if (std::FILE* statm = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(statm, "%zu", &pages) != 1) pages = 0;
    std::fclose(statm);
  }
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

bool write_all(int file, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(file, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

[[noreturn]] void child(const std::function<std::string()>& work, int out, std::size_t address_space, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kFailed);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, SIG_DFL);
  // Connections that the server closes have to close, and what the reader complains of is no line of the server's log.
  const int nowhere = ::open("/dev/null", O_RDWR);
  if (nowhere < 0 || ::dup2(nowhere, 0) < 0 || ::dup2(nowhere, 1) < 0 || ::dup2(nowhere, 2) < 0 || ::dup2(out, kOut) < 0) ::_exit(kFailed);
  ::close_range(kOut + 1, ~0U, 0);
  const rlimit none{0, 0}, space{address_space, address_space};
  ::setrlimit(RLIMIT_CORE, &none);
  if (address_space != 0) ::setrlimit(RLIMIT_AS, &space);
  try {
    ::_exit(write_all(kOut, work()) ? 0 : kFailed);
  } catch (const std::bad_alloc&) {
    ::_exit(kNoMemory);
  } catch (...) {
    ::_exit(kFailed);
  }
}

enum class End { kWhole, kLate, kLarge };

End read_answer(int in, const ApartLimits& limits, std::string& answer) {
  std::array<char, 64 << 10> piece;
  while (true) {
    if (limits.deadline.passed()) return End::kLate;
    pollfd waiting{in, POLLIN, 0};
    if (::poll(&waiting, 1, kPoll) <= 0) continue;
    const ssize_t n = ::read(in, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return End::kWhole;
    if (answer.size() + static_cast<std::size_t>(n) > limits.answer) return End::kLarge;
    answer.append(piece.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

Result<std::string> run_apart(const std::function<std::string()>& work, const ApartLimits& limits) {
  const std::size_t address_space = limits.memory == 0 ? 0 : mapped_bytes() + limits.memory;
  const pid_t self = ::getpid();
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(ErrorCode::kUnavailable, "no pipe could be made (errno {})", errno);
  const pid_t process = ::fork();
  if (process == 0) child(work, pipe[1], address_space, self);
  ::close(pipe[1]);
  if (process < 0) {
    ::close(pipe[0]);
    return fail(ErrorCode::kUnavailable, "no process could be made (errno {})", errno);
  }
  std::string answer;
  const End end = read_answer(pipe[0], limits, answer);
  ::close(pipe[0]);
  if (end != End::kWhole) ::kill(process, SIGKILL);
  int status = 0;
  while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {}
  if (end == End::kLate) return fail(ErrorCode::kDeadlineExceeded, "reading it took too long");
  if (end == End::kLarge) return fail(ErrorCode::kTooLarge, "more than {} bytes came out of it", limits.answer);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return answer;
  // Readers written in C end the process in their own ways when there is no memory left.
  if (WIFEXITED(status) && WEXITSTATUS(status) != kFailed) return fail(ErrorCode::kTooLarge, "reading it takes more memory than the {} MiB there are for it", limits.memory >> 20);
  return fail(error(ErrorCode::kInvalidArgument, "its reader crashed, or ran out of the {} MiB there are for it", limits.memory >> 20).with_hint("open it in a viewer and save it again"));
}

}  // namespace stoa::data
