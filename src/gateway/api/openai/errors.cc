#include "gateway/api/openai/errors.h"

#include "base/error_table.h"
#include "base/utf8.h"
#include "gateway/api/generation.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::string_view kContextOverflow = "context_length_exceeded";

struct Names {
  std::string_view type;
  std::string_view code;  // empty: null on the wire
};

Names names_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kUnauthenticated: return {"invalid_request_error", "invalid_api_key"};
    case ErrorCode::kPermissionDenied: return {"permission_error", "permission_denied"};
    case ErrorCode::kNotFound: return {"invalid_request_error", error.param == "model" ? "model_not_found" : "not_found"};
    case ErrorCode::kConflict: return {"invalid_request_error", "conflict"};
    case ErrorCode::kTooLarge: return {"invalid_request_error", "request_too_large"};
    case ErrorCode::kResourceExhausted: return {"rate_limit_error", "rate_limit_exceeded"};
    case ErrorCode::kUnavailable: return {"service_unavailable_error", "unavailable"};
    case ErrorCode::kDeadlineExceeded: return {"timeout_error", "deadline_exceeded"};
    case ErrorCode::kCancelled: return {"invalid_request_error", "cancelled"};
    case ErrorCode::kUnsupported: return {"invalid_request_error", "unsupported"};
    case ErrorCode::kInvalidArgument: return {"invalid_request_error", ""};
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal: break;
  }
  return {"server_error", error_info(error.code).name};
}

}  // namespace

WireError to_wire(const Error& error) {
  const bool overflow = is_context_overflow(error);
  const ErrorInfo& info = error_info(overflow ? ErrorCode::kInvalidArgument : error.code);
  const Names names = overflow ? Names{"invalid_request_error", kContextOverflow} : names_of(error);
  JsonObject inner;
  // Messages repeat what was asked for, which may be any bytes.
  inner["message"] = to_valid_utf8(error.hint.empty() ? error.message : error.message + " (" + error.hint + ")");
  inner["type"] = names.type;
  inner["param"] = error.param.empty() ? Json(nullptr) : Json(to_valid_utf8(error.param));
  inner["code"] = names.code.empty() ? Json(nullptr) : Json(names.code);
  WireError wire{.status = info.http_status, .retryable = info.retryable, .body = {}};
  wire.body["error"] = std::move(inner);
  return wire;
}

Error unknown_model(std::string_view model) {
  return error(ErrorCode::kNotFound, "the model '{}' does not exist or you do not have access to it", model)
      .with_param("model")
      .with_hint("GET /v1/models lists the models of this server");
}

}  // namespace stoa::gateway::openai
