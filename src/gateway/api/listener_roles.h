// Which listeners serve which routes, for servers that have one listener for the public API, one for other nodes and one for administration.
#pragma once

#include <string_view>

#include "infra/http/message.h"

namespace stoa::gateway {

// Of a route's pattern: what uses the platform is public (inference, files, collections, search, ratings, the console), what runs it is
// administration (keys, audit, usage, metrics...). What is not known is administration.
infra::ListenerRoles listener_roles(std::string_view pattern);

}  // namespace stoa::gateway
