// What handlers of this dialect return, and how errors look on the wire.
#pragma once

#include <optional>

#include "base/json.h"
#include "infra/http/router.h"

namespace stoa::gateway::openai {

// The response, nothing when it was streamed, or an error.
using Reply = Result<std::optional<infra::HttpResponse>>;

inline Reply ok_json(const JsonObject& body) { return infra::HttpResponse::json(200, dump_json(body)); }

// The request is named in the header x-request-id alone.
infra::HttpResponse error_response(const Error& error, std::string_view request_id = {});

// For errors that arise before a handler runs (no such route, body too large): Router::set_error_renderer.
infra::HttpResponse render_http_error(const infra::HttpRequest& request, int status, const Error& error);

}  // namespace stoa::gateway::openai
