// The one table that says what each ErrorCode means and which HTTP status it becomes.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace stoa {

struct ErrorInfo {
  ErrorCode code;
  std::string_view name;     // stable, snake_case; used in logs, metrics, JSON
  int http_status;
  bool retryable;            // the same call may succeed later, unchanged
  std::string_view meaning;
};

std::span<const ErrorInfo> error_table();
const ErrorInfo& error_info(ErrorCode code);

}  // namespace stoa
