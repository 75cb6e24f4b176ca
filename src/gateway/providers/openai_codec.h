// Chat Completions as OpenAI publishes it, and as servers that follow it extend it; the same body on Azure's paths.
#pragma once

#include <memory>

#include "gateway/providers/codec.h"

namespace stoa::gateway {

// The body alone, and the stream alone, for those who carry them in something else.
Result<JsonObject> openai_body(const ProviderTarget& target, const ChatRequest& request);
std::unique_ptr<AnswerDecoder> make_openai_decoder();

std::unique_ptr<ProviderCodec> make_openai_codec();
std::unique_ptr<ProviderCodec> make_azure_codec();

}  // namespace stoa::gateway
