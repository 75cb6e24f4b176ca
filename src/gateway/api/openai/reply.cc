#include "gateway/api/openai/reply.h"

#include "gateway/api/early_error.h"
#include "gateway/api/openai/errors.h"

namespace stoa::gateway::openai {

infra::HttpResponse error_response(const Error& error, std::string_view) {
  const WireError wire = to_wire(error);
  return infra::HttpResponse::json(wire.status, dump_json(wire.body));
}

infra::HttpResponse render_http_error(const infra::HttpRequest&, int status, const Error& error) { return early_error(status, error, error_response); }

}  // namespace stoa::gateway::openai
