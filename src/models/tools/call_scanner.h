// Reads one {"name": ..., "arguments": ...} object as it arrives, byte by byte; or only the arguments, where the name came before them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace stoa::models {

// Order of the members and further members do not matter. One thread at a time.
class CallScanner {
 public:
  static constexpr std::size_t kMaxHeld = 64 << 10;  // bytes of a call before its name is known

  enum class Result { kMore, kDone, kBad };

  CallScanner() = default;
  // The name is known: what follows is the object of its arguments.
  explicit CallScanner(std::string name) : at_(At::kValue), member_(Member::kArguments), bare_(true), named_(true), name_(std::move(name)) {}

  // Takes the next byte. kBad: this is no call (or a broken one), the byte was taken.
  Result push(char c);

  // Once the name is known: its text, and what arrived of the arguments since the last take.
  bool named() const { return named_ && !(bare_ && at_ == At::kValue); }
  const std::string& name() const { return name_; }
  std::string take_arguments();
  // Everything pushed while the name was not known.
  const std::string& raw() const { return raw_; }

 private:
  enum class At { kStart, kKeyOrEnd, kKey, kColon, kValue, kScalar, kNested, kText, kCommaOrEnd };
  enum class Member { kOther, kName, kArguments };

  Result value(char c);
  Result value_done();

  At at_ = At::kStart;
  Member member_ = Member::kOther;
  bool bare_ = false;          // only arguments, no object around them
  bool key_text_ = false;      // the text being read is a key
  bool in_text_ = false;       // inside a string of a nested value
  bool escaped_ = false;
  int depth_ = 0;
  bool named_ = false;
  std::string text_;           // the key, name or string being read, with its quotes
  std::string name_, arguments_, raw_;
};

}  // namespace stoa::models
