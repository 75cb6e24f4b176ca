// Serves the web console under /console, without authentication: the page holds no data and signs in with a key.
#pragma once

#include "infra/http/router.h"

namespace stoa::gateway {

Status add_console_routes(infra::Router& router);

}  // namespace stoa::gateway
