#include "base/trace.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "base/redact.h"

namespace stoa {
namespace {

std::uint64_t random_bits() {
  thread_local std::mt19937_64 random{(static_cast<std::uint64_t>(std::random_device{}()) << 32) ^ std::random_device{}()};
  return random();
}

}  // namespace

std::string Trace::new_trace_id() { return fmt::format("{:016x}{:016x}", random_bits(), random_bits()); }

Span Trace::start(std::string_view name) {
  std::lock_guard lock(mutex_);
  if (records_.size() >= kMaxSpans) return {};
  SpanRecord record;
  record.id = fmt::format("{:016x}", random_bits());
  record.parent_id = open_.empty() ? "" : records_[open_.back()].id;
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

void Span::set(std::string_view key, AttributeValue value) {
  if (trace_ == nullptr) return;
  if (auto* text = std::get_if<std::string>(&value)) *text = redact_secrets(std::move(*text));
  std::lock_guard lock(trace_->mutex_);
  trace_->records_[index_].attributes.emplace_back(key, std::move(value));
}

void Span::fail(std::string_view error) {
  if (trace_ == nullptr) return;
  std::lock_guard lock(trace_->mutex_);
  trace_->records_[index_].error = redact_secrets(std::string(error));
}

void Span::end() {
  if (trace_ == nullptr) return;
  std::lock_guard lock(trace_->mutex_);
  trace_->records_[index_].end = trace_->clock_.now();
  std::erase(trace_->open_, index_);
  trace_ = nullptr;
}

}  // namespace stoa
