// Result<T>: a value or an Error. Every fallible function of Stoa returns one; exceptions stop at adapters.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace stoa {

// What went wrong, in the few kinds a caller can act on. Meaning, name and HTTP status of each: base/error_table.h.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,
  kUnauthenticated,
  kPermissionDenied,
  kNotFound,
  kConflict,
  kTooLarge,
  kResourceExhausted,
  kUnavailable,
  kDeadlineExceeded,
  kCancelled,
  kDataLoss,
  kUnsupported,
  kInternal,
};

// An error names the file or value that is wrong in `message`, and the next step in `hint` (may be empty).
// `param` is the request field at fault where there is one (for example "messages[0].content"). `retry_after` is an estimate of the
// seconds after which the same request may succeed, 0 when nothing is known.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string hint;
  std::string param;
  int retry_after = 0;

  Error&& with_hint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  Error&& with_param(std::string name) && {
    param = std::move(name);
    return std::move(*this);
  }
  Error&& with_retry_after(int seconds) && {
    retry_after = seconds;
    return std::move(*this);
  }
  // Puts "context: " before the message: adapters use it to name the file being read.
  Error&& in(std::string_view context) && {
    message = std::string(context) + ": " + message;
    return std::move(*this);
  }
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// error(code, "format {}", args...) makes an Error; fail(...) makes what a function returning Result returns.
template <class... Args>
[[nodiscard]] Error error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...), {}, {}, 0};
}
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(error(code, format, std::forward<Args>(args)...));
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace stoa

// Propagation needs to return from the caller, which a function cannot do; these two are the project's only macros.
//   STOA_TRY(value, expression);   declares `value` (a reference to the content) or returns the error
//   STOA_CHECK(expression);        returns the error if there is one
#define STOA_TRY(name, ...)                                        \
  auto name##_result = (__VA_ARGS__);                              \
  if (!name##_result) return std::unexpected(std::move(name##_result).error()); \
  auto& name = *name##_result
#define STOA_CHECK(...)                                                                             \
  do {                                                                                              \
    if (auto stoa_status = (__VA_ARGS__); !stoa_status) return std::unexpected(std::move(stoa_status).error()); \
  } while (false)
