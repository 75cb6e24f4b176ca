// From token bytes to a stream of text: whole UTF-8 characters only, stop strings cut out.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/chat.h"

namespace stoa::models {

// Text of one answer. What may still become a stop string, and bytes of an unfinished character, are held back until the next
// token tells. Bytes that are not UTF-8 become U+FFFD. One thread at a time.
class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Adds the bytes of a token (and its log-probability, when there is one) and appends what can be shown to `out`.
  // True when a stop string is complete: the text before it has been shown, nothing more will be.
  bool push(std::string_view bytes, TokenLogprob* logprob, ChatDelta& out);
  // The answer is over: shows what was held back (nothing after a stop string).
  void finish(ChatDelta& out);
  const std::string& stopped_by() const { return stopped_by_; }  // the stop string that was complete; empty: none

 private:
  void release(std::size_t bytes, ChatDelta& out);

  std::vector<std::string> stops_;
  std::string held_;                 // bytes not shown yet
  std::size_t shown_ = 0;            // bytes of the answer before held_
  std::size_t total_ = 0;            // bytes pushed
  std::deque<std::pair<std::size_t, TokenLogprob>> logprobs_;  // end offset of a token in the answer, ascending
  std::string stopped_by_;
};

}  // namespace stoa::models
