#include "models/tools/parameter_scanner.h"

#include <utility>

#include "base/json.h"

namespace stoa::models {
namespace {

constexpr std::string_view kFunction = "<function=", kParameter = "<parameter=", kEnd = "</function>", kClose = "\n</parameter>", kNull = "null";

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// What Python's words for them are in JSON; the models are shown values as Python prints them.
std::string_view from_python(std::string_view word) { return word == "True" ? "true" : word == "False" ? "false" : word == "None" ? kNull : std::string_view(); }

}  // namespace

std::string ParameterScanner::take_arguments() { return std::exchange(arguments_, {}); }

ParameterScanner::Result ParameterScanner::push(char c) {
  if (!named_) {
    raw_ += c;
    if (raw_.size() > kMaxHeld) return Result::kBad;
  }
  switch (at_) {
    case At::kFunction: return tag(c, kFunction, At::kName);
    case At::kName:
      if (c != '>') return name_byte(c, name_);
      if (name_.empty()) return Result::kBad;
      named_ = true;
      at_ = At::kTag;
      return Result::kMore;
    case At::kTag: return tag(c, kParameter, At::kKey);
    case At::kKey:
      if (c != '>') return name_byte(c, key_);
      if (key_.empty() || seen_.size() >= kMaxParameters) return Result::kBad;
      begin_value();
      return Result::kMore;
    case At::kValue: return value(c);
  }
  return Result::kBad;
}

// A tag between values, after any space; the end of the function, where one may stand.
ParameterScanner::Result ParameterScanner::tag(char c, std::string_view open, At next) {
  if (tag_.empty() && is_space(c)) return Result::kMore;
  tag_ += c;
  if (tag_ == open) {
    tag_.clear();
    key_.clear();
    at_ = next;
    return Result::kMore;
  }
  if (open.starts_with(tag_)) return Result::kMore;
  if (!named_ || !kEnd.starts_with(tag_)) return Result::kBad;
  if (tag_ != kEnd) return Result::kMore;
  arguments_ += seen_.empty() ? "{}" : "}";
  return Result::kDone;
}

ParameterScanner::Result ParameterScanner::name_byte(char c, std::string& name) {
  name += c;
  return name.size() > kMaxName || c == '\n' || c == '<' || static_cast<unsigned char>(c) < 0x20 ? Result::kBad : Result::kMore;
}

void ParameterScanner::begin_value() {
  form_ = ValueForm::kAny;
  if (forms_) {
    if (const auto tool = forms_->find(name_); tool != forms_->end())
      if (const auto known = tool->second.find(key_); known != tool->second.end()) form_ = known->second;
  }
  repeated_ = seen_.contains(key_);
  first_ = true;
  streaming_ = quoted_ = escaped_ = false;
  closing_.clear();
  value_.clear();
  at_ = At::kValue;
  if (form_ == ValueForm::kText) write_text("");
}

// The key with what joins it to those before; once the value's beginning is known.
void ParameterScanner::write_key() {
  write((seen_.empty() ? "{" : ", ") + dump_json(Json(key_)) + ": ");
  seen_.insert(key_);
}

void ParameterScanner::write_text(std::string_view text) {
  if (!std::exchange(streaming_, true)) {
    write_key();
    write("\"");
  }
  for (const char c : text) {
    switch (c) {
      case '"': write("\\\""); break;
      case '\\': write("\\\\"); break;
      case '\n': write("\\n"); break;
      case '\t': write("\\t"); break;
      case '\r': write("\\r"); break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) write(fmt::format("\\u{:04x}", static_cast<unsigned char>(c)));
        else write(std::string_view(&c, 1));
    }
  }
}

// Holds back what may be the closing tag, with the line's end before it.
ParameterScanner::Result ParameterScanner::value(char c) {
  if (std::exchange(first_, false) && c == '\n') return Result::kMore;
  closing_ += c;
  const std::string_view bare = kClose.substr(1);
  while (!closing_.empty() && !kClose.starts_with(closing_) && !bare.starts_with(closing_)) {
    if (value_byte(closing_.front()) == Result::kBad) return Result::kBad;
    closing_.erase(0, 1);
  }
  if (closing_ == kClose || (closing_ == bare && !quoted_)) {
    end_value();
  } else if (closing_ == bare) {  // within a string of JSON, which has no line's end: text
    for (const char byte : std::exchange(closing_, {}))
      if (value_byte(byte) == Result::kBad) return Result::kBad;
  }
  return Result::kMore;
}

ParameterScanner::Result ParameterScanner::value_byte(char c) {
  if (streaming_) {
    write_text(std::string_view(&c, 1));
    return Result::kMore;
  }
  value_ += c;
  if (value_.size() > kMaxHeld) return Result::kBad;
  if (form_ == ValueForm::kTextOrNull) {
    if (!kNull.starts_with(value_)) write_text(std::exchange(value_, {}));
    return Result::kMore;
  }
  if (escaped_) escaped_ = false;
  else if (c == '"') quoted_ = !quoted_;
  else if (quoted_ && c == '\\') escaped_ = true;
  if (c == '\n') quoted_ = false;
  const char begin = value_.front();
  if (begin != '{' && begin != '[' && begin != '"') quoted_ = false;
  return Result::kMore;
}

void ParameterScanner::end_value() {
  closing_.clear();
  at_ = At::kTag;
  if (streaming_) {
    write("\"");
    return;
  }
  const std::string_view plain = trimmed(value_);
  if (form_ == ValueForm::kTextOrNull) {
    if (value_ == kNull) {
      write_key();
      write(kNull);
      return;
    }
  } else if (parse_json(plain)) {
    write_key();
    write(plain);
    return;
  } else if (const auto word = from_python(plain); form_ == ValueForm::kJson && !word.empty()) {
    write_key();
    write(word);
    return;
  }
  write_text(value_);
  write("\"");
}

}  // namespace stoa::models
