#include "base/error_table.h"

#include <array>

namespace stoa {
namespace {

constexpr std::array kTable{
    ErrorInfo{ErrorCode::kInvalidArgument, "invalid_argument", 400, false, "The input is wrong; the same input will fail again."},
    ErrorInfo{ErrorCode::kUnauthenticated, "unauthenticated", 401, false, "No credentials, or credentials that are not valid (any more)."},
    ErrorInfo{ErrorCode::kPermissionDenied, "permission_denied", 403, false, "The principal is known and may not do this."},
    ErrorInfo{ErrorCode::kNotFound, "not_found", 404, false, "The thing does not exist, or the principal may not know that it does."},
    ErrorInfo{ErrorCode::kConflict, "conflict", 409, false, "The thing exists already or has changed since it was read."},
    ErrorInfo{ErrorCode::kTooLarge, "too_large", 413, false, "A body, file or prompt exceeds its limit."},
    ErrorInfo{ErrorCode::kResourceExhausted, "resource_exhausted", 429, true, "A quota, queue or budget is used up."},
    ErrorInfo{ErrorCode::kUnavailable, "unavailable", 503, true, "A needed part is not ready, is shutting down or cannot be reached."},
    ErrorInfo{ErrorCode::kDeadlineExceeded, "deadline_exceeded", 504, true, "The time given for the call has passed."},
    ErrorInfo{ErrorCode::kCancelled, "cancelled", 499, false, "The caller went away or asked to stop."},
    ErrorInfo{ErrorCode::kDataLoss, "data_loss", 500, false, "Stored bytes are corrupt or lie about themselves."},
    ErrorInfo{ErrorCode::kUnsupported, "unsupported", 400, false, "A known feature or format that is not to be had here: clients ask again after a 5xx, and this will not change."},
    ErrorInfo{ErrorCode::kInternal, "internal", 500, false, "A defect in Stoa, or a failure of the machine under it."},
};

}  // namespace

std::span<const ErrorInfo> error_table() { return kTable; }

const ErrorInfo& error_info(ErrorCode code) { return kTable[static_cast<std::size_t>(code)]; }

}  // namespace stoa
