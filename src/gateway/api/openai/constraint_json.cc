#include "gateway/api/openai/constraint_json.h"

#include <array>

namespace stoa::gateway::openai {
namespace {

using Kind = AnswerConstraint::Kind;
using Found = Result<std::optional<AnswerConstraint>>;

constexpr std::size_t kMaxChoices = 1024;

// Schemas are objects, or true and false; some clients send them as text.
Result<AnswerConstraint> schema_at(const Fields& fields, std::string_view key, bool text_too) {
  const Json* value = fields.get(key);
  if (value != nullptr && value->is_object()) return AnswerConstraint{Kind::kJsonSchema, dump_json(*value), fields.path(key)};
  if (text_too && value != nullptr && value->is_string()) return AnswerConstraint{Kind::kJsonSchema, std::string(value->get_string()), fields.path(key)};
  return fields.wrong(key, "a JSON schema; it is required");
}

// The expression that matches exactly one of `choices`.
std::string any_of(const std::vector<std::string>& choices) {
  constexpr std::string_view kSpecial = R"(\^$.|?*+()[]{}/-)";
  std::string out;
  for (const std::string& choice : choices) {
    out += out.empty() ? "(?:" : "|";
    for (const char c : choice) {
      if (kSpecial.contains(c)) out += '\\';
      out += c;
    }
  }
  return out + ")";
}

Found parse_guided_in(const Fields& fields, const std::string& prefix) {
  std::optional<AnswerConstraint> out;
  for (const std::string_view name : {"json", "regex", "choice", "grammar", "json_object"}) {
    const std::string key = prefix + std::string(name);
    const Json* value = fields.get(key);
    if (value == nullptr || (name == "json_object" && value->is_bool() && !value->get_bool())) continue;
    if (out) return fields.wrong(key, fmt::format("left out beside '{}'", out->field));
    if (name == "json") {
      STOA_TRY(schema, schema_at(fields, key, true));
      out = std::move(schema);
    } else if (name == "choice") {
      STOA_TRY(choices, fields.texts(key, kMaxChoices));
      if (choices.empty() || !value->is_array()) return fields.wrong(key, "a non-empty list of strings");
      for (const std::string& choice : choices)
        if (choice.empty()) return fields.wrong(key, "a list of strings, none of them empty");
      out = {Kind::kRegex, any_of(choices), fields.path(key)};
    } else if (name == "json_object") {
      STOA_CHECK(fields.flag_or(key, false));
      out = {Kind::kJsonObject, "", fields.path(key)};
    } else {
      STOA_TRY(text, fields.required_text(key));
      out = {name == "regex" ? Kind::kRegex : Kind::kGbnf, std::move(text), fields.path(key)};
    }
  }
  return out;
}

}  // namespace

Found parse_format(const Fields& format, bool flat) {
  STOA_TRY(type, format.required_text("type"));
  if (type == "text") return std::nullopt;
  if (type == "json_object") return AnswerConstraint{Kind::kJsonObject, "", format.path("type")};
  if (type != "json_schema") return format.unsupported("type", "only 'text', 'json_object' and 'json_schema' are served");
  if (flat) {
    STOA_TRY(schema, schema_at(format, "schema", false));
    return schema;
  }
  STOA_TRY(inner, format.object("json_schema"));
  if (inner == nullptr) return format.wrong("json_schema", "an object with 'name' and 'schema'; it is required");
  const Fields fields(*inner, format.path("json_schema"));
  STOA_TRY(schema, schema_at(fields, "schema", false));
  return schema;
}

Found parse_guided(const Fields& body) {
  STOA_TRY(prefixed, parse_guided_in(body, "guided_"));
  STOA_TRY(nested, body.object("structured_outputs"));
  if (nested == nullptr) return prefixed;
  STOA_TRY(found, parse_guided_in(Fields(*nested, "structured_outputs"), ""));
  if (found && prefixed) return body.wrong("structured_outputs", fmt::format("left out beside '{}'", prefixed->field));
  return found ? found : prefixed;
}

Found parse_chat_constraint(const Fields& body) {
  STOA_TRY(guided, parse_guided(body));
  STOA_TRY(format, body.object("response_format"));
  if (format == nullptr) return guided;
  STOA_TRY(found, parse_format(Fields(*format, "response_format"), false));
  if (found && guided) return body.wrong(guided->field, "left out beside 'response_format'");
  return found ? found : guided;
}

}  // namespace stoa::gateway::openai
