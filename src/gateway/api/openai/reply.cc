#include "gateway/api/openai/reply.h"

#include <algorithm>

#include "base/id.h"
#include "gateway/api/openai/errors.h"

namespace stoa::gateway::openai {

infra::HttpResponse error_response(const Error& error, std::string_view) {
  const WireError wire = to_wire(error);
  return infra::HttpResponse::json(wire.status, dump_json(wire.body));
}

infra::HttpResponse render_http_error(const infra::HttpRequest&, int status, const Error& error) {
  const WireError wire = to_wire(error);
  auto response = infra::HttpResponse::json(status, dump_json(wire.body));
  response.headers.set("x-request-id", new_id("req"));
  response.headers.set("x-should-retry", wire.retryable ? "true" : "false");
  if (status == 429 || status == 503) response.headers.set("retry-after", std::to_string(std::max(1, error.retry_after)));
  return response;
}

}  // namespace stoa::gateway::openai
