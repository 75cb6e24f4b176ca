#include "models/engine/text_stream.h"

#include <algorithm>

#include "base/utf8.h"

namespace stoa::models {
namespace {

// Length of the longest end of `text` that begins `stop`, but is not the whole of it.
std::size_t partial_match(std::string_view text, std::string_view stop) {
  for (auto size = std::min(text.size(), stop.size() - 1); size > 0; --size) {
    if (text.ends_with(stop.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

bool TextStream::push(std::string_view bytes, TokenLogprob* logprob, ChatDelta& out) {
  if (!stopped_by_.empty()) return true;
  held_ += bytes;
  total_ += bytes.size();
  if (logprob != nullptr) logprobs_.emplace_back(total_, std::move(*logprob));

  std::size_t stop_at = std::string::npos;
  for (const auto& stop : stops_) {
    const auto at = held_.find(stop);
    if (at >= stop_at) continue;
    stop_at = at;
    stopped_by_ = stop;
  }
  if (stop_at != std::string::npos) {
    release(stop_at, out);
    held_.clear();
    logprobs_.clear();
    return true;
  }
  std::size_t keep = 0;
  for (const auto& stop : stops_) keep = std::max(keep, partial_match(held_, stop));
  release(complete_utf8_prefix(std::string_view(held_).substr(0, held_.size() - keep)), out);
  return false;
}

void TextStream::finish(ChatDelta& out) {
  release(held_.size(), out);
}

void TextStream::release(std::size_t bytes, ChatDelta& out) {
  out.text += to_valid_utf8(std::string_view(held_).substr(0, bytes));
  held_.erase(0, bytes);
  shown_ += bytes;
  while (!logprobs_.empty() && logprobs_.front().first <= shown_) {
    out.logprobs.push_back(std::move(logprobs_.front().second));
    logprobs_.pop_front();
  }
}

}  // namespace stoa::models
