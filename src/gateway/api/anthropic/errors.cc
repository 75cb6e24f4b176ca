#include "gateway/api/anthropic/errors.h"

#include "base/error_table.h"
#include "base/utf8.h"
#include "gateway/api/early_error.h"
#include "gateway/api/generation.h"

namespace stoa::gateway::anthropic {
namespace {

constexpr std::string_view kMessages = "/v1/messages";

std::string_view type_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCancelled: return "invalid_request_error";
    case ErrorCode::kUnauthenticated: return "authentication_error";
    case ErrorCode::kPermissionDenied: return "permission_error";
    case ErrorCode::kNotFound: return "not_found_error";
    case ErrorCode::kConflict: return "conflict_error";
    case ErrorCode::kTooLarge: return "request_too_large";
    case ErrorCode::kResourceExhausted: return "rate_limit_error";
    case ErrorCode::kUnavailable: return "overloaded_error";
    case ErrorCode::kDeadlineExceeded: return "timeout_error";
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal: break;
  }
  return "api_error";
}

ErrorCode shown_code(const Error& error) { return is_context_overflow(error) ? ErrorCode::kInvalidArgument : error.code; }

std::string message_of(const Error& error) {
  std::string out = is_context_overflow(error) ? "prompt is too long: " + error.message : error.message;
  if (!error.param.empty() && !out.contains(error.param)) out.insert(0, error.param + ": ");
  if (!error.hint.empty()) out += " (" + error.hint + ")";
  return to_valid_utf8(out);  // messages repeat what was asked for, which may be any bytes
}

}  // namespace

JsonObject error_json(const Error& error, std::string_view request_id) {
  JsonObject inner, out;
  inner["type"] = type_of(shown_code(error));
  inner["message"] = message_of(error);
  out["type"] = "error";
  out["error"] = std::move(inner);
  out["request_id"] = request_id;
  return out;
}

infra::HttpResponse error_response(const Error& error, std::string_view request_id) {
  return infra::HttpResponse::json(error_info(shown_code(error)).http_status, dump_json(error_json(error, request_id)));
}

bool is_ours(std::string_view path) { return path == kMessages || (path.starts_with(kMessages) && path[kMessages.size()] == '/'); }

infra::HttpResponse render_http_error(const infra::HttpRequest&, int status, const Error& error) { return early_error(status, error, error_response); }

}  // namespace stoa::gateway::anthropic
