#include "models/tokenizer/jinja_interpreter.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "models/tokenizer/jinja_arithmetic.h"
#include "models/tokenizer/jinja_text.h"

namespace stoa::models::jinja {
namespace {

std::unexpected<Error> wrong(std::string_view what) { return fail(ErrorCode::kInvalidArgument, "{}", what); }

// Names the line, once: the innermost construct knows it best.
std::unexpected<Error> at_line(Error problem, int line) {
  constexpr std::string_view kPrefix = "template line ";
  if (!problem.message.starts_with(kPrefix)) problem.message = fmt::format("{}{}: {}", kPrefix, line, problem.message);
  return std::unexpected(std::move(problem));
}

}  // namespace

// Counts the nesting of the run itself: the tree's height times the depth of macro calls would be too much for a stack.
struct Interpreter::Deeper {
  explicit Deeper(Interpreter& run) : run_(run) { ++run_.depth_; }
  ~Deeper() { --run_.depth_; }
  Interpreter& run_;
};

Result<std::string> Interpreter::run(const Body& body) {
  STOA_TRY(flow, execute(body));
  (void)flow;
  return std::move(out_);
}

void Interpreter::assign(std::string name, Value value) {
  for (auto& [known, held] : scopes_.back())
    if (known == name) {
      held = std::move(value);
      return;
    }
  scopes_.back().emplace_back(std::move(name), std::move(value));
}

Value Interpreter::look_up(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope)
    for (const auto& [known, value] : *scope)
      if (known == name) return value;
  if (is_function(name)) return Callable{name, nullptr};
  return Value::undefined(name);
}

// --- statements

