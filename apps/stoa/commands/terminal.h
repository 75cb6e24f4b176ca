// How commands talk to people and to scripts: colour and progress on a terminal only, JSON when asked, and exit codes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace stoa::cli {

// Documented in docs/operating/cli.md; scripts rely on them.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // the command ran and did not succeed
  kExitUsage = 2,        // wrong arguments or configuration
  kExitUnreachable = 3,  // no server answers, or it is not ready
  kExitDenied = 4,       // no key, a wrong key, or not allowed
  kExitNotFound = 5,
  kExitBusy = 6,         // limits or budgets are used up: try again later
  kExitInterrupted = 130,
};

ExitCode exit_code(ErrorCode code);

// Prints "error: message" and the hint to standard error (as a JSON object on standard output with --json); returns the exit code.
int report(const Error& error, bool json);

bool is_terminal(int fd);
// The text in bold, dim, green or red where standard output is a terminal and NO_COLOR is not set.
std::string bold(std::string_view text);
std::string dim(std::string_view text);
std::string good(std::string_view text);
std::string bad(std::string_view text);

// Columns aligned by display width; the first row is the header.
std::string table(const std::vector<std::vector<std::string>>& rows);

// "1.4 GB", "93.8 MB", "512 B".
std::string human_bytes(std::int64_t bytes);
// Micro-units of a currency: "$0.000042".
std::string human_cost(std::int64_t micros);

// A line on standard error that is rewritten in place on a terminal; elsewhere a line at most every five seconds.
class Progress {
 public:
  ~Progress();
  void show(std::string_view line);
  void finish();

 private:
  std::int64_t last_ = 0;
  bool open_ = false;
};

}  // namespace stoa::cli
