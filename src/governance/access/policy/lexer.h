// The words of a policy file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "governance/access/policy/policy.h"

namespace stoa::governance {

struct PolicyToken {
  enum class Kind : std::uint8_t { kEnd, kWord, kText, kInteger, kSymbol };
  Kind kind = Kind::kEnd;
  std::string_view raw;  // as written: `resource.class`, `dataset.*`, `*`, `"x"`, `12`, `==`
  std::string text;      // of kText, without quotes and escapes
  std::int64_t number = 0;
  Place place;

  // As messages name it.
  std::string shown() const { return kind == Kind::kEnd ? "the end of the file" : fmt::format("'{}'", raw); }
};

// Views `text`, which is valid UTF-8, and `name`.
class PolicyLexer {
 public:
  PolicyLexer(std::string_view text, std::string_view name, const PolicyLimits& limits) : text_(text), name_(name), limits_(limits) {}

  Result<PolicyToken> next();
  Error wrong(Place place, std::string_view what, ErrorCode code = ErrorCode::kInvalidArgument) const;

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  void take();
  Status skip();
  void word();
  Status quoted(PolicyToken& token);
  Status integer(PolicyToken& token);

  std::string_view text_, name_;
  const PolicyLimits& limits_;
  std::size_t at_ = 0;
  Place place_;
};

}  // namespace stoa::governance
