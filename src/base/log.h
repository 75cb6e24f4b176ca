// Structured logging: one line an event, a message and key=value fields. Text on a terminal, JSON lines elsewhere
// (or as configured). Lines go to standard error. Thread-safe. Never log secrets, prompts or answers; keys that
// get into a line all the same are made unreadable (base/redact.h).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace stoa {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : std::uint8_t { kText, kJson };

struct LogField {
  std::string_view key;
  std::variant<std::int64_t, double, bool, std::string> value;
};

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
void log_error(std::string_view message, const Error& error, std::initializer_list<LogField> fields = {});

// Process-wide, set once by main before threads start.
void configure_log(LogLevel level, LogFormat format);
Result<LogLevel> parse_log_level(std::string_view name);  // debug info warning error off

}  // namespace stoa
