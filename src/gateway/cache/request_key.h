// What a request is known by in a cache: equal keys mean equal answers, for who may have them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "contracts/call.h"
#include "contracts/chat.h"

namespace stoa::gateway {

// What the answer depends on besides the request: who serves it, and what routing may look at.
struct KeyContext {
  std::string_view project;
  std::string_view served;      // what stands behind the model's name: targets of a route, or the digest of an adapter
  const Origin* origin = nullptr;  // of a routed request: its data class, purpose and tags choose among targets; null: nothing chooses
  std::size_t alternative = 0;  // of equal requests that belong to one answer and have to differ
};

// SHA-256 in hex over every field that changes the answer. Not among them: `priority` (when it comes), `whole` (how it comes) and the field that a
// constraint was stated in.
std::string request_key(const ChatRequest& request, const KeyContext& context);

// The same but for the text of the last message, which is a user's without images: requests of one frame differ in the question alone. Absent where
// there is no such message.
std::optional<std::string> frame_key(const ChatRequest& request, const KeyContext& context);

}  // namespace stoa::gateway
