// SageMaker endpoints whose containers speak OpenAI's protocol (vLLM, TGI, LMI): the body is theirs, and their answer travels in pieces inside an
// event stream of AWS.
#pragma once

#include <memory>

#include "gateway/providers/codec.h"

namespace stoa::gateway {

std::unique_ptr<ProviderCodec> make_sagemaker_codec();

}  // namespace stoa::gateway
