#include "models/tools/call_scanner.h"

#include <optional>
#include <utility>

#include "base/json.h"

namespace stoa::models {
namespace {

constexpr int kMaxDepth = 128;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

std::optional<std::string> decoded(std::string_view quoted) {
  const auto json = parse_json(quoted);
  if (!json || !json->is_string()) return std::nullopt;
  return std::string(json->get_string());
}

}  // namespace

std::string CallScanner::take_arguments() { return named_ ? std::exchange(arguments_, {}) : std::string(); }

CallScanner::Result CallScanner::push(char c) {
  if (!named()) {
    raw_ += c;
    if (raw_.size() > kMaxHeld) return Result::kBad;
  }
  switch (at_) {
    case At::kStart:
      if (is_space(c)) return Result::kMore;
      at_ = At::kKeyOrEnd;
      return c == '{' ? Result::kMore : Result::kBad;
    case At::kKeyOrEnd:
    case At::kKey:
      if (is_space(c)) return Result::kMore;
      if (c != '"') return Result::kBad;
      text_ = c;
      key_text_ = true;
      at_ = At::kText;
      return Result::kMore;
    case At::kColon:
      if (is_space(c)) return Result::kMore;
      at_ = At::kValue;
      return c == ':' ? Result::kMore : Result::kBad;
    case At::kCommaOrEnd:
      if (is_space(c)) return Result::kMore;
      if (c == ',') {
        at_ = At::kKey;
        return Result::kMore;
      }
      return c == '}' && named_ ? Result::kDone : Result::kBad;
    default: return value(c);
  }
}

CallScanner::Result CallScanner::value(char c) {
  switch (at_) {
    case At::kValue:
      if (is_space(c)) return Result::kMore;
      if (bare_ && c != '{') return Result::kBad;
      if (c == '"') {
        text_ = c;
        key_text_ = false;
        at_ = At::kText;
        return Result::kMore;
      }
      if (member_ == Member::kName) return Result::kBad;
      if (member_ == Member::kArguments) arguments_ += c;
      depth_ = c == '{' || c == '[' ? 1 : 0;
      in_text_ = escaped_ = false;
      at_ = depth_ > 0 ? At::kNested : At::kScalar;
      return Result::kMore;
    case At::kScalar:
      if (c == ',' || c == '}' || is_space(c)) {
        at_ = At::kCommaOrEnd;
        if (is_space(c)) return Result::kMore;
        if (c == ',') {
          at_ = At::kKey;
          return Result::kMore;
        }
        return named_ ? Result::kDone : Result::kBad;
      }
      if (member_ == Member::kArguments) arguments_ += c;
      return Result::kMore;
    case At::kNested:
      if (member_ == Member::kArguments) arguments_ += c;
      if (in_text_) {
        if (escaped_) escaped_ = false;
        else if (c == '\\') escaped_ = true;
        else if (c == '"') in_text_ = false;
        return Result::kMore;
      }
      if (c == '"') in_text_ = true;
      if (c == '{' || c == '[') ++depth_;
      if (c == '}' || c == ']') --depth_;
      if (depth_ == 0 && bare_) return Result::kDone;
      if (depth_ == 0) at_ = At::kCommaOrEnd;
      return depth_ > kMaxDepth ? Result::kBad : Result::kMore;
    default: break;  // kText
  }
  text_ += c;
  if (text_.size() > kMaxHeld) return Result::kBad;
  if (escaped_) {
    escaped_ = false;
    return Result::kMore;
  }
  if (c == '\\') escaped_ = true;
  return c == '"' ? value_done() : Result::kMore;
}

// A string is whole: a key, the name, arguments that were written as a string, or a member nobody asks for.
CallScanner::Result CallScanner::value_done() {
  const auto text = decoded(text_);
  if (!text) return Result::kBad;
  if (key_text_) {
    member_ = *text == "name" ? Member::kName : *text == "arguments" || *text == "parameters" ? Member::kArguments : Member::kOther;
    at_ = At::kColon;
    return Result::kMore;
  }
  at_ = At::kCommaOrEnd;
  if (member_ == Member::kArguments) arguments_ += *text;
  if (member_ == Member::kName) {
    if (named_ || text->empty()) return Result::kBad;
    name_ = *text;
    named_ = true;
  }
  return Result::kMore;
}

}  // namespace stoa::models