Result<Interpreter::Flow> Interpreter::execute(const Body& body) {
  for (const auto& statement : body) {
    auto flow = execute(*statement);
    if (!flow) return at_line(std::move(flow).error(), statement->line);
    if (*flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Result<Interpreter::Flow> Interpreter::execute(const Statement& statement) {
  const Deeper deeper(*this);
  if (depth_ > context_.limits().max_depth * 10) return fail(ErrorCode::kTooLarge, "the run is nested too deeply");
  STOA_CHECK(context_.step());
  switch (statement.kind) {
    case StatementKind::kText:
      out_ += statement.text;
      if (out_.size() > context_.limits().max_output_bytes) return fail(ErrorCode::kTooLarge, "the output exceeds {} bytes", context_.limits().max_output_bytes);
      return Flow::kNormal;
    case StatementKind::kPrint: {
      STOA_TRY(value, evaluate(*statement.value));
      STOA_CHECK(print(value));
      return Flow::kNormal;
    }
    case StatementKind::kIf: return run_if(statement);
    case StatementKind::kFor: return run_for(statement);
    case StatementKind::kSet:
      STOA_CHECK(run_set(statement));
      return Flow::kNormal;
    case StatementKind::kSetBlock: {
      STOA_TRY(text, capture(statement.bodies[0]));
      STOA_TRY(value, context_.text(std::move(text)));
      assign(statement.names[0], value);
      return Flow::kNormal;
    }
    case StatementKind::kMacro: assign(statement.text, Callable{statement.text, &statement}); return Flow::kNormal;
    case StatementKind::kGroup: return execute(statement.bodies[0]);
    case StatementKind::kBreak: return Flow::kBreak;
    case StatementKind::kContinue: return Flow::kContinue;
  }
  return Flow::kNormal;
}

Status Interpreter::print(const Value& value) { return append_text(value, context_.text_limits(), out_); }

Result<Interpreter::Flow> Interpreter::run_if(const Statement& statement) {
  for (std::size_t i = 0; i < statement.bodies.size(); ++i) {
    if (i < statement.conditions.size()) {
      STOA_TRY(condition, evaluate(*statement.conditions[i]));
      if (!condition.truthy()) continue;
    }
    return execute(statement.bodies[i]);
  }
  return Flow::kNormal;
}

Status Interpreter::bind(const std::vector<std::string>& names, const Value& value) {
  if (names.size() == 1) {
    assign(names[0], value);
    return {};
  }
  STOA_TRY(parts, iterate(context_, value));
  if (parts.size() != names.size()) return wrong(fmt::format("{} values for {} names", parts.size(), names.size()));
  for (std::size_t i = 0; i < names.size(); ++i) assign(names[i], parts[i]);
  return {};
}

Result<Interpreter::Flow> Interpreter::run_for(const Statement& statement) {
  STOA_TRY(source, evaluate(*statement.value));
  STOA_TRY(items, iterate(context_, source));
  scopes_.emplace_back();
  Result<Flow> flow = Flow::kNormal;
  if (!statement.conditions.empty()) {
    List kept;
    for (const auto& item : items) {
      Status bound = bind(statement.names, item);
      auto condition = bound ? evaluate(*statement.conditions[0]) : Result<Value>(std::unexpected(bound.error()));
      if (!condition) {
        scopes_.pop_back();
        return fail(std::move(condition).error());
      }
      if (condition->truthy()) kept.push_back(item);
    }
    items = std::move(kept);
  }
  flow = loop(statement, items);
  scopes_.pop_back();
  if (flow && items.empty() && statement.bodies.size() > 1) return execute(statement.bodies[1]);
  return flow;
}

Result<Interpreter::Flow> Interpreter::loop(const Statement& statement, const List& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    STOA_CHECK(context_.step());
    scopes_.back().clear();
    STOA_TRY(variable, loop_variable(items, i));
    assign("loop", variable);
    STOA_CHECK(bind(statement.names, items[i]));
    STOA_TRY(flow, execute(statement.bodies[0]));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

Result<Value> Interpreter::loop_variable(const List& items, std::size_t place) {
  const auto at = static_cast<std::int64_t>(place), count = static_cast<std::int64_t>(items.size());
  Map out;
  out.items.reserve(9);
  const auto put = [&](const char* name, Value value) { out.items.emplace_back(name, std::move(value)); };
  put("index", at + 1);
  put("index0", at);
  put("revindex", count - at);
  put("revindex0", count - at - 1);
  put("first", at == 0);
  put("last", at + 1 == count);
  put("length", count);
  put("previtem", place > 0 ? items[place - 1] : Value::undefined("loop.previtem"));
  put("nextitem", place + 1 < items.size() ? items[place + 1] : Value::undefined("loop.nextitem"));
  return Value(std::move(out));  // small and short-lived: not counted
}

Status Interpreter::run_set(const Statement& statement) {
  STOA_TRY(value, evaluate(*statement.value));
  if (statement.text.empty()) return bind(statement.names, value);
  const Value target = look_up(statement.names[0]);
  if (!target.is_namespace()) return wrong(fmt::format("'{}' is no namespace: its members cannot be set", statement.names[0]));
  if (value.is_namespace()) return fail(ErrorCode::kUnsupported, "a namespace inside of a namespace is not supported");
  target.map()->at(statement.text) = value;
  return {};
}

Result<std::string> Interpreter::capture(const Body& body) {
  std::string before = std::exchange(out_, {});
  auto flow = execute(body);
  std::string text = std::exchange(out_, std::move(before));
  if (!flow) return fail(std::move(flow).error());
  return text;
}

// --- expressions

Result<Value> Interpreter::evaluate(const Expression& expression) {
  const Deeper deeper(*this);
  if (depth_ > context_.limits().max_depth * 10) return fail(ErrorCode::kTooLarge, "the run is nested too deeply");
  STOA_CHECK(context_.step());
  auto value = evaluate_node(expression);
  if (!value) return at_line(std::move(value).error(), expression.line);
  return value;
}

Result<List> Interpreter::evaluate_all(const Expression& expression) {
  List out;
  out.reserve(expression.operands.size());
  for (const auto& operand : expression.operands) {
    STOA_TRY(value, evaluate(*operand));
    // Keeps values free of cycles: see Value.
    if (value.is_namespace()) return fail(ErrorCode::kUnsupported, "a namespace inside of another value is not supported");
    out.push_back(std::move(value));
  }
  return out;
}

Result<Value> Interpreter::evaluate_node(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::kConstant: return expression.value;
    case ExpressionKind::kName: return look_up(expression.name);
    case ExpressionKind::kList:
    case ExpressionKind::kTuple: {
      STOA_TRY(items, evaluate_all(expression));
      return context_.list(std::move(items), expression.kind == ExpressionKind::kTuple);
    }
    case ExpressionKind::kMap: return mapping(expression);
    case ExpressionKind::kNegate: {
      STOA_TRY(value, evaluate(*expression.operands[0]));
      if (!value.is_number()) return wrong(fmt::format("{} cannot be negated", value.type_name()));
      return arithmetic("-", value.real() != nullptr ? Value(-0.0) : Value(std::int64_t{0}), value);
    }
    case ExpressionKind::kNot: {
      STOA_TRY(value, evaluate(*expression.operands[0]));
      return !value.truthy();
    }
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr: {
      Value value;
      for (const auto& operand : expression.operands) {
        STOA_TRY(next, evaluate(*operand));
        value = next;
        if (value.truthy() == (expression.kind == ExpressionKind::kOr)) break;
      }
      return value;
    }
    case ExpressionKind::kConcat: return concat(expression);
    case ExpressionKind::kBinary: return binary(expression);
    case ExpressionKind::kCompare: return compare(expression);
    case ExpressionKind::kChoose: {
      STOA_TRY(condition, evaluate(*expression.operands[1]));
      if (condition.truthy()) return evaluate(*expression.operands[0]);
      return expression.operands[2] == nullptr ? Value::undefined("the missing else") : evaluate(*expression.operands[2]);
    }
    case ExpressionKind::kAttribute: {
      STOA_TRY(of, evaluate(*expression.operands[0]));
      return attribute(of, expression.name);
    }
    case ExpressionKind::kIndex: {
      STOA_TRY(of, evaluate(*expression.operands[0]));
      STOA_TRY(at, evaluate(*expression.operands[1]));
      return index(of, at);
    }
    case ExpressionKind::kSlice: return slice(expression);
    case ExpressionKind::kCall: return call(expression);
    case ExpressionKind::kFilter: {
      STOA_TRY(subject, evaluate(*expression.operands[0]));
      STOA_TRY(given, arguments(expression));
      return apply_filter(context_, expression.name, subject, given);
    }
    case ExpressionKind::kTest: {
      STOA_TRY(subject, evaluate(*expression.operands[0]));
      STOA_TRY(given, arguments(expression));
      STOA_TRY(holds, apply_test(context_, expression.name, subject, given));
      return holds;
    }
  }
  return Value();
}

Result<Value> Interpreter::concat(const Expression& expression) {
  std::string text;
  for (const auto& operand : expression.operands) {
    STOA_TRY(value, evaluate(*operand));
    STOA_CHECK(append_text(value, context_.text_limits(), text));
  }
  return context_.text(std::move(text));
}

Result<Value> Interpreter::mapping(const Expression& expression) {
  STOA_TRY(parts, evaluate_all(expression));
  Map out;
  for (std::size_t i = 0; i + 1 < parts.size(); i += 2) {
    if (parts[i].string() == nullptr) return fail(ErrorCode::kUnsupported, "keys of mappings must be strings, found {}", parts[i].type_name());
    out.at(*parts[i].string()) = parts[i + 1];
  }
  return context_.map(std::move(out));
}

Result<Value> Interpreter::binary(const Expression& expression) {
  STOA_TRY(left, evaluate(*expression.operands[0]));
  STOA_TRY(right, evaluate(*expression.operands[1]));
  const std::string& sign = expression.name;
  if (left.is_number() && right.is_number()) return arithmetic(sign, left, right);
  if (sign == "+" && left.string() != nullptr && right.string() != nullptr) {
    STOA_CHECK(context_.spend(0, left.string()->size() + right.string()->size()));
    return context_.text(*left.string() + *right.string());
  }
  if (sign == "+" && left.list() != nullptr && right.list() != nullptr) {
    STOA_CHECK(context_.spend(0, (left.list()->size() + right.list()->size()) * sizeof(Value)));
    List items = *left.list();
    items.insert(items.end(), right.list()->begin(), right.list()->end());
    return context_.list(std::move(items), left.is_tuple());
  }
  if (sign == "*" && (left.string() != nullptr || right.string() != nullptr)) {
    const Value& text = left.string() != nullptr ? left : right;
    const Value& times = left.string() != nullptr ? right : left;
    if (times.integer() == nullptr) return wrong("a string can be repeated an integer number of times only");
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(0, *times.integer()));
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, text.string()->size(), &bytes)) bytes = std::numeric_limits<std::size_t>::max();
    STOA_CHECK(context_.spend(0, bytes));
    std::string out;
    out.reserve(bytes);
    if (bytes > 0)
      for (std::size_t i = 0; i < count; ++i) out += *text.string();
    return context_.text(std::move(out));
  }
  if (const auto* missing = left.is_undefined() ? left.as_undefined() : right.as_undefined()) return wrong(fmt::format("'{}' is undefined", missing->name));
  return wrong(fmt::format("{} {} {} is not possible", left.type_name(), sign, right.type_name()));
}

