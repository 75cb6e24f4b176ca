#include "models/constrain/json_syntax.h"

#include "models/constrain/numbers.h"
#include "models/constrain/regex.h"

namespace stoa::models::constrain {

Result<JsonSyntax> JsonSyntax::make(Syntax& syntax) {
  JsonSyntax json(syntax);
  const NodeId space = syntax.optional(syntax.text(" "));
  json.comma_ = syntax.sequence({syntax.text(","), space});
  json.colon_ = syntax.sequence({syntax.text(":"), space});
  // Surrogates only in pairs: readers reject others.
  STOA_TRY(escape, read_regex(syntax,
                              R"(\\(?:["\\/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))", {}));
  json.character_ = syntax.choice({syntax.runes(RuneSet::all().minus({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}})), escape});
  STOA_TRY(number, number_node(syntax, {}));
  const RuleId number_rule = syntax.add_rule("number", true);
  syntax.define(number_rule, number);
  json.number_ = syntax.rule(number_rule);
  json.string_rest_ = syntax.add_rule("string", true);
  syntax.define(json.string_rest_, syntax.sequence({syntax.repeat(json.character_, 0, kUnlimited), syntax.text("\"")}));
  return json;
}

NodeId JsonSyntax::string() { return syntax_.sequence({syntax_.text("\""), syntax_.rule(string_rest_)}); }

NodeId JsonSyntax::quoted(NodeId content) { return syntax_.sequence({syntax_.text("\""), content, syntax_.text("\"")}); }

NodeId JsonSyntax::object_body() {
  const NodeId member = syntax_.sequence({string(), colon_, syntax_.rule(value_rule())});
  return syntax_.sequence({syntax_.text("{"), syntax_.list({member}, {kRepeated}, comma_), syntax_.text("}")});
}

NodeId JsonSyntax::array_body() {
  return syntax_.sequence({syntax_.text("["), syntax_.list({syntax_.rule(value_rule())}, {kRepeated}, comma_), syntax_.text("]")});
}

RuleId JsonSyntax::value_rule() {
  if (!value_) {
    value_ = syntax_.add_rule("value", true);
    syntax_.define(*value_, syntax_.choice({string(), number_, syntax_.text("true"), syntax_.text("false"), syntax_.text("null"), object_body(), array_body()}));
  }
  return *value_;
}

NodeId JsonSyntax::value() { return syntax_.rule(value_rule()); }
NodeId JsonSyntax::object() { return object_body(); }
NodeId JsonSyntax::array() { return array_body(); }

}  // namespace stoa::models::constrain
