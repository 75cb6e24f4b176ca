// Grammars for constrained decoding: a language of byte strings, compiled into a pushdown automaton. matcher.h applies one to tokens.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::models {

namespace constrain {
struct Automaton;
}

// What one grammar may cost. Beyond a limit: kTooLarge with the number.
struct GrammarLimits {
  std::size_t max_bytes = 256 << 10;    // of a schema, regex or GBNF text
  std::size_t max_depth = 64;           // nesting of JSON, groups, references inside one another
  std::size_t max_rules = 4096;         // GBNF rules; sub-schemas, each combination of anyOf branches counted
  std::size_t max_nodes = 100'000;      // parts of expressions
  std::size_t max_states = 65'536;      // of the finished automaton, and of each pattern or bound on the way
  std::size_t max_work = 8'000'000;     // steps of making it deterministic: what a regex of exponential size runs into
  std::size_t max_table = 6'000'000;    // entries of the transition table, 4 bytes each
  int max_repeat = 100'000;             // the largest count in {m,n}, minLength, maxItems, ...
};

// A grammar put together from pieces (tool calls are: see models/tools).
struct GrammarPart {
  enum class Kind {
    kText,         // `text` literally
    kSchema,       // JSON that conforms to the schema in `text`
    kSchemaText,   // the same for a schema of strings (or null): their characters as they are, without quotes, and none of `words` in them
    kRegex,        // the regular expression in `text`, whole
    kTextWithout,  // any UTF-8 text in which none of `words` occurs
    kSequence,     // `parts` one after the other
    kChoice,       // one of `parts`
    kRepeat,       // parts[0], min to max times (max < 0: any number)
  };
  Kind kind = Kind::kText;
  std::string text;
  std::shared_ptr<const std::string> document = nullptr;  // of schemas: where set, `text` is a reference ("#/properties/a") into this one
  std::vector<GrammarPart> parts;
  std::vector<std::string> words;
  int min = 1, max = 1;
};

// Immutable; any number of threads. The notations, exactly, are described in README.md beside this file.
// Errors of all makers: kInvalidArgument (the message names the place: a JSON path, or a byte of the text; also for what cannot be
// enforced and for a language that is empty or never ends), kTooLarge (a limit).
class Grammar {
 public:
  // JSON that conforms to a JSON Schema (draft 2020-12). What is generated always conforms (except that oneOf is read as anyOf); not
  // everything that conforms can be generated: objects have their properties in the order of the schema, and no others unless it says
  // so. White space: at most one space, after ':' and after ','.
  static Result<Grammar> from_json_schema(std::string_view schema, const GrammarLimits& limits = {});
  // Any JSON object.
  static Result<Grammar> from_json_object(const GrammarLimits& limits = {});
  // The whole output matches the expression.
  static Result<Grammar> from_regex(std::string_view regex, const GrammarLimits& limits = {});
  // GBNF as llama.cpp reads it; starts at the rule "root".
  static Result<Grammar> from_gbnf(std::string_view text, const GrammarLimits& limits = {});
  static Result<Grammar> from_parts(const GrammarPart& part, const GrammarLimits& limits = {});

  std::size_t states() const;
  std::size_t bytes() const;  // of memory
  const constrain::Automaton& automaton() const { return *automaton_; }

 private:
  explicit Grammar(std::shared_ptr<const constrain::Automaton> automaton) : automaton_(std::move(automaton)) {}
  std::shared_ptr<const constrain::Automaton> automaton_;
};

}  // namespace stoa::models
