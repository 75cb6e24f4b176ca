// Anthropic's Messages.
#pragma once

#include <memory>

#include "gateway/providers/codec.h"

namespace stoa::gateway {

std::unique_ptr<ProviderCodec> make_anthropic_codec();

}  // namespace stoa::gateway
