// Reads one <function=name> ... </function> as it arrives, byte by byte, and writes its parameters as the JSON object they mean.
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "models/tools/call_scanner.h"
#include "models/tools/parameters.h"

namespace stoa::models {

// Text values are passed on as they arrive; others when they are whole. A parameter that comes a second time is left out. One thread at a time.
class ParameterScanner {
 public:
  using Result = CallScanner::Result;
  static constexpr std::size_t kMaxHeld = CallScanner::kMaxHeld;  // bytes before the name is known, and of a value that is not text
  static constexpr std::size_t kMaxName = 256, kMaxParameters = 1024;

  // Without `forms`, or where it does not name a parameter, values are JSON where they look like it.
  explicit ParameterScanner(std::shared_ptr<const ParameterForms> forms) : forms_(std::move(forms)) {}

  // As CallScanner's.
  Result push(char c);
  bool named() const { return named_; }
  const std::string& name() const { return name_; }
  std::string take_arguments();
  const std::string& raw() const { return raw_; }

 private:
  enum class At { kFunction, kName, kTag, kKey, kValue };

  Result tag(char c, std::string_view open, At next);
  Result name_byte(char c, std::string& name);
  void begin_value();
  Result value(char c);
  Result value_byte(char c);
  void end_value();
  void write(std::string_view json) { if (!repeated_) arguments_ += json; }
  void write_key();
  void write_text(std::string_view text);

  std::shared_ptr<const ParameterForms> forms_;
  At at_ = At::kFunction;
  std::string tag_;             // of the tag being read
  bool named_ = false;
  std::string name_, key_, raw_, arguments_;
  std::set<std::string, std::less<>> seen_;
  ValueForm form_ = ValueForm::kAny;
  bool repeated_ = false;       // this parameter came before
  bool first_ = true;           // nothing of the value came yet: a line's end belongs to the tag
  bool streaming_ = false;      // the value is text and its quote is written
  bool quoted_ = false, escaped_ = false;  // inside a string of a value that is JSON
  std::string closing_;         // the end of what came, as far as it may begin the closing tag
  std::string value_;           // what is not passed on yet
};

}  // namespace stoa::models
