#include "models/tools/tool_parser.h"

#include <algorithm>
#include <utility>

namespace stoa::models {
namespace {

constexpr std::string_view kCallClose = "</tool_call>", kListClose = "<|/tool_call|>", kArguments = "[ARGS]";
constexpr std::size_t kMaxName = 64;

// Bytes at the end of `text` that may be the beginning of `marker`.
std::size_t partial(std::string_view text, std::string_view marker) {
  for (std::size_t length = std::min(text.size(), marker.size() - 1); length > 0; --length)
    if (text.ends_with(marker.substr(0, length))) return length;
  return 0;
}

std::string_view marker_of(std::optional<ToolFormat> format) {
  if (!format) return {};
  switch (*format) {
    case ToolFormat::kHermes:
    case ToolFormat::kParameters: return "<tool_call>";
    case ToolFormat::kLlama3: return "<|python_tag|>";
    case ToolFormat::kMistral:
    case ToolFormat::kMistral11: return "[TOOL_CALLS]";
    case ToolFormat::kTagged: return "<|tool_call|>";
  }
  return {};
}

}  // namespace

ToolParser::ToolParser(std::optional<ToolFormat> format, Reasoning reasoning, std::shared_ptr<const ParameterForms> forms)
    : format_(format),
      tags_(reasoning.tags),
      forms_(std::move(forms)),
      marker_(marker_of(format)),
      at_(reasoning == Reasoning::kOpened ? At::kReasoning : reasoning == Reasoning::kPossible ? At::kStart : At::kContent),
      reasoned_(reasoning == Reasoning::kOpened) {}

void ToolParser::emit(ToolEvent::Kind kind, std::string_view text, std::vector<ToolEvent>& out) {
  if (text.empty()) return;
  if (!out.empty() && out.back().kind == kind) out.back().text += text;
  else out.push_back({.kind = kind, .text = std::string(text)});
}

std::size_t ToolParser::skip_space(std::size_t from) const { return std::min(held_.find_first_not_of(" \n\r\t", from), held_.size()); }

void ToolParser::push(std::string_view text, std::vector<ToolEvent>& out) {
  held_ += text;
  run(out, false);
}

void ToolParser::finish(std::vector<ToolEvent>& out) {
  run(out, true);
  if (at_ == At::kCall || at_ == At::kOpening) {
    if (announced_) out.push_back({.kind = ToolEvent::Kind::kCallEnd, .call = calls_ - 1, .whole = false});
    else emit(ToolEvent::Kind::kContent, unread() + held_, out);
  }
  if (at_ == At::kName) emit(ToolEvent::Kind::kContent, marker_, out);
  held_.clear();
}

void ToolParser::run(std::vector<ToolEvent>& out, bool last) {
  bool more = true;
  while (more && !held_.empty()) {
    switch (at_) {
      case At::kStart: more = start(last); break;
      case At::kReasoning: more = reasoning(out, last); break;
      case At::kAfterReasoning:
        held_.erase(0, skip_space(0));
        more = !held_.empty();
        if (more) at_ = At::kContent;
        break;
      case At::kContent: more = content(out, last); break;
      case At::kOpening: more = opening(); break;
      case At::kName: more = name(out, last); break;
      case At::kCall: more = call(out); break;
      case At::kBetween: more = between(last); break;
      case At::kAfterList: more = after_list(last); break;
    }
  }
}

// The tag opens reasoning only at the very beginning.
bool ToolParser::start(bool last) {
  const std::size_t from = skip_space(0);
  const std::string_view text = std::string_view(held_).substr(from);
  if (text.starts_with(tags_.open)) {
    held_.erase(0, from + tags_.open.size());
    at_ = At::kReasoning;
    reasoned_ = true;
    return true;
  }
  if (!last && from < 64 && tags_.open.starts_with(text)) return false;
  at_ = At::kContent;
  return true;
}

bool ToolParser::reasoning(std::vector<ToolEvent>& out, bool last) {
  const std::size_t end = held_.find(tags_.close);
  if (end != std::string::npos) {
    emit(ToolEvent::Kind::kReasoning, std::string_view(held_).substr(0, end), out);
    held_.erase(0, end + tags_.close.size());
    at_ = At::kAfterReasoning;
    return true;
  }
  const std::size_t show = held_.size() - (last ? 0 : partial(held_, tags_.close));
  emit(ToolEvent::Kind::kReasoning, std::string_view(held_).substr(0, show), out);
  held_.erase(0, show);
  return false;
}

void ToolParser::begin_calls(std::string_view marker) {
  opening_ = marker;
  if (format_ == ToolFormat::kParameters) scanner_ = ParameterScanner(forms_);
  else scanner_ = CallScanner();
  announced_ = false;
  at_ = At::kCall;
}

bool ToolParser::content(std::vector<ToolEvent>& out, bool last) {
  if (format_ == ToolFormat::kLlama3 && !plain_) {
    // An answer that begins with '{' is a call.
    const std::size_t from = skip_space(0);
    if (from == held_.size() && from < 64 && !last) return false;
    if (from < held_.size() && held_[from] == '{') {
      begin_calls(std::string_view(held_).substr(0, from));
      held_.erase(0, from);
      return true;
    }
    plain_ = !marker_.starts_with(std::string_view(held_).substr(from, marker_.size())) || last;
    if (!plain_ && held_.size() - from < marker_.size()) return false;
  }
  const std::size_t found = marker_.empty() ? std::string::npos : held_.find(marker_);
  if (found != std::string::npos) {
    emit(ToolEvent::Kind::kContent, std::string_view(held_).substr(0, found), out);
    held_.erase(0, found + marker_.size());
    begin_calls(marker_);
    if (lists_calls()) at_ = At::kOpening;
    if (format_ == ToolFormat::kMistral11) at_ = At::kName;
    return true;
  }
  const std::size_t show = held_.size() - (last || marker_.empty() ? 0 : partial(held_, marker_));
  emit(ToolEvent::Kind::kContent, std::string_view(held_).substr(0, show), out);
  held_.erase(0, show);
  return false;
}

// The list that follows the marker.
bool ToolParser::opening() {
  const std::size_t from = skip_space(0);
  if (from == held_.size() && from < 64) return false;
  if (from < held_.size() && held_[from] == '[') {
    opening_ += held_.substr(0, from + 1);
    held_.erase(0, from + 1);
  }
  at_ = At::kCall;
  return true;
}

// Mistral from version 11 on: the name stands between the marker and another.
bool ToolParser::name(std::vector<ToolEvent>& out, bool last) {
  const std::size_t end = held_.find(kArguments);
  if (end == std::string::npos && !last && held_.size() < kMaxName + kArguments.size()) return false;
  const std::string_view name = std::string_view(held_).substr(0, end);
  const bool good = end != std::string::npos && !name.empty() && name.size() <= kMaxName && name.find_first_of(" \n\t[]{}\"") == std::string_view::npos;
  if (!good) {
    emit(ToolEvent::Kind::kContent, marker_, out);
    at_ = At::kContent;
    return true;
  }
  begin_calls(fmt::format("{}{}{}", marker_, name, kArguments));
  scanner_ = CallScanner(std::string(name));
  held_.erase(0, end + kArguments.size());
  return true;
}

bool ToolParser::call(std::vector<ToolEvent>& out) {
  std::size_t used = 0;
  const auto read = [&](auto& scanner) {
    auto state = CallScanner::Result::kMore;
    while (used < held_.size() && state == CallScanner::Result::kMore) state = scanner.push(held_[used++]);
    if (!scanner.named()) return state;
    if (!announced_) {
      out.push_back({.kind = ToolEvent::Kind::kCall, .text = scanner.name(), .call = calls_++});
      announced_ = true;
    }
    if (std::string arguments = scanner.take_arguments(); !arguments.empty()) out.push_back({.kind = ToolEvent::Kind::kArguments, .text = std::move(arguments), .call = calls_ - 1});
    return state;
  };
  const auto state = std::visit(read, scanner_);
  held_.erase(0, used);
  if (state == CallScanner::Result::kMore) return false;
  if (state == CallScanner::Result::kDone) {
    out.push_back({.kind = ToolEvent::Kind::kCallEnd, .call = calls_ - 1});
    at_ = At::kBetween;
    return true;
  }
  if (announced_) out.push_back({.kind = ToolEvent::Kind::kCallEnd, .call = calls_ - 1, .whole = false});
  else emit(ToolEvent::Kind::kContent, unread(), out);
  plain_ = true;
  at_ = At::kContent;
  return true;
}

// After a call: what closes it, and what begins the next one.
bool ToolParser::between(bool last) {
  const std::size_t from = skip_space(0);
  held_.erase(0, from);
  if (held_.empty()) return false;
  if (format_ == ToolFormat::kHermes || format_ == ToolFormat::kParameters) {
    const std::string_view text = held_;
    if (text.starts_with(kCallClose)) {
      held_.erase(0, kCallClose.size());
      return true;
    }
    if (text.starts_with(marker_)) {
      held_.erase(0, marker_.size());
      begin_calls(marker_);
      return true;
    }
    if (!last && (kCallClose.starts_with(text) || marker_.starts_with(text))) return false;
  } else if (format_ == ToolFormat::kMistral11) {
    at_ = At::kContent;  // where the next marker is found
    return true;
  } else if (held_[0] == (lists_calls() ? ',' : ';')) {
    begin_calls(std::string_view(held_).substr(0, 1));
    held_.erase(0, 1);
    return true;
  } else if (lists_calls() && held_[0] == ']') {
    held_.erase(0, 1);
    at_ = format_ == ToolFormat::kTagged ? At::kAfterList : At::kContent;
    return true;
  }
  plain_ = true;
  at_ = At::kContent;
  return true;
}

int ReasoningCounter::push(std::string_view token) {
  if (!open_) return 0;
  parser_.push(token, events_);
  events_.clear();
  open_ = parser_.may_reason();
  ++undecided_;
  return parser_.reasoned() ? std::exchange(undecided_, 0) : 0;
}

// The list may be closed by a marker of its own.
bool ToolParser::after_list(bool last) {
  const std::string_view text = held_;
  if (!last && text.size() < kListClose.size() && kListClose.starts_with(text)) return false;
  if (text.starts_with(kListClose)) held_.erase(0, kListClose.size());
  at_ = At::kContent;
  return true;
}

}  // namespace stoa::models
