// Errors as the AWS clients read them: the exception's name in a header and a message. Statuses come from base/error_table.h alone; a prompt that does
// not fit is a 400.
#pragma once

#include <string_view>

#include "base/json.h"
#include "infra/http/router.h"

namespace stoa::gateway::bedrock {

infra::HttpResponse error_response(const Error& error, std::string_view request_id);

// The exception of a stream that fails on its way: its name there, and its payload.
std::string_view stream_exception(const Error& error);
JsonObject error_json(const Error& error);

// For errors that arise before a handler runs (a method that no route has, a body too large), on paths that speak this dialect.
bool is_ours(std::string_view path);
infra::HttpResponse render_http_error(const infra::HttpRequest& request, int status, const Error& error);

}  // namespace stoa::gateway::bedrock
