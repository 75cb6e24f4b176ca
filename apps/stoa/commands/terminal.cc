#include "commands/terminal.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "base/error_table.h"
#include "base/utf8.h"

namespace stoa::cli {
namespace {

bool colours() {
  return is_terminal(STDOUT_FILENO) && std::getenv("NO_COLOR") == nullptr;
}

std::string coloured(std::string_view code, std::string_view text) {
  return colours() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::size_t width(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    if (text.starts_with("\x1b[")) {  // a colour takes no room
      text.remove_prefix(std::min(text.size(), text.find('m') + 1));
      continue;
    }
    text.remove_prefix(decode_rune(text).size);
    ++columns;
  }
  return columns;
}

}  // namespace

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return kExitUsage;
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied: return kExitDenied;
    case ErrorCode::kNotFound: return kExitNotFound;
    case ErrorCode::kResourceExhausted: return kExitBusy;
    case ErrorCode::kUnavailable: return kExitUnreachable;
    case ErrorCode::kCancelled: return kExitInterrupted;
    default: return kExitFailure;
  }
}

int report(const Error& error, bool json) {
  if (json) {
    JsonObject object{{"code", error_info(error.code).name}, {"message", error.message}};
    if (!error.hint.empty()) object["hint"] = error.hint;
    fmt::print("{}\n", dump_json(JsonObject{{"error", object}}));
  } else {
    fmt::print(stderr, "{} {}\n", is_terminal(STDERR_FILENO) ? bad("error:") : "error:", error.message);
    if (!error.hint.empty()) fmt::print(stderr, "hint: {}\n", error.hint);
  }
  return exit_code(error.code);
}

bool is_terminal(int fd) { return isatty(fd) == 1; }
std::string bold(std::string_view text) { return coloured("1", text); }
std::string dim(std::string_view text) { return coloured("2", text); }
std::string good(std::string_view text) { return coloured("32", text); }
std::string bad(std::string_view text) { return coloured("31", text); }

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t i = 0; i < rows[r].size(); ++i) {
      out += r == 0 ? bold(rows[r][i]) : rows[r][i];
      if (i + 1 < rows[r].size()) out.append(widths[i] - width(rows[r][i]) + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

std::string human_bytes(std::int64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (value < 1000) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

std::string human_cost(std::int64_t micros) {
  const std::int64_t magnitude = micros < 0 ? -micros : micros;
  return fmt::format("{}${}.{:06}", micros < 0 ? "-" : "", magnitude / 1'000'000, magnitude % 1'000'000);
}

Progress::~Progress() { finish(); }

void Progress::show(std::string_view line) {
  const bool terminal = is_terminal(STDERR_FILENO);
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (now - last_ < (terminal ? 100 : 5000)) return;
  last_ = now;
  if (terminal) {
    fmt::print(stderr, "\r\x1b[K{}", line);
    open_ = true;
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  std::fflush(stderr);
}

void Progress::finish() {
  if (open_) fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  open_ = false;
}

}  // namespace stoa::cli
