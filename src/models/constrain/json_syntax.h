// The pieces that JSON grammars share, each made once in a Syntax.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

class JsonSyntax {
 public:
  static Result<JsonSyntax> make(Syntax& syntax);

  NodeId character() const { return character_; }  // one character inside a string, escaped or not
  NodeId string();                                 // any string
  NodeId number() const { return number_; }
  NodeId value();                                  // any value
  NodeId object();                                 // any object
  NodeId array();                                  // any array
  NodeId comma() const { return comma_; }          // with its optional space
  NodeId colon() const { return colon_; }
  NodeId quoted(NodeId content);                   // between quotes

 private:
  explicit JsonSyntax(Syntax& syntax) : syntax_(syntax) {}
  NodeId object_body();
  NodeId array_body();
  RuleId value_rule();

  Syntax& syntax_;
  NodeId character_ = 0, number_ = 0, comma_ = 0, colon_ = 0;
  RuleId string_rest_ = 0;
  std::optional<RuleId> value_;
};

}  // namespace stoa::models::constrain
