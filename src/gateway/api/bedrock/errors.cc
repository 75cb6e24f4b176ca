#include "gateway/api/bedrock/errors.h"

#include "base/error_table.h"
#include "base/utf8.h"
#include "gateway/api/early_error.h"
#include "gateway/api/generation.h"

namespace stoa::gateway::bedrock {
namespace {

struct Names {
  std::string_view whole, streamed;  // streams know five
};

Names names_of(ErrorCode code) {
  constexpr std::string_view kInvalid = "validationException", kThrottled = "throttlingException", kAway = "serviceUnavailableException", kModel = "modelStreamErrorException",
                             kInternal = "internalServerException";
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kConflict:
    case ErrorCode::kCancelled:
    case ErrorCode::kTooLarge: return {"ValidationException", kInvalid};
    case ErrorCode::kUnauthenticated: return {"UnrecognizedClientException", kInvalid};
    case ErrorCode::kPermissionDenied: return {"AccessDeniedException", kInvalid};
    case ErrorCode::kNotFound: return {"ResourceNotFoundException", kInvalid};
    case ErrorCode::kResourceExhausted: return {"ThrottlingException", kThrottled};
    case ErrorCode::kUnavailable: return {"ServiceUnavailableException", kAway};
    case ErrorCode::kDeadlineExceeded: return {"ModelTimeoutException", kModel};
    case ErrorCode::kDataLoss:
    case ErrorCode::kInternal: break;
  }
  return {"InternalServerException", kInternal};
}

ErrorCode shown_code(const Error& error) { return is_context_overflow(error) ? ErrorCode::kInvalidArgument : error.code; }

}  // namespace

JsonObject error_json(const Error& error) {
  std::string text = is_context_overflow(error) ? "Input is too long for requested model: " + error.message : error.message;
  if (!error.param.empty() && !text.contains(error.param)) text.insert(0, error.param + ": ");
  if (!error.hint.empty()) text += " (" + error.hint + ")";
  JsonObject out;
  out["message"] = to_valid_utf8(text);  // messages repeat what was asked for, which may be any bytes
  return out;
}

infra::HttpResponse error_response(const Error& error, std::string_view request_id) {
  auto response = infra::HttpResponse::json(error_info(shown_code(error)).http_status, dump_json(error_json(error)));
  response.headers.add("x-amzn-errortype", std::string(names_of(shown_code(error)).whole));
  response.headers.add("x-amzn-requestid", std::string(request_id));
  return response;
}

std::string_view stream_exception(const Error& error) { return names_of(shown_code(error)).streamed; }

bool is_ours(std::string_view path) { return path.starts_with("/model/"); }

infra::HttpResponse render_http_error(const infra::HttpRequest&, int status, const Error& error) { return early_error(status, error, error_response); }

}  // namespace stoa::gateway::bedrock
