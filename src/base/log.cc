#include "base/log.h"

#include <atomic>
#include <cstdio>

#include "base/error_table.h"
#include "base/json.h"
#include "base/redact.h"
#include "base/time.h"
#include "base/utf8.h"

namespace stoa {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogFormat> g_format{LogFormat::kText};
constexpr std::string_view kNames[] = {"debug", "info", "warning", "error", "off"};

// One line, whatever a name or a path from outside holds: nobody writes lines of their own, or to the terminal of who reads them.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : to_valid_utf8(text)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) line += fmt::format("\\x{:02x}", c);
    else line += c;
  }
  return line;
}

std::string value_text(const LogField& field) {
  return std::visit(
      [](const auto& value) -> std::string {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
          return value.find_first_of(" \"\n=") == std::string::npos && !value.empty() ? one_line(value) : one_line(dump_json(Json(value)));
        else
          return fmt::format("{}", value);
      },
      field.value);
}

std::string text_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  std::string line = fmt::format("{} {:<7} {}", to_rfc3339(Clock::system().now()), kNames[static_cast<int>(level)], one_line(message));
  for (const auto& field : fields) line += fmt::format(" {}={}", field.key, value_text(field));
  return line;
}

std::string json_line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  JsonObject object{{"time", to_rfc3339(Clock::system().now())}, {"level", kNames[static_cast<int>(level)]}, {"message", to_valid_utf8(message)}};
  for (const auto& field : fields)
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) object[field.key] = to_valid_utf8(value);
          else object[field.key] = value;
        },
        field.value);
  return dump_json(object);
}

}  // namespace

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  std::string line = g_format == LogFormat::kText ? text_line(level, message, fields) : json_line(level, message, fields);
  line = redact_secrets(std::move(line)) + '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // one call: lines of several threads do not mix
}

void log_error(std::string_view message, const Error& error, std::initializer_list<LogField> fields) {
  const std::string text = fmt::format("{}: {} ({}){}{}", message, error.message, error_info(error.code).name,
                                       error.hint.empty() ? "" : "; ", error.hint);
  log(LogLevel::kError, text, fields);
}

void configure_log(LogLevel level, LogFormat format) {
  g_level = level;
  g_format = format;
}

Result<LogLevel> parse_log_level(std::string_view name) {
  for (int i = 0; i < 5; ++i)
    if (kNames[i] == name) return static_cast<LogLevel>(i);
  return fail(ErrorCode::kInvalidArgument, "log level '{}' is not one of debug, info, warning, error, off", name);
}

}  // namespace stoa
