// Errors as the Anthropic clients read them. Statuses come from base/error_table.h alone; a prompt that does not fit is a 400.
#pragma once

#include <string_view>

#include "base/json.h"
#include "infra/http/router.h"

namespace stoa::gateway::anthropic {

// {"type": "error", "error": {type, message}, "request_id"}. The message names the field that is wrong, since nothing else does.
JsonObject error_json(const Error& error, std::string_view request_id);
infra::HttpResponse error_response(const Error& error, std::string_view request_id);

// For errors that arise before a handler runs (a method that no route has, a body too large), on paths that speak this dialect.
bool is_ours(std::string_view path);
infra::HttpResponse render_http_error(const infra::HttpRequest& request, int status, const Error& error);

}  // namespace stoa::gateway::anthropic
