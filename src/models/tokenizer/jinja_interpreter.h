// Runs a parsed template.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "models/tokenizer/jinja_ast.h"
#include "models/tokenizer/jinja_builtins.h"
#include "models/tokenizer/jinja_context.h"

namespace stoa::models::jinja {

// One run; used by one thread. The tree outlives it.
class Interpreter {
 public:
  Interpreter(const TemplateLimits& limits, Micros now) : context_(limits, now), scopes_(1) {}

  void set(std::string name, Value value) { assign(std::move(name), std::move(value)); }
  Result<std::string> run(const Body& body);

 private:
  enum class Flow : std::uint8_t { kNormal, kBreak, kContinue };
  using Scope = std::vector<std::pair<std::string, Value>>;
  struct Deeper;

  Result<Flow> execute(const Body& body);
  Result<Flow> execute(const Statement& statement);
  Result<Flow> run_if(const Statement& statement);
  Result<Flow> run_for(const Statement& statement);
  Result<Flow> loop(const Statement& statement, const List& items);
  Status run_set(const Statement& statement);
  Result<std::string> capture(const Body& body);
  Status print(const Value& value);
  Status bind(const std::vector<std::string>& names, const Value& value);
  Result<Value> loop_variable(const List& items, std::size_t place);

  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_node(const Expression& expression);
  Result<Value> binary(const Expression& expression);
  Result<Value> compare(const Expression& expression);
  Result<bool> compare_one(std::string_view sign, const Value& left, const Value& right);
  Result<Value> attribute(const Value& of, std::string_view name);
  Result<Value> index(const Value& of, const Value& at);
  Result<Value> slice(const Expression& expression);
  Result<Value> concat(const Expression& expression);
  Result<Value> mapping(const Expression& expression);
  Result<Value> call(const Expression& expression);
  Result<Value> call_macro(const Statement& macro, const Arguments& arguments);
  Result<Arguments> arguments(const Expression& expression);
  Result<List> evaluate_all(const Expression& expression);

  void assign(std::string name, Value value);
  Value look_up(const std::string& name) const;

  Context context_;
  std::vector<Scope> scopes_;
  std::string out_;
  std::size_t depth_ = 0;
};

}  // namespace stoa::models::jinja
