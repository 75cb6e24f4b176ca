#include "gateway/api/early_error.h"

#include <algorithm>

#include "base/error_table.h"
#include "base/id.h"

namespace stoa::gateway {

infra::HttpResponse early_error(int status, const Error& error, const ErrorBody& body) {
  const std::string id = new_id("req");
  infra::HttpResponse response = body(error, id);
  response.status = status;
  response.headers.set("x-request-id", id);
  response.headers.set("request-id", id);
  response.headers.set("x-should-retry", error_info(error.code).retryable ? "true" : "false");
  if (status == 429 || status == 503) response.headers.set("retry-after", std::to_string(std::max(1, error.retry_after)));
  return response;
}

}  // namespace stoa::gateway
