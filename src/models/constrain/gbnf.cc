#include "models/constrain/gbnf.h"

#include <algorithm>
#include <map>
#include <string>

#include "base/utf8.h"
#include "models/constrain/regex.h"

namespace stoa::models::constrain {
namespace {

constexpr std::size_t kMaxGroups = 60;  // inside one another

bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

class Reader {
 public:
  Reader(Syntax& syntax, std::string_view text) : syntax_(syntax), text_(text) {}

  Result<RuleId> read() {
    if (!is_valid_utf8(text_)) return fail(ErrorCode::kInvalidArgument, "the grammar is not valid UTF-8");
    space(true);
    while (more()) {
      STOA_CHECK(definition());
      space(true);
    }
    STOA_CHECK(syntax_.status());
    const auto root = rules_.find("root");
    if (root == rules_.end()) return fail(error(ErrorCode::kInvalidArgument, "the grammar has no rule 'root'").with_hint("name the rule to start with: root ::= ..."));
    return root->second;
  }

 private:
  template <class... Args>
  std::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) const {
    const auto line = 1 + std::ranges::count(text_.substr(0, at_), '\n');
    return fail(ErrorCode::kInvalidArgument, "grammar, line {}: {}", line, fmt::format(format, std::forward<Args>(args)...));
  }
  bool more() const { return at_ < text_.size(); }
  char peek() const { return more() ? text_[at_] : '\0'; }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  void space(bool lines) {
    while (more()) {
      const char c = peek();
      if (c == '#') {
        while (more() && peek() != '\n' && peek() != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        break;
      }
    }
  }

  std::string name() {
    const std::size_t begin = at_;
    while (more() && is_name(peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  RuleId rule_named(const std::string& name) {
    const auto found = rules_.find(name);
    if (found != rules_.end()) return found->second;
    return rules_[name] = syntax_.add_rule(name);
  }

  Status definition() {
    const std::string left = name();
    if (left.empty()) return wrong("expected the name of a rule");
    space(false);
    if (!take("::=")) return wrong("expected ::= after '{}'", left);
    space(true);
    const RuleId rule = rule_named(left);
    if (syntax_.rule_of(rule).defined) return wrong("rule '{}' is defined twice", left);
    STOA_TRY(body, alternatives(0));
    STOA_CHECK(syntax_.status());
    syntax_.define(rule, body);
    if (more() && peek() != '\n' && peek() != '\r') return wrong("unexpected '{}' in rule '{}'", peek(), left);
    return {};
  }

  Result<NodeId> alternatives(std::size_t depth) {
    if (depth > kMaxGroups) return wrong("groups are nested deeper than {}", kMaxGroups);
    std::vector<NodeId> parts;
    while (true) {
      STOA_TRY(part, sequence(depth));
      parts.push_back(part);
      const std::size_t before = at_;
      space(true);  // an alternative may stand on a line of its own
      if (!take("|")) {
        if (depth == 0) at_ = before;
        break;
      }
      space(true);
    }
    return syntax_.choice(std::move(parts));
  }

  Result<NodeId> sequence(std::size_t depth) {
    std::vector<NodeId> parts;
    while (true) {
      space(depth > 0);
      const char c = peek();
      NodeId part = 0;
      if (c == '"') {
        STOA_TRY(node, literal());
        part = node;
      } else if (c == '[') {
        STOA_TRY(set, bracket());
        if (set.empty()) return wrong("a class without any character");
        part = syntax_.runes(std::move(set));
      } else if (c == '(') {
        ++at_;
        space(true);
        STOA_TRY(node, alternatives(depth + 1));
        space(true);
        if (!take(")")) return wrong("a group does not end");
        part = node;
      } else if (c == '.') {
        ++at_;
        part = syntax_.runes(RuneSet::all());
      } else if (is_name(c)) {
        const std::string used = name();
        part = syntax_.rule(rule_named(used));
      } else {
        if (c == '<' || c == '!') return wrong("tokens are not supported in grammars: write their text");
        break;
      }
      STOA_TRY(whole, quantified(part));
      parts.push_back(whole);
      STOA_CHECK(syntax_.status());
    }
    if (parts.empty()) return syntax_.text("");
    return syntax_.sequence(std::move(parts));
  }

  Result<NodeId> quantified(NodeId part) {
    for (int count = 0;; ++count) {
      if (count > 8) return wrong("too many quantifiers in a row");
      if (take("*")) {
        part = syntax_.repeat(part, 0, kUnlimited);
      } else if (take("+")) {
        part = syntax_.repeat(part, 1, kUnlimited);
      } else if (take("?")) {
        part = syntax_.repeat(part, 0, 1);
      } else if (take("{")) {
        space(false);
        STOA_TRY(min, number());
        int max = min;
        space(false);
        if (take(",")) {
          space(false);
          max = kUnlimited;
          if (peek() != '}') {
            STOA_TRY(high, number());
            max = high;
          }
          space(false);
        }
        if (!take("}")) return wrong("expected '}}' after a count");
        if (max != kUnlimited && max < min) return wrong("the counts {{{},{}}} are out of order", min, max);
        part = syntax_.repeat(part, min, max);
      } else {
        return part;
      }
    }
  }

  Result<int> number() {
    std::int64_t value = 0;
    const std::size_t begin = at_;
    while (more() && peek() >= '0' && peek() <= '9' && value <= syntax_.limits().max_repeat) value = value * 10 + (text_[at_++] - '0');
    if (begin == at_) return wrong("expected a count");
    if (value > syntax_.limits().max_repeat) return wrong("a count may be {} at most", syntax_.limits().max_repeat);
    return static_cast<int>(value);
  }

  Result<NodeId> literal() {
    ++at_;
    std::string bytes;
    while (true) {
      if (!more()) return wrong("a literal does not end");
      if (take("\"")) return syntax_.text(bytes);
      STOA_TRY(rune, character());
      append_rune(bytes, rune);
    }
  }

  Result<char32_t> character() {
    if (peek() != '\\') {
      const DecodedRune rune = decode_rune(text_.substr(at_));
      at_ += rune.size;
      return rune.rune;
    }
    ++at_;
    const char c = peek();
    ++at_;
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0) {
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < digits; ++i, ++at_) {
        const char h = peek();
        const int digit = h >= '0' && h <= '9' ? h - '0' : h >= 'a' && h <= 'f' ? h - 'a' + 10 : h >= 'A' && h <= 'F' ? h - 'A' + 10 : -1;
        if (digit < 0) return wrong("expected {} hexadecimal digits after \\{}", digits, c);
        value = value * 16 + static_cast<std::uint32_t>(digit);
      }
      if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return wrong("U+{:04X} is no character", value);
      return static_cast<char32_t>(value);
    }
    switch (c) {
      case 'n': return U'\n';
      case 'r': return U'\r';
      case 't': return U'\t';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '^':
      case '-': return static_cast<char32_t>(c);
      default: return wrong("unknown escape in a literal or class");
    }
  }

  Result<RuneSet> bracket() {
    ++at_;
    const bool negated = take("^");
    RuneSet set;
    while (!take("]")) {
      if (!more()) return wrong("a class does not end");
      if (peek() == '\\' && at_ + 1 < text_.size()) {
        if (const RuneSet named = class_escape(text_[at_ + 1]); !named.empty()) {
          set.add(named);
          at_ += 2;
          continue;
        }
      }
      STOA_TRY(first, character());
      char32_t last = first;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        STOA_TRY(end, character());
        last = end;
      }
      if (last < first) return wrong("the ends of a range are out of order");
      set.add(first, last);
    }
    return negated ? set.inverted() : set;
  }

  Syntax& syntax_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, RuleId> rules_;
};

}  // namespace

Result<RuleId> read_gbnf(Syntax& syntax, std::string_view text) { return Reader(syntax, text).read(); }

}  // namespace stoa::models::constrain
