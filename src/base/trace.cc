#include "base/trace.h"

#include <algorithm>
#include <random>

#include "base/redact.h"

namespace stoa {
namespace {

std::uint64_t random_bits() {
  thread_local std::mt19937_64 random{(static_cast<std::uint64_t>(std::random_device{}()) << 32) ^ std::random_device{}()};
  return random();
}

std::string random_hex(int words) {
  std::string text;
  text.reserve(static_cast<std::size_t>(words) * 16);
  for (; words > 0; --words) {
    const std::uint64_t bits = random_bits();
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(bits >> shift) & 15];
  }
  return text;
}

}  // namespace

std::string Trace::new_trace_id() { return random_hex(2); }

Span Trace::start(std::string_view name) {
  std::lock_guard lock(mutex_);
  if (records_.size() >= kMaxSpans) return {};
  SpanRecord record;
  record.id = random_hex(1);
  if (!open_.empty()) record.parent_id = records_[open_.back()].id;
  record.name = redact_secrets(std::string(name));
  record.start = clock_.now();
  records_.push_back(std::move(record));
  open_.push_back(records_.size() - 1);
  return {this, records_.size() - 1};
}

std::vector<SpanRecord> Trace::records() const {
  std::lock_guard lock(mutex_);
  return records_;
}

std::vector<SpanRecord> Trace::take_records() {
  std::lock_guard lock(mutex_);
  return std::exchange(records_, {});
}

void Span::set(std::string_view key, AttributeValue value) {
  if (trace_ == nullptr) return;
  if (auto* text = std::get_if<std::string>(&value)) *text = redact_secrets(std::move(*text));
  std::lock_guard lock(trace_->mutex_);
  if (auto* record = trace_->record(index_)) record->attributes.emplace_back(key, std::move(value));
}

void Span::fail(std::string_view error) {
  if (trace_ == nullptr) return;
  std::lock_guard lock(trace_->mutex_);
  if (auto* record = trace_->record(index_)) record->error = redact_secrets(std::string(error));
}

void Span::end() {
  if (trace_ == nullptr) return;
  std::lock_guard lock(trace_->mutex_);
  if (auto* record = trace_->record(index_)) record->end = trace_->clock_.now();
  std::erase(trace_->open_, index_);
  trace_ = nullptr;
}

}  // namespace stoa
