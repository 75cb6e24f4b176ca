#include "models/constrain/schema.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "models/constrain/compile.h"
#include "models/constrain/regex.h"
#include "models/constrain/schema_shape.h"

namespace stoa::models::constrain {
namespace {

// More optional properties than this, and each becomes a rule of its own: in one automaton, every property would have to know which of
// the later ones may follow it.
constexpr std::size_t kMaxInlineOptional = 12;

class SchemaReader {
 public:
  SchemaReader(Syntax& syntax, JsonSyntax& json, const Json& document) : syntax_(syntax), json_(json), document_(document) {}

  // `words`: of values that stand as plain text; none for JSON.
  Result<NodeId> read(std::string_view reference, std::optional<std::span<const std::string>> words) {
    STOA_TRY(place, resolve({.schema = &document_, .path = "#"}, Json(reference)));
    STOA_TRY(node, words ? plain({place}, *words, 0) : value({place}, 0));
    if (node == syntax_.never())
      return fail(error(ErrorCode::kInvalidArgument, "schema at {}: nothing can satisfy it", reference).with_hint("look for bounds, types or required properties that exclude each other"));
    return node;
  }

 private:
  using Key = std::vector<std::pair<const Json*, int>>;
  struct Names {
    std::vector<std::string> declared;
    bool others = false;
  };

  // What all parts allow; a conjunction that was met before is the same rule again, which is how recursion ends.
  Result<NodeId> value(const Conjunction& given, std::size_t depth);
  Result<NodeId> body(const Conjunction& parts, std::size_t depth);
  Result<bool> flatten(const SchemaAt& at, Conjunction& out, std::vector<const Json*>& active);
  Result<SchemaAt> resolve(const SchemaAt& at, const Json& reference) const;

  std::vector<Conjunction> branches(const Conjunction& parts, const Shape& shape) const;
  Result<NodeId> alternatives(const Conjunction& parts, const Shape& shape, std::size_t depth);
  Result<NodeId> plain(const Conjunction& given, std::span<const std::string> words, std::size_t depth);
  Result<NodeId> plain_text(const Shape& shape, std::span<const std::string> words);
  Result<NodeId> listed(const Shape& shape);
  Result<NodeId> text(const Shape& shape);
  Result<NodeId> together(std::span<const NodeId> nodes, std::string_view path);
  Result<NodeId> array(const Shape& shape, std::size_t depth);
  Result<NodeId> object(const Shape& shape, std::size_t depth);
  Result<Names> names_of(const Shape& shape) const;
  Result<NodeId> member(const Shape& shape, std::optional<std::string_view> name, std::size_t depth);
  Result<NodeId> map(const Shape& shape, NodeId member);
  Result<NodeId> key(const Shape& shape, std::size_t depth);
  Result<NodeId> other_key(const Shape& shape, const std::vector<std::string>& declared);
  NodeId repeated(NodeId item, std::int64_t min, std::int64_t max);