Result<Value> Interpreter::compare(const Expression& expression) {
  STOA_TRY(first, evaluate(*expression.operands[0]));
  Value left = first;
  for (std::size_t i = 0; i < expression.names.size(); ++i) {
    STOA_TRY(right, evaluate(*expression.operands[i + 1]));
    STOA_TRY(holds, compare_one(expression.names[i], left, right));
    if (!holds) return false;
    left = right;
  }
  return true;
}

Result<bool> Interpreter::compare_one(std::string_view sign, const Value& left, const Value& right) {
  if (sign == "in" || sign == "not in") {
    STOA_TRY(inside, contains(context_, right, left));
    return inside == (sign == "in");
  }
  auto& steps = context_.steps_left();
  Result<bool> answer = false;
  if (sign == "==" || sign == "!=") answer = equal(left, right, steps) == (sign == "==");
  else if (sign == "<" || sign == ">=") answer = less(left, right, steps);
  else answer = less(right, left, steps);
  STOA_CHECK(context_.step());
  if (answer && (sign == ">=" || sign == "<=")) return !*answer;
  return answer;
}

Result<Value> Interpreter::attribute(const Value& of, std::string_view name) {
  if (const auto* map = of.map()) {
    if (const Value* found = map->find(name)) return *found;
  } else if (const auto* missing = of.as_undefined()) {
    return wrong(fmt::format("'{}' is undefined, so it has no '{}'", missing->name, name));
  }
  return Value::undefined(std::string(name));
}

