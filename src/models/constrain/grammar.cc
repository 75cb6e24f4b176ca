#include "models/constrain/grammar.h"

#include "models/constrain/automaton.h"
#include "models/constrain/compile.h"
#include "models/constrain/gbnf.h"
#include "models/constrain/json_syntax.h"
#include "models/constrain/regex.h"
#include "models/constrain/schema.h"
#include "models/constrain/syntax.h"

namespace stoa::models {

using namespace constrain;

namespace {

Status check_size(std::string_view what, std::string_view text, const GrammarLimits& limits) {
  if (text.size() > limits.max_bytes) return fail(error(ErrorCode::kTooLarge, "{} has {} bytes, {} are allowed", what, text.size(), limits.max_bytes));
  return {};
}

// Puts parts together; JSON pieces are made once, for the first part that needs them.
class PartReader {
 public:
  explicit PartReader(Syntax& syntax) : syntax_(syntax) {}

  Result<NodeId> read(const GrammarPart& part, std::size_t depth) {
    if (depth > syntax_.limits().max_depth) return fail(ErrorCode::kTooLarge, "grammar parts are nested deeper than {}", syntax_.limits().max_depth);
    STOA_CHECK(check_size("a grammar part", part.text, syntax_.limits()));
    if (part.document) STOA_CHECK(check_size("the schema", *part.document, syntax_.limits()));
    std::vector<NodeId> nodes;
    for (const GrammarPart& child : part.parts) {
      STOA_TRY(node, read(child, depth + 1));
      nodes.push_back(node);
    }
    STOA_CHECK(syntax_.status());
    switch (part.kind) {
      case GrammarPart::Kind::kText: return syntax_.text(part.text);
      case GrammarPart::Kind::kSchema:
      case GrammarPart::Kind::kSchemaText: {
        STOA_CHECK(need_json());
        STOA_TRY(document, parsed(part));
        const std::string_view reference = part.document ? std::string_view(part.text) : "#";
        if (part.kind == GrammarPart::Kind::kSchema) return read_schema(syntax_, *json_, *document, reference);
        return read_schema_text(syntax_, *json_, *document, reference, part.words);
      }
      case GrammarPart::Kind::kRegex: return read_regex(syntax_, part.text, {});
      case GrammarPart::Kind::kTextWithout: return text_without(syntax_, part.words);
      case GrammarPart::Kind::kSequence: return nodes.empty() ? syntax_.text("") : syntax_.sequence(std::move(nodes));
      case GrammarPart::Kind::kChoice: return syntax_.choice(std::move(nodes));
      case GrammarPart::Kind::kRepeat:
        if (nodes.size() != 1 || part.min < 0 || (part.max >= 0 && part.max < part.min) || std::max(part.min, part.max) > syntax_.limits().max_repeat)
          return fail(ErrorCode::kInvalidArgument, "a repeated grammar part has one child and ordered counts up to {}", syntax_.limits().max_repeat);
        return syntax_.repeat(nodes.front(), part.min, part.max < 0 ? kUnlimited : part.max);
    }
    return syntax_.never();
  }

 private:
  Status need_json() {
    if (json_) return {};
    STOA_TRY(json, JsonSyntax::make(syntax_));
    json_.emplace(std::move(json));
    return {};
  }

  // Parts of one document come one after the other: it is read once for all of them.
  Result<const Json*> parsed(const GrammarPart& part) {
    if (part.document && part.document == document_) return &*schema_;
    STOA_TRY(schema, parse_schema(part.document ? *part.document : part.text, syntax_.limits()));
    schema_ = std::move(schema);
    document_ = part.document;
    return &*schema_;
  }

  Syntax& syntax_;
  std::optional<JsonSyntax> json_;
  std::shared_ptr<const std::string> document_;
  std::optional<Json> schema_;  // of document_
};

Result<std::shared_ptr<const Automaton>> finish(Syntax& syntax, NodeId body) {
  const RuleId root = syntax.add_rule("root");
  STOA_CHECK(syntax.status());
  syntax.define(root, body);
  STOA_TRY(automaton, compile(syntax, root));
  return std::make_shared<const Automaton>(std::move(automaton));
}

}  // namespace

Result<Grammar> Grammar::from_parts(const GrammarPart& part, const GrammarLimits& limits) {
  Syntax syntax(limits);
  PartReader reader(syntax);
  STOA_TRY(node, reader.read(part, 0));
  STOA_TRY(automaton, finish(syntax, node));
  return Grammar(automaton);
}

Result<Grammar> Grammar::from_json_schema(std::string_view schema, const GrammarLimits& limits) {
  STOA_CHECK(check_size("the schema", schema, limits));
  return from_parts({.kind = GrammarPart::Kind::kSchema, .text = std::string(schema)}, limits);
}

Result<Grammar> Grammar::from_json_object(const GrammarLimits& limits) { return from_json_schema(R"({"type":"object"})", limits); }

Result<Grammar> Grammar::from_regex(std::string_view regex, const GrammarLimits& limits) {
  STOA_CHECK(check_size("the regular expression", regex, limits));
  return from_parts({.kind = GrammarPart::Kind::kRegex, .text = std::string(regex)}, limits);
}

Result<Grammar> Grammar::from_gbnf(std::string_view text, const GrammarLimits& limits) {
  STOA_CHECK(check_size("the grammar", text, limits));
  Syntax syntax(limits);
  STOA_TRY(root, read_gbnf(syntax, text));
  STOA_TRY(automaton, compile(syntax, root));
  return Grammar(std::make_shared<const Automaton>(std::move(automaton)));
}

std::size_t Grammar::states() const { return automaton_->states(); }

std::size_t Grammar::bytes() const {
  return sizeof(Automaton) + automaton_->table.size() * sizeof(std::uint32_t) + automaton_->flags.size() * 5 + automaton_->calls.size() * sizeof(CallEdge) +
         automaton_->counters.size() * sizeof(Counter);
}

}  // namespace stoa::models