  Syntax& syntax_;
  JsonSyntax& json_;
  const Json& document_;
  std::map<Key, RuleId> known_;
};

Result<SchemaAt> SchemaReader::resolve(const SchemaAt& at, const Json& reference) const {
  const auto wrong = [&](std::string_view what) { return schema_error(at.path, "$ref", what, "references look like #/$defs/name"); };
  if (!reference.is_string()) return wrong("must be a string");
  const std::string text(reference.get_string());
  if (text != "#" && !text.starts_with("#/")) return wrong(fmt::format("'{}' points outside this schema, or is not a JSON pointer", text));
  const Json* found = referred_to(document_, text);
  if (found == nullptr) return wrong(fmt::format("'{}' names nothing in this schema", text));
  return SchemaAt{.schema = found, .path = text};
}

// Adds a schema with everything that its $ref and allOf say must hold as well. False when it allows nothing at all.
Result<bool> SchemaReader::flatten(const SchemaAt& at, Conjunction& out, std::vector<const Json*>& active) {
  if (at.schema->is_bool()) return at.schema->get_bool();
  if (!at.schema->is_object()) return fail(ErrorCode::kInvalidArgument, "schema at {}: a schema is an object, true or false", at.path);
  if (std::ranges::find(active, at.schema) != active.end()) return schema_error(at.path, "$ref", "refers to itself without end", "let the recursion go through properties or items");
  if (active.size() > syntax_.limits().max_depth) return fail(ErrorCode::kTooLarge, "schema at {}: more than {} references or allOf inside one another", at.path, syntax_.limits().max_depth);
  const auto known = std::ranges::find(out, at.schema, &SchemaAt::schema);
  if (known != out.end()) {
    // One branch of its anyOf was taken, and that branch leads back to it.
    if (!at.resolved && (known->skip_any || known->skip_one)) return schema_error(at.path, "$ref", "refers to itself without end", "let the recursion go through properties or items");
    return true;
  }
  if (out.size() > syntax_.limits().max_rules) return fail(ErrorCode::kTooLarge, "schema at {}: more than {} schemas have to hold together", at.path, syntax_.limits().max_rules);
  out.push_back(at);
  out.back().resolved = true;
  if (at.resolved) return true;
  active.push_back(at.schema);
  bool possible = true;
  const JsonObject& object = at.schema->get_object();
  if (const Json* reference = object.if_contains("$ref")) {
    STOA_TRY(target, resolve(at, *reference));
    STOA_TRY(good, flatten(target, out, active));
    possible &= good;
  }
  if (const Json* all = object.if_contains("allOf")) {
    if (!all->is_array()) return schema_error(at.path, "allOf", "must be an array of schemas", "");
    for (std::size_t i = 0; i < all->get_array().size(); ++i) {
      STOA_TRY(good, flatten({.schema = &all->get_array()[i], .path = fmt::format("{}/allOf/{}", at.path, i)}, out, active));
      possible &= good;
    }
  }
  active.pop_back();
  return possible;
}

Result<NodeId> SchemaReader::value(const Conjunction& given, std::size_t depth) {
  STOA_CHECK(syntax_.status());
  if (depth > syntax_.limits().max_depth)
    return fail(error(ErrorCode::kTooLarge, "schema at {}: schemas are nested or refer to each other deeper than {} levels", given.front().path, syntax_.limits().max_depth));
  Conjunction parts;
  for (const SchemaAt& part : given) {
    std::vector<const Json*> active;
    STOA_TRY(possible, flatten(part, parts, active));
    if (!possible) return syntax_.never();
  }
  if (parts.empty()) return json_.value();
  Key key;
  for (const SchemaAt& part : parts) key.emplace_back(part.schema, (part.skip_any ? 1 : 0) + (part.skip_one ? 2 : 0));
  std::ranges::sort(key);
  if (const auto found = known_.find(key); found != known_.end()) {
    const SyntaxRule& rule = syntax_.rule_of(found->second);
    return rule.defined && rule.body == syntax_.never() ? syntax_.never() : syntax_.rule(found->second);
  }
  const RuleId rule = syntax_.add_rule(parts.front().path);
  STOA_CHECK(syntax_.status());
  known_[key] = rule;
  STOA_TRY(node, body(parts, depth));
  syntax_.define(rule, node);
  STOA_CHECK(syntax_.status());
  return node == syntax_.never() ? syntax_.never() : syntax_.rule(rule);
}

Result<NodeId> SchemaReader::body(const Conjunction& parts, std::size_t depth) {
  STOA_TRY(shape, read_shape(parts, syntax_.limits()));
  if (shape.alternatives) return alternatives(parts, shape, depth);
  if (shape.values) return listed(shape);
  // Without `type` a schema is read as the kinds of value that its keywords speak of.
  std::uint8_t types = shape.types;
  if (!shape.typed) {
    if (shape.spoken == 0 && !shape.number.low && !shape.number.high) return json_.value();
    types = shape.spoken;
  }
  std::vector<NodeId> options;
  if (types & kStringType) {
    STOA_TRY(node, text(shape));
    options.push_back(node);
  }
  if (types & kIntegerType) {
    NumberRules rules = shape.number;
    rules.integer = !(types & kFractionType);
    const bool free = !rules.integer && !rules.low && !rules.high && !rules.multiple_of;
    STOA_TRY(node, free ? Result<NodeId>(json_.number()) : number_node(syntax_, rules));
    options.push_back(node);
  }
  if (types & kBoolType) {
    options.push_back(syntax_.text("true"));
    options.push_back(syntax_.text("false"));
  }
  if (types & kNullType) options.push_back(syntax_.text("null"));
  if (types & kArrayType) {
    STOA_TRY(node, array(shape, depth));
    options.push_back(node);
  }
  if (types & kObjectType) {
    STOA_TRY(node, object(shape, depth));
    options.push_back(node);
  }
  return syntax_.choice(std::move(options));
}

// Each branch together with everything that stands beside the anyOf.
std::vector<Conjunction> SchemaReader::branches(const Conjunction& parts, const Shape& shape) const {
  const std::size_t index = *shape.alternatives;
  const char* keyword = shape.alternatives_one ? "oneOf" : "anyOf";
  Conjunction rest = parts;
  (shape.alternatives_one ? rest[index].skip_one : rest[index].skip_any) = true;
  std::vector<Conjunction> out;
  const JsonArray& schemas = parts[index].schema->get_object().at(keyword).get_array();
  for (std::size_t i = 0; i < schemas.size(); ++i) {
    out.push_back(rest);
    out.back().push_back({.schema = &schemas[i], .path = fmt::format("{}/{}/{}", parts[index].path, keyword, i)});
  }
  return out;
}

Result<NodeId> SchemaReader::alternatives(const Conjunction& parts, const Shape& shape, std::size_t depth) {
  std::vector<NodeId> options;
  for (const Conjunction& branch : branches(parts, shape)) {
    STOA_TRY(node, value(branch, depth + 1));
    options.push_back(node);
  }
  return syntax_.choice(std::move(options));
}

// Strings and null as plain text.
Result<NodeId> SchemaReader::plain(const Conjunction& given, std::span<const std::string> words, std::size_t depth) {
  if (depth > syntax_.limits().max_depth) return fail(ErrorCode::kTooLarge, "schema at {}: nested deeper than {} levels", given.front().path, syntax_.limits().max_depth);
  Conjunction parts;
  for (const SchemaAt& part : given) {
    std::vector<const Json*> active;
    STOA_TRY(possible, flatten(part, parts, active));
    if (!possible) return syntax_.never();
  }
  STOA_TRY(shape, read_shape(parts, syntax_.limits()));
  std::vector<NodeId> options;
  if (shape.alternatives) {
    for (const Conjunction& branch : branches(parts, shape)) {
      STOA_TRY(node, plain(branch, words, depth + 1));
      options.push_back(node);
    }
    return syntax_.choice(std::move(options));
  }
  const std::uint8_t types = shape.typed || shape.values ? shape.types : shape.spoken;
  if (shape.values) {
    if (!shape.assertions.empty()) return listed(shape);  // which says what is wrong with that
    for (const Json& value : *shape.values) {
      const bool has_word = value.is_string() && std::ranges::any_of(words, [&](const std::string& word) { return std::string_view(value.get_string()).contains(word); });
      if (has_word) return schema_error(shape.path, "enum", fmt::format("has {}, which cannot stand in a parameter of this model's tool calls", dump_json(value).substr(0, 80)), "");
      if ((types & kStringType) && value.is_string()) options.push_back(syntax_.text(value.get_string()));
      if ((types & kNullType) && value.is_null()) options.push_back(syntax_.text("null"));
    }
    return syntax_.choice(std::move(options));
  }
  if (types & ~(kStringType | kNullType)) return schema_error(shape.path, "type", "allows more than strings", "");
  if (types & kNullType) options.push_back(syntax_.text("null"));
  if (types & kStringType) {
    STOA_TRY(node, plain_text(shape, words));
    options.push_back(node);
  }
  return syntax_.choice(std::move(options));
}

Result<NodeId> SchemaReader::plain_text(const Shape& shape, std::span<const std::string> words) {
  const std::int64_t min = shape.min_length, max = shape.max_length;
  if (max >= 0 && min > max) return syntax_.never();
  const bool bounded = min > 0 || max >= 0;
  RuneSet some = RuneSet::all();
  for (const std::string& word : words) some = some.minus({{static_cast<unsigned char>(word.front()), static_cast<unsigned char>(word.front())}});
  const NodeId lengths = bounded ? repeated(syntax_.runes(std::move(some)), min, max) : syntax_.never();
  if (shape.patterns.empty()) return bounded ? Result<NodeId>(lengths) : text_without(syntax_, words);
  STOA_TRY(free, text_without(syntax_, words));
  std::vector<NodeId> nodes{free};
  if (bounded) nodes.push_back(lengths);
  for (const Shape::Text& pattern : shape.patterns) {
    auto node = read_regex(syntax_, pattern.regex, {.search = true});
    if (!node) return fail(std::move(node).error().in("schema at " + pattern.path));
    nodes.push_back(*node);
  }
  return together(nodes, shape.path);
}

Result<NodeId> SchemaReader::listed(const Shape& shape) {
  if (!shape.assertions.empty())
    return schema_error(shape.path, shape.assertions.front(), "stands beside enum or const", "list only the values that are wanted and remove it");
  std::vector<NodeId> options;
  for (const Json& value : *shape.values)
    if (shape.types & type_of(value)) options.push_back(syntax_.text(dump_json(value)));
  return syntax_.choice(std::move(options));
}

NodeId SchemaReader::repeated(NodeId item, std::int64_t min, std::int64_t max) {
  return syntax_.repeat(item, static_cast<int>(min), max < 0 ? kUnlimited : static_cast<int>(max));
}

Result<NodeId> SchemaReader::text(const Shape& shape) {
  const std::int64_t min = shape.min_length, max = shape.max_length;
  if (max >= 0 && min > max) return syntax_.never();
  const bool bounded = min > 0 || max >= 0;
  if (shape.patterns.empty()) return bounded ? json_.quoted(repeated(json_.character(), min, max)) : json_.string();
  std::vector<NodeId> nodes;
  for (const Shape::Text& pattern : shape.patterns) {
    auto node = read_regex(syntax_, pattern.regex, {.json = true, .search = true});
    if (!node) return fail(std::move(node).error().in("schema at " + pattern.path));
    nodes.push_back(*node);
  }
  const LengthRange lengths = length_range(syntax_, nodes.front());
  const bool implied = lengths.least >= min && (max < 0 || (lengths.most >= 0 && lengths.most <= max));
  if (nodes.size() == 1 && (!bounded || implied)) return json_.quoted(nodes.front());
  if (bounded) nodes.push_back(repeated(syntax_.runes(RuneSet::all(), true), min, max));
  STOA_TRY(node, together(nodes, shape.path));
  return node == syntax_.never() ? node : json_.quoted(node);
}

// What all of these regular expressions match.
Result<NodeId> SchemaReader::together(std::span<const NodeId> nodes, std::string_view path) {
  std::optional<Dfa> all;
  for (const NodeId node : nodes) {
    auto one = compile_regular(syntax_, node);
    if (one && all) one = intersection(*all, *one, syntax_.limits().max_states);
    if (!one) return fail(std::move(one).error().in(fmt::format("schema at {}", path)).with_hint("shorten minLength and maxLength, or put the length into the pattern"));
    all = std::move(*one);
  }
  return syntax_.dfa(std::move(*all));
}

Result<NodeId> SchemaReader::array(const Shape& shape, std::size_t depth) {
  std::size_t prefix = 0;
  for (const auto& elements : shape.elements) prefix = std::max(prefix, elements.prefix.size());
  if (prefix > syntax_.limits().max_rules) return fail(ErrorCode::kTooLarge, "schema at {}: more than {} prefixItems", shape.path, syntax_.limits().max_rules);
  const auto element = [&](std::size_t i) -> Result<NodeId> {
    Conjunction parts;
    for (const auto& elements : shape.elements) {
      if (i < elements.prefix.size()) parts.push_back(elements.prefix[i]);
      else if (elements.items) parts.push_back(*elements.items);
    }
    if (parts.empty()) return json_.value();
    return value(parts, depth + 1);
  };
  const std::int64_t min = shape.min_items, max = shape.max_items < 0 ? -1 : shape.max_items;
  if (max >= 0 && min > max) return syntax_.never();
  std::vector<NodeId> first;
  for (std::size_t i = 0; i < prefix && (max < 0 || static_cast<std::int64_t>(i) < max); ++i) {
    STOA_TRY(node, element(i));
    if (node == syntax_.never()) break;  // the array ends before this place
    first.push_back(node);
  }
  const auto count = static_cast<std::int64_t>(first.size());
  NodeId rest = syntax_.never();
  if (first.size() == prefix && (max < 0 || max > count)) {
    STOA_TRY(node, element(prefix));
    rest = node;
  }
  if (rest == syntax_.never() && min > count) return syntax_.never();
  // From the end: each place may be the last one once there are enough.
  NodeId tail = syntax_.text("");
  if (rest != syntax_.never()) {
    const std::int64_t low = std::max<std::int64_t>(0, min - count), high = max < 0 ? -1 : max - count;
    if (count > 0) {
      tail = repeated(syntax_.sequence({json_.comma(), rest}), low, high);
    } else if (low <= 1 && high < 0) {
      tail = syntax_.list({rest}, {static_cast<std::uint8_t>(kRepeated)}, json_.comma());
      if (low == 1) tail = syntax_.sequence({rest, repeated(syntax_.sequence({json_.comma(), rest}), 0, -1)});
    } else if (high != 0) {
      tail = syntax_.sequence({rest, repeated(syntax_.sequence({json_.comma(), rest}), std::max<std::int64_t>(0, low - 1), high < 0 ? -1 : high - 1)});
      if (low == 0) tail = syntax_.optional(tail);
    }
  }
  for (std::size_t i = first.size(); i-- > 0;) {
    tail = i > 0 ? syntax_.sequence({json_.comma(), first[i], tail}) : syntax_.sequence({first[i], tail});
    if (static_cast<std::int64_t>(i) >= min) tail = syntax_.optional(tail);
  }
  return syntax_.sequence({syntax_.text("["), tail, syntax_.text("]")});
}

Result<NodeId> SchemaReader::object(const Shape& shape, std::size_t depth) {
  STOA_TRY(names, names_of(shape));
  std::vector<NodeId> items;
  std::vector<std::uint8_t> flags;
  const auto is_required = [&](const std::string& name) { return std::ranges::find(shape.required, name) != shape.required.end(); };
  const bool many = static_cast<std::size_t>(std::ranges::count_if(names.declared, [&](const std::string& name) { return !is_required(name); })) > kMaxInlineOptional;
  std::int64_t least = 0;
  for (const std::string& name : names.declared) {
    STOA_TRY(node, member(shape, name, depth));
    const bool required = is_required(name);
    if (node == syntax_.never()) {
      if (required) return syntax_.never();
      continue;
    }
    least += required ? 1 : 0;
    NodeId item = syntax_.sequence({syntax_.text(dump_json(Json(name))), json_.colon(), node});
    if (many) {
      const RuleId rule = syntax_.add_rule(child_path(shape.path, name), true);
      STOA_CHECK(syntax_.status());
      syntax_.define(rule, item);
      item = syntax_.rule(rule);
    }
    items.push_back(item);
    flags.push_back(required ? 0 : kOptional);
  }
  NodeId other = syntax_.never();
  if (names.others) {
    STOA_TRY(node, member(shape, std::nullopt, depth));
    STOA_TRY(name, names.declared.empty() ? key(shape, depth) : other_key(shape, names.declared));
    other = syntax_.sequence({name, json_.colon(), node});
  }
  if (items.empty()) return map(shape, other);
  if (shape.max_properties >= 0 && shape.max_properties < least) return syntax_.never();
  if (shape.max_properties >= 0 && shape.max_properties < static_cast<std::int64_t>(items.size()))
    return schema_error(shape.path, "maxProperties", "is smaller than the number of properties", "list only as many properties, or use anyOf with one branch for each set");
  if (shape.min_properties > least) return schema_error(shape.path, "minProperties", "asks for more than the required properties", "make enough properties required");
  if (other != syntax_.never() && shape.max_properties < 0) {
    items.push_back(other);
    flags.push_back(kRepeated);
  }
  return syntax_.sequence({syntax_.text("{"), syntax_.list(std::move(items), std::move(flags), json_.comma()), syntax_.text("}")});
}

// The properties known by name, in the order in which they are written, and whether others may follow.
Result<SchemaReader::Names> SchemaReader::names_of(const Shape& shape) const {
  Names out;
  std::set<std::string_view> seen;
  bool open = false, closed = false, patterned = false, named = false;
  for (const auto& members : shape.members) {
    for (const auto& [name, schema] : members.properties)
      if (seen.insert(name).second) out.declared.push_back(name);
    patterned |= members.pattern.has_value();
    named |= members.names.has_value();
    if (members.additional && members.additional->schema->is_bool() && !members.additional->schema->get_bool()) closed = closed || !members.pattern;
    else open |= members.additional.has_value();
  }
  if ((patterned || named) && (!out.declared.empty() || !shape.required.empty()))
    return schema_error(shape.path, patterned ? "patternProperties" : "propertyNames", "is not supported beside properties and required", "describe all properties by name, or all of them by pattern");
  for (const std::string& name : shape.required)
    if (seen.insert(name).second) out.declared.push_back(name);
  // Objects with properties are closed unless the schema opens them: leaving others out always conforms.
  out.others = !closed && (open || out.declared.empty());
  return out;
}

// What the schemas say together about one property; nullopt: about those that none of them names.
Result<NodeId> SchemaReader::member(const Shape& shape, std::optional<std::string_view> name, std::size_t depth) {
  Conjunction parts;
  for (const auto& members : shape.members) {
    const auto found = std::ranges::find_if(members.properties, [&](const auto& property) { return name && property.first == *name; });
    if (found != members.properties.end()) parts.push_back(found->second);
    else if (members.pattern) parts.push_back(members.pattern->second);
    else if (members.additional) parts.push_back(*members.additional);
  }
  if (parts.empty()) return json_.value();
  return value(parts, depth + 1);
}

// An object without properties known by name.
Result<NodeId> SchemaReader::map(const Shape& shape, NodeId member) {
  const std::int64_t min = shape.min_properties, max = shape.max_properties;
  if ((max >= 0 && min > max) || (member == syntax_.never() && min > 0)) return syntax_.never();
  NodeId content = syntax_.text("");
  if (member != syntax_.never() && max != 0) {
    if (min == 0 && max < 0) {
      content = syntax_.list({member}, {kRepeated}, json_.comma());
    } else {
      content = syntax_.sequence({member, repeated(syntax_.sequence({json_.comma(), member}), std::max<std::int64_t>(0, min - 1), max < 0 ? -1 : max - 1)});
      if (min == 0) content = syntax_.optional(content);
    }
  }
  return syntax_.sequence({syntax_.text("{"), content, syntax_.text("}")});
}

// The key of a map: what propertyNames or patternProperties allow.
Result<NodeId> SchemaReader::key(const Shape& shape, std::size_t depth) {
  Conjunction names;
  std::vector<Shape::Text> patterns;
  for (const auto& members : shape.members) {
    if (members.names) names.push_back(*members.names);
    if (members.pattern) patterns.push_back({members.pattern->first, child_path(shape.path, "patternProperties")});
  }
  if (names.empty() && patterns.empty()) return json_.string();
  if (depth > syntax_.limits().max_depth) return fail(ErrorCode::kTooLarge, "schema at {}: nested deeper than {} levels", shape.path, syntax_.limits().max_depth);
  Conjunction parts;
  for (const SchemaAt& part : names) {
    std::vector<const Json*> active;
    STOA_TRY(possible, flatten(part, parts, active));
    if (!possible) return syntax_.never();
  }
  STOA_TRY(own, read_shape(parts, syntax_.limits()));
  if (own.alternatives) return schema_error(shape.path, "propertyNames", "with anyOf is not supported", "use pattern or enum");
  own.types &= kStringType;
  own.patterns.insert(own.patterns.end(), patterns.begin(), patterns.end());
  if (own.values) return listed(own);
  return text(own);
}

// A key that is none of the declared ones.
Result<NodeId> SchemaReader::other_key(const Shape& shape, const std::vector<std::string>& declared) {
  std::vector<NodeId> taken;
  for (const std::string& name : declared) {
    const std::string quoted = dump_json(Json(name));
    taken.push_back(syntax_.text(std::string_view(quoted).substr(1, quoted.size() - 2)));
  }
  STOA_TRY(all, compile_regular(syntax_, syntax_.repeat(syntax_.runes(RuneSet::all(), true), 0, kUnlimited)));
  STOA_TRY(names, compile_regular(syntax_, syntax_.choice(std::move(taken))));
  auto rest = difference(all, names, syntax_.limits().max_states);
  if (!rest) return fail(std::move(rest).error().in("schema at " + shape.path));
  return json_.quoted(syntax_.dfa(std::move(*rest)));
}

}  // namespace

Result<Json> parse_schema(std::string_view text, const GrammarLimits& limits) {
  return parse_json(text, {.max_bytes = limits.max_bytes, .max_depth = 2 * limits.max_depth});
}

Result<NodeId> read_schema(Syntax& syntax, JsonSyntax& json, const Json& document, std::string_view reference) {
  return SchemaReader(syntax, json, document).read(reference, std::nullopt);
}

Result<NodeId> read_schema_text(Syntax& syntax, JsonSyntax& json, const Json& document, std::string_view reference, std::span<const std::string> words) {
  return SchemaReader(syntax, json, document).read(reference, words);
}

}  // namespace stoa::models::constrain