Result<Value> Interpreter::index(const Value& of, const Value& at) {
  if (at.string() != nullptr) return attribute(of, *at.string());
  if (of.is_undefined()) return wrong(fmt::format("'{}' is undefined, so it has no items", of.as_undefined()->name));
  if (at.integer() == nullptr && at.boolean() == nullptr) return Value::undefined("an item");
  std::int64_t place = at.as_integer();
  if (const auto* list = of.list()) {
    if (place < 0) place += static_cast<std::int64_t>(list->size());
    if (place >= 0 && place < static_cast<std::int64_t>(list->size())) return (*list)[static_cast<std::size_t>(place)];
  } else if (const auto* text = of.string()) {
    STOA_CHECK(context_.step(text->size() / 16 + 1));
    const auto parts = characters(*text);
    if (place < 0) place += static_cast<std::int64_t>(parts.size());
    if (place >= 0 && place < static_cast<std::int64_t>(parts.size())) return context_.text(std::string(parts[static_cast<std::size_t>(place)]));
  }
  return Value::undefined(fmt::format("item {}", place));
}

Result<Value> Interpreter::slice(const Expression& expression) {
  STOA_TRY(of, evaluate(*expression.operands[0]));
  Value bounds[3] = {None{}, None{}, None{}};
  for (std::size_t i = 0; i < 3; ++i) {
    if (expression.operands[i + 1] == nullptr) continue;
    STOA_TRY(bound, evaluate(*expression.operands[i + 1]));
    bounds[i] = bound;
  }
  if (const auto* list = of.list()) {
    STOA_TRY(places, slice_places(list->size(), &bounds[0], &bounds[1], &bounds[2]));
    List out;
    for (const auto place : places) out.push_back((*list)[place]);
    return context_.list(std::move(out), of.is_tuple());
  }
  if (const auto* text = of.string()) {
    STOA_CHECK(context_.step(text->size() / 16 + 1));
    const auto parts = characters(*text);
    STOA_TRY(places, slice_places(parts.size(), &bounds[0], &bounds[1], &bounds[2]));
    std::string out;
    for (const auto place : places) out += parts[place];
    return context_.text(std::move(out));
  }
  return wrong(fmt::format("{} cannot be sliced", of.type_name()));
}

