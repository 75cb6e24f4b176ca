// Errors that arise before the pipeline has a request: no such route, a method that it does not have, a body too large.
#pragma once

#include "gateway/api/pipeline.h"

namespace stoa::gateway {

// The body of the dialect, with the headers that all responses carry, under an id of its own.
infra::HttpResponse early_error(int status, const Error& error, const ErrorBody& body);

}  // namespace stoa::gateway
