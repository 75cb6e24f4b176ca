// Events of a stream are mostly alike but for one text. Where all else is as it was, byte for byte, reading that text alone is reading the event, in a few
// percent of the time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace stoa::gateway {

// Of one stream. One thread.
class AlikeEvents {
 public:
  // The text of an event that differs from the last one that was learnt in nothing else; nothing: it has to be read as a whole.
  std::optional<std::string> text_of(std::string_view data) const;
  // `data`, a JSON object, was read as a whole and said nothing but `text`, the string of its one member `member` at whatever depth. What does not look
  // so is not learnt.
  void learn(std::string_view data, std::string_view member, std::string_view text);

 private:
  std::string before_, after_;  // what stands around the text, its quotes included; empty: nothing was learnt
  int learnt_ = 0;              // so often: streams whose events are never alike are let be
};

}  // namespace stoa::gateway
