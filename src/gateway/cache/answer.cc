#include "gateway/cache/answer.h"

#include <algorithm>

namespace stoa::gateway {
namespace {

std::size_t bytes_of(const std::vector<std::string>& texts) {
  std::size_t bytes = 0;
  for (const std::string& text : texts) bytes += sizeof text + text.size();
  return bytes;
}

bool plain(const ChatDelta& delta) { return delta.reasoning.empty() && delta.tool_calls.empty(); }
bool thinking(const ChatDelta& delta) { return delta.text.empty() && delta.logprobs.empty() && delta.tool_calls.empty(); }
bool calling(const ChatDelta& delta) { return delta.text.empty() && delta.logprobs.empty() && delta.reasoning.empty() && delta.tool_calls.size() == 1; }

// Whether `next` was put into `last`.
bool joined(ChatDelta& last, const ChatDelta& next) {
  if (plain(last) && plain(next)) {
    if (last.text.size() + next.text.size() > AnswerRecorder::kPiece) return false;
    last.text += next.text;
    last.logprobs.insert(last.logprobs.end(), next.logprobs.begin(), next.logprobs.end());
    return true;
  }
  if (thinking(last) && thinking(next)) {
    if (last.reasoning.size() + next.reasoning.size() > AnswerRecorder::kPiece) return false;
    last.reasoning += next.reasoning;
    return true;
  }
  if (!calling(last) || !calling(next)) return false;
  ToolCallDelta& call = last.tool_calls.front();
  const ToolCallDelta& more = next.tool_calls.front();
  if (call.index != more.index || !more.id.empty() || call.arguments.size() + more.arguments.size() > AnswerRecorder::kPiece) return false;
  call.arguments += more.arguments;
  return true;
}

}  // namespace

std::size_t bytes_of(const ChatDelta& delta) {
  std::size_t bytes = sizeof delta + delta.text.size() + delta.reasoning.size();
  for (const TokenLogprob& logprob : delta.logprobs) {
    bytes += sizeof logprob + logprob.text.size();
    for (const auto& [text, value] : logprob.top) bytes += sizeof text + sizeof value + text.size();
  }
  for (const ToolCallDelta& call : delta.tool_calls) bytes += sizeof call + call.id.size() + call.name.size() + call.arguments.size();
  return bytes;
}

std::size_t CachedAnswer::bytes() const {
  std::size_t bytes = sizeof *this + source.size() + model.size() + outcome.target.size() + outcome.stop.size() + bytes_of(tags) + bytes_of(documents);
  for (const ChatDelta& piece : pieces) bytes += gateway::bytes_of(piece);
  return bytes;
}

void AnswerRecorder::add(const ChatDelta& delta) {
  if (!whole()) return;
  bytes_ += gateway::bytes_of(delta);
  if (!whole()) {
    pieces_.clear();
    return;
  }
  if (pieces_.empty() || !joined(pieces_.back(), delta)) pieces_.push_back(delta);
}

std::vector<std::string> documents_of(const ChatRequest& request) {
  std::vector<std::string> documents;
  for (const std::string& source : request.sources) documents.push_back(source.substr(0, source.find('@')));
  std::ranges::sort(documents);
  documents.erase(std::unique(documents.begin(), documents.end()), documents.end());
  return documents;
}

}  // namespace stoa::gateway
