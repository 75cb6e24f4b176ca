// Recursive descent over a policy file, one word ahead.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "governance/access/policy/lexer.h"
#include "governance/access/policy/policy.h"

namespace stoa::governance {

// For one text; methods are called once each, `start` first.
class PolicyParser {
 public:
  using Fields = std::vector<std::pair<Attribute, PolicyValue>>;

  PolicyParser(std::string_view text, std::string_view name, const PolicyLimits& limits) : lexer_(text, name, limits), limits_(limits) {}

  Status start() { return advance(); }
  Result<PolicyFile> file();
  // Fields until the end of the text.
  Status bare_fields(std::string_view scope, Fields& out);
  Result<Condition> bare_condition();  // to the end of the text

 private:
  Status advance();
  bool at(std::string_view raw) const;
  Result<bool> accept(std::string_view raw);
  Status expect(std::string_view raw, std::string_view where);
  Result<std::string> text(std::string_view what);
  std::unexpected<Error> wrong(Place place, std::string_view what, std::string hint = {}) const;
  std::unexpected<Error> surprised(std::string_view expected) const;
  std::unexpected<Error> too_many(std::string_view what, std::size_t most) const;

  Result<Rule> policy();
  Result<Rule> boundary();
  Result<Rule> role();
  Status because(Rule& rule);
  Result<PolicyTest> test();
  Status expectation(PolicyTest& test);
  Status fields(std::string_view scope, Fields& out);

  Result<ActionSet> actions();
  Result<std::uint64_t> action();
  Result<Condition> condition(std::size_t depth);
  Result<Condition> conjunction(std::size_t depth);
  Result<Condition> term(std::size_t depth);
  Result<Condition> comparison();
  Status right_side(Condition& condition);
  Status check_literal(const Condition& condition, const PolicyToken& literal) const;
  Result<Attribute> attribute();
  Result<PolicyValue> value();

  PolicyLexer lexer_;
  const PolicyLimits& limits_;
  PolicyToken token_;
  std::size_t terms_ = 0;  // of the condition being read
};

}  // namespace stoa::governance
