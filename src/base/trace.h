// Emission of spans: one Trace a request, a Span a stage. feedback/traces stores what a finished trace holds.
// Attribute names follow the OpenTelemetry GenAI conventions where they have one; no prompt or answer text by default.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/time.h"

namespace stoa {

using AttributeValue = std::variant<std::int64_t, double, bool, std::string>;

struct SpanRecord {
  std::string id;         // 16 hex digits
  std::string parent_id;  // empty for the root
  std::string name;       // "chat smollm2-135m-instruct", "retrieval", ...
  Micros start = 0;
  Micros end = 0;         // 0 while open
  std::vector<std::pair<std::string, AttributeValue>> attributes;
  std::string error;      // empty when the stage succeeded
};

class Trace;

// One stage, ended by end() or by destruction. Movable; use from one thread at a time.
class Span {
 public:
  Span() = default;  // records nothing
  Span(Span&& other) noexcept : trace_(std::exchange(other.trace_, nullptr)), index_(other.index_) {}
  Span& operator=(Span&& other) noexcept {
    end();
    trace_ = std::exchange(other.trace_, nullptr);
    index_ = other.index_;
    return *this;
  }
  ~Span() { end(); }
  void set(std::string_view key, AttributeValue value);
  void fail(std::string_view error);
  void end();

 private:
  friend class Trace;
  Span(Trace* trace, std::size_t index) : trace_(trace), index_(index) {}
  Trace* trace_ = nullptr;
  std::size_t index_ = 0;
};

// The spans of one request. Thread-safe. At most kMaxSpans spans; later ones are dropped silently.
class Trace {
 public:
  static constexpr std::size_t kMaxSpans = 256;

  explicit Trace(std::string id, const Clock& clock = Clock::system()) : id_(std::move(id)), clock_(clock) { records_.reserve(kUsualSpans); }
  const std::string& id() const { return id_; }  // 32 hex digits (W3C trace id)

  // A child of the innermost span that is still open on this trace, or the root.
  Span start(std::string_view name);
  std::vector<SpanRecord> records() const;
  // The same, when nothing is recorded any more.
  std::vector<SpanRecord> take_records();

  static std::string new_trace_id();

 private:
  friend class Span;
  static constexpr std::size_t kUsualSpans = 12;

  SpanRecord* record(std::size_t index) { return index < records_.size() ? &records_[index] : nullptr; }  // null when it was taken

  const std::string id_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::vector<SpanRecord> records_;
  std::vector<std::size_t> open_;
};

}  // namespace stoa
