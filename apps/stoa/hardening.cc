#include "hardening.h"

#include <string_view>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

namespace stoa::cli {
namespace {

constexpr std::string_view kSecretStarts[] = {"sk-stoa-", "eyJ"};  // keys, and tokens of jobs and providers

// The soft limit only, so that it can be taken back.
void set_core_limit(bool on) {
  rlimit limit{};
  if (getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = on ? limit.rlim_max : 0;
  (void)setrlimit(RLIMIT_CORE, &limit);
}

}  // namespace

void harden_process() {
  umask(077);
  set_core_limit(false);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // The leak check of a sanitizer attaches to its own process and would fail.
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

void allow_core_dumps() {
  set_core_limit(true);
  prctl(PR_SET_DUMPABLE, 1);
}

bool hide_keys(int argc, char** argv) {
  bool found = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    for (const std::string_view start : kSecretStarts) {
      const auto at = argument.find(start);
      if (at == std::string_view::npos) continue;
      found = true;
      for (std::size_t k = at + start.size(); k < argument.size(); ++k) argv[i][k] = '*';
      break;
    }
  }
  return found;
}

}  // namespace stoa::cli
