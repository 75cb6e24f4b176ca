#include "models/tools/parameters.h"

#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "base/json.h"

namespace stoa::models {
namespace {

using Kind = GrammarPart::Kind;

constexpr int kMaxLooked = 256;  // schemas that are looked into for one parameter; beyond them it may be anything
constexpr int kMaxFreeParameters = 64;
const std::string kClose = "</parameter>";

// The kinds of value that a schema allows, at most.
constexpr unsigned kString = 1, kNull = 2, kOther = 4, kAll = 7;

unsigned kind_of_type(const Json& type) {
  if (const auto* several = type.if_array()) {
    unsigned kinds = 0;
    for (const Json& one : *several) kinds |= kind_of_type(one);
    return kinds;
  }
  if (!type.is_string()) return kAll;
  return type.get_string() == "string" ? kString : type.get_string() == "null" ? kNull : kOther;
}

unsigned kind_of_value(const Json& value) { return value.is_string() ? kString : value.is_null() ? kNull : kOther; }

unsigned kinds_of(const Json& schema, const Json& document, int& budget) {
  const auto* object = schema.if_object();
  if (object == nullptr || --budget < 0) return kAll;
  unsigned kinds = kAll;
  if (const Json* type = object->if_contains("type")) {
    kinds &= kind_of_type(*type);
    const Json* nullable = object->if_contains("nullable");
    if (nullable != nullptr && nullable->is_bool() && nullable->get_bool()) kinds |= kNull;
  }
  if (const Json* value = object->if_contains("const")) kinds &= kind_of_value(*value);
  if (const Json* list = object->if_contains("enum"); list != nullptr && list->is_array()) {
    unsigned some = 0;
    for (const Json& value : list->get_array()) some |= kind_of_value(value);
    kinds &= some;
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    const Json* branches = object->if_contains(keyword);
    if (branches == nullptr || !branches->is_array()) continue;
    unsigned some = 0;
    for (const Json& branch : branches->get_array()) some |= kinds_of(branch, document, budget);
    kinds &= some;
  }
  if (const Json* reference = object->if_contains("$ref"); reference != nullptr && reference->is_string() && reference->get_string().starts_with("#/")) {
    boost::system::error_code missing;
    const Json* target = document.find_pointer(std::string_view(reference->get_string()).substr(1), missing);
    if (target != nullptr) kinds &= kinds_of(*target, document, budget);
  }
  return kinds;
}

ValueForm form_of(const Json& schema, const Json& document) {
  int budget = kMaxLooked;
  const unsigned kinds = kinds_of(schema, document, budget);
  if (kinds == kString) return ValueForm::kText;
  if (kinds == (kString | kNull)) return ValueForm::kTextOrNull;
  return kinds & kString ? ValueForm::kAny : ValueForm::kJson;
}

const JsonObject* properties_of(const Json& document) {
  const auto* object = document.if_object();
  const Json* properties = object != nullptr ? object->if_contains("properties") : nullptr;
  return properties != nullptr ? properties->if_object() : nullptr;
}

GrammarPart text(std::string text) { return {.kind = Kind::kText, .text = std::move(text)}; }
GrammarPart sequence(std::vector<GrammarPart> parts) { return {.kind = Kind::kSequence, .parts = std::move(parts)}; }

GrammarPart any_parameters() {
  GrammarPart one = sequence({text("<parameter="), {.kind = Kind::kRegex, .text = "[^<>\\n]{1,64}"}, text(">\n"), {.kind = Kind::kTextWithout, .words = {kClose}}, text("\n" + kClose + "\n")});
  return {.kind = Kind::kRepeat, .parts = {std::move(one)}, .min = 0, .max = kMaxFreeParameters};
}

// What stands beside `properties` and cannot be held by a list of them.
Status check_plain(const JsonObject& schema) {
  constexpr std::array kBeyond = {"$ref", "allOf", "anyOf", "oneOf", "enum", "const", "patternProperties", "propertyNames", "minProperties", "maxProperties"};
  for (const char* keyword : kBeyond) {
    if (schema.if_contains(keyword) == nullptr) continue;
    return fail(error(ErrorCode::kInvalidArgument, "schema at #: '{}' cannot be enforced in this model's tool calls, which list parameters one by one", keyword)
                    .with_hint("put it into a property, or list the properties at the top"));
  }
  return {};
}

// The names in `required`, each of which has to be a property.
Result<std::set<std::string, std::less<>>> required_of(const JsonObject& schema, const JsonObject& properties) {
  std::set<std::string, std::less<>> names;
  const Json* required = schema.if_contains("required");
  if (required == nullptr || !required->is_array()) return names;
  for (const Json& one : required->get_array()) {
    if (!one.is_string()) continue;
    if (properties.if_contains(one.get_string()) == nullptr)
      return fail(error(ErrorCode::kInvalidArgument, "schema at #/required: '{}' is not among the properties", std::string_view(one.get_string()).substr(0, 80)).with_hint("describe it there"));
    names.emplace(one.get_string());
  }
  return names;
}

}  // namespace

ParameterForms parameter_forms(std::span<const ToolDefinition> tools) {
  ParameterForms forms;
  for (const ToolDefinition& tool : tools) {
    const auto document = parse_json(tool.parameters.empty() ? "{}" : tool.parameters);
    if (!document) continue;
    const auto* properties = properties_of(*document);
    if (properties == nullptr) continue;
    for (const auto& [name, schema] : *properties) forms[tool.name][std::string(name)] = form_of(schema, *document);
  }
  return forms;
}

Result<GrammarPart> parameter_grammar(const ToolDefinition& tool) {
  if (!tool.strict || tool.parameters.empty()) return any_parameters();
  STOA_TRY(document, parse_json(tool.parameters));
  const auto* schema = document.if_object();
  if (schema == nullptr) return any_parameters();
  STOA_CHECK(check_plain(*schema));
  const auto* properties = properties_of(document);
  if (properties == nullptr) return any_parameters();
  STOA_TRY(required, required_of(*schema, *properties));
  const auto shared = std::make_shared<const std::string>(tool.parameters);
  std::vector<GrammarPart> parts;
  for (const auto& [name, value] : *properties) {
    if (name.empty() || std::ranges::any_of(name, [](unsigned char c) { return c < 0x20; }) || name.find_first_of("<>/~%") != std::string_view::npos)
      return fail(error(ErrorCode::kInvalidArgument, "schema at #/properties: the name '{}' cannot be written in this model's tool calls", std::string_view(name).substr(0, 80))
                      .with_hint("name it with letters, digits and '_'"));
    const ValueForm form = form_of(value, document);
    const bool plain = form == ValueForm::kText || form == ValueForm::kTextOrNull;
    GrammarPart content{.kind = plain ? Kind::kSchemaText : Kind::kSchema, .text = fmt::format("#/properties/{}", std::string_view(name)), .document = shared};
    if (plain) content.words = {kClose};
    GrammarPart whole = sequence({text(fmt::format("<parameter={}>\n", std::string_view(name))), std::move(content), text("\n" + kClose + "\n")});
    if (required.contains(std::string_view(name))) parts.push_back(std::move(whole));
    else parts.push_back({.kind = Kind::kRepeat, .parts = {std::move(whole)}, .min = 0, .max = 1});
  }
  return sequence(std::move(parts));
}

}  // namespace stoa::models
