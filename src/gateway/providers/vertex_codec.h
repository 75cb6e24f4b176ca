// Google's models: generateContent of Vertex AI and of the Gemini API, which differ by URL and credential only.
#pragma once

#include <memory>

#include "gateway/providers/codec.h"

namespace stoa::gateway {

std::unique_ptr<ProviderCodec> make_vertex_codec();

}  // namespace stoa::gateway
