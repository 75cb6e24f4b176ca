// Amazon Bedrock's ConverseStream: one shape for all models there, answers as an event stream of AWS's own framing.
#pragma once

#include <memory>

#include "gateway/providers/codec.h"

namespace stoa::gateway {

std::unique_ptr<ProviderCodec> make_bedrock_codec();

}  // namespace stoa::gateway
