// From rules to automata.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "models/constrain/automaton.h"
#include "models/constrain/dfa.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

// The automaton of a grammar that starts at `root`. Errors: kInvalidArgument (a rule that is used and not defined, left recursion, an
// empty language, a large repetition of something that may be empty), kTooLarge.
Result<Automaton> compile(const Syntax& syntax, RuleId root);

// The language of an expression that uses no rules. kTooLarge when it needs more than the limits allow.
Result<Dfa> compile_regular(const Syntax& syntax, NodeId node);

// Any text in which none of `words` occurs.
Result<NodeId> text_without(Syntax& syntax, std::span<const std::string> words);

}  // namespace stoa::models::constrain
