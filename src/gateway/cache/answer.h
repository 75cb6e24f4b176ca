// An answer as it is kept: its pieces in the order they came, with what it was made of.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "contracts/chat.h"

namespace stoa::gateway {

struct CachedAnswer {
  std::vector<ChatDelta> pieces;  // of at most kPiece bytes where they could be put together
  ChatOutcome outcome;            // without what the request paid besides
  std::string source;             // id of the request that it was generated for
  std::string model;              // as callers name it
  std::vector<std::string> tags;       // of that request
  std::vector<std::string> documents;  // ids, without versions, whose text was in the prompt

  std::size_t bytes() const;
};

// Collects the pieces of an answer. Neighbours of one kind become one piece, so that an answer that came in many small pieces is kept, and given again,
// in fewer. Not thread-safe.
class AnswerRecorder {
 public:
  static constexpr std::size_t kPiece = 48;

  // Nothing more is collected beyond `most` bytes.
  explicit AnswerRecorder(std::size_t most) : most_(most) {}
  void add(const ChatDelta& delta);
  bool whole() const { return bytes_ <= most_; }
  std::vector<ChatDelta> take() && { return std::move(pieces_); }

 private:
  const std::size_t most_;
  std::size_t bytes_ = 0;
  std::vector<ChatDelta> pieces_;
};

std::size_t bytes_of(const ChatDelta& delta);
// "doc_x" of "doc_x@version".
std::vector<std::string> documents_of(const ChatRequest& request);

}  // namespace stoa::gateway