Result<Arguments> Interpreter::arguments(const Expression& expression) {
  Arguments out;
  for (std::size_t i = 1; i < expression.operands.size(); ++i) {
    STOA_TRY(value, evaluate(*expression.operands[i]));
    if (value.is_namespace() && expression.kind != ExpressionKind::kCall) return fail(ErrorCode::kUnsupported, "a namespace as an argument is not supported");
    out.positional.push_back(std::move(value));
  }
  for (const auto& [name, operand] : expression.named) {
    STOA_TRY(value, evaluate(*operand));
    if (value.is_namespace()) return fail(ErrorCode::kUnsupported, "a namespace as an argument is not supported");
    out.named.emplace_back(name, std::move(value));
  }
  return out;
}

Result<Value> Interpreter::call(const Expression& expression) {
  const Expression& callee = *expression.operands[0];
  if (callee.kind == ExpressionKind::kAttribute) {
    STOA_TRY(self, evaluate(*callee.operands[0]));
    STOA_TRY(given, arguments(expression));
    if (const auto* map = self.map()) {
      const Value* member = map->find(callee.name);
      if (member != nullptr && member->callable() != nullptr && member->callable()->macro != nullptr) return call_macro(*member->callable()->macro, given);
    }
    if (const auto* missing = self.as_undefined()) return wrong(fmt::format("'{}' is undefined, so it has no '{}'", missing->name, callee.name));
    return call_method(context_, self, callee.name, given);
  }
  STOA_TRY(function, evaluate(callee));
  STOA_TRY(given, arguments(expression));
  const auto* callable = function.callable();
  if (callable == nullptr) return wrong(fmt::format("{} cannot be called", function.is_undefined() ? "'" + function.as_undefined()->name + "' is undefined and" : std::string(function.type_name())));
  return callable->macro != nullptr ? call_macro(*callable->macro, given) : call_function(context_, callable->name, given);
}

Result<Value> Interpreter::call_macro(const Statement& macro, const Arguments& arguments) {
  if (arguments.positional.size() > macro.names.size()) return wrong(fmt::format("the macro '{}' takes {} arguments", macro.text, macro.names.size()));
  // A macro sees the template's own variables and its arguments, nothing of where it is called.
  std::vector<Scope> callers(std::make_move_iterator(scopes_.begin() + 1), std::make_move_iterator(scopes_.end()));
  scopes_.resize(1);
  scopes_.emplace_back();
  auto body = [&]() -> Result<std::string> {
    for (std::size_t i = 0; i < macro.names.size(); ++i) {
      const Value* given = arguments.get(i, macro.names[i]);
      Value value = Value::undefined(macro.names[i]);
      if (given != nullptr) {
        value = *given;
      } else if (macro.conditions[i] != nullptr) {
        STOA_TRY(fallback, evaluate(*macro.conditions[i]));
        value = fallback;
      }
      assign(macro.names[i], std::move(value));
    }
    return capture(macro.bodies[0]);
  }();
  scopes_.resize(1);
  scopes_.insert(scopes_.end(), std::make_move_iterator(callers.begin()), std::make_move_iterator(callers.end()));
  if (!body) return fail(std::move(body).error());
  return context_.text(std::move(*body));
}

}  // namespace stoa::models::jinja
