#include "models/constrain/regex.h"

#include <algorithm>
#include <optional>

#include "base/utf8.h"

namespace stoa::models::constrain {
namespace {

constexpr std::size_t kMaxGroups = 60;  // inside one another

// Recursive descent: alternatives, sequences, quantified atoms. Depth is bounded by kMaxGroups.
class Reader {
 public:
  Reader(Syntax& syntax, std::string_view text, RegexMode mode) : syntax_(syntax), text_(text), mode_(mode) {}

  Result<NodeId> read() {
    if (!is_valid_utf8(text_)) return fail(ErrorCode::kInvalidArgument, "the regular expression is not valid UTF-8");
    STOA_TRY(node, alternatives(0));
    if (at_ < text_.size()) return wrong("')' without a group");
    STOA_CHECK(syntax_.status());
    return node;
  }

 private:
  template <class... Args>
  std::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return fail(error(ErrorCode::kInvalidArgument, "regular expression, byte {}: {}", at_, fmt::format(format, std::forward<Args>(args)...))
                    .with_hint("supported: literals, classes, groups, |, * + ? {{m,n}}, and ^ $ at the ends"));
  }
  bool more() const { return at_ < text_.size(); }
  bool peek(std::string_view word) const { return text_.substr(at_).starts_with(word); }
  bool take(std::string_view word) {
    if (!peek(word)) return false;
    at_ += word.size();
    return true;
  }
  char32_t take_rune() {
    const DecodedRune rune = decode_rune(text_.substr(at_));
    at_ += rune.size;
    return rune.rune;
  }
  NodeId any() { return syntax_.repeat(syntax_.runes(RuneSet::all(), mode_.json), 0, kUnlimited); }

  Result<NodeId> alternatives(std::size_t depth) {
    if (depth > kMaxGroups) return wrong("groups are nested deeper than {}", kMaxGroups);
    std::vector<NodeId> parts;
    do {
      STOA_TRY(part, sequence(depth));
      parts.push_back(part);
    } while (take("|"));
    return syntax_.choice(std::move(parts));
  }

  Result<NodeId> sequence(std::size_t depth) {
    std::vector<NodeId> parts;
    const bool top = depth == 0;
    const bool open_start = !(top && take("^"));
    bool open_end = true;
    while (more() && !peek("|") && !peek(")")) {
      if (peek("^")) return wrong("'^' is supported only where the expression or one of its top alternatives begins");
      if (take("$")) {
        if (!top || (more() && !peek("|"))) return wrong("'$' is supported only where the expression or one of its top alternatives ends");
        open_end = false;
        break;
      }
      STOA_TRY(part, quantified(depth));
      parts.push_back(part);
    }
    if (top && mode_.search) {
      if (open_start) parts.insert(parts.begin(), any());
      if (open_end) parts.push_back(any());
    }
    if (parts.empty()) return syntax_.text("");
    return syntax_.sequence(std::move(parts));
  }

  Result<NodeId> quantified(std::size_t depth) {
    STOA_TRY(part, atom(depth));
    int min = 1, max = 1;
    if (take("*")) {
      min = 0, max = kUnlimited;
    } else if (take("+")) {
      max = kUnlimited;
    } else if (take("?")) {
      min = 0;
    } else if (take("{")) {
      STOA_TRY(low, number());
      min = max = low;
      if (take(",")) {
        max = kUnlimited;
        if (!peek("}")) {
          STOA_TRY(high, number());
          max = high;
        }
      }
      if (!take("}")) return wrong("expected '}}' after the count; write \\{{ for the character");
      if (max != kUnlimited && max < min) return wrong("the counts {{{},{}}} are out of order", min, max);
    } else {
      return part;
    }
    take("?");  // lazy: the language is the same
    if (peek("*") || peek("+") || peek("?") || peek("{")) return wrong("a quantifier follows a quantifier");
    return syntax_.repeat(part, min, max);
  }

  Result<int> number() {
    std::int64_t value = 0;
    const std::size_t begin = at_;
    while (more() && text_[at_] >= '0' && text_[at_] <= '9' && value <= syntax_.limits().max_repeat) value = value * 10 + (text_[at_++] - '0');
    if (begin == at_) return wrong("expected a count; write \\{{ for the character");
    if (value > syntax_.limits().max_repeat) return wrong("a count may be {} at most", syntax_.limits().max_repeat);
    return static_cast<int>(value);
  }

  Result<NodeId> atom(std::size_t depth) {
    if (take("(")) {
      if (peek("?=") || peek("?!") || peek("?<=") || peek("?<!")) return wrong("lookahead and lookbehind are not supported");
      if (!take("?:") && peek("?")) {
        if (!take("?<") && !take("?P<")) return wrong("this kind of group is not supported");
        const std::size_t end = text_.find('>', at_);
        if (end == std::string_view::npos) return wrong("the group's name does not end");
        at_ = end + 1;
      }
      STOA_TRY(part, alternatives(depth + 1));
      if (!take(")")) return wrong("a group does not end");
      return part;
    }
    if (peek("*") || peek("+") || peek("?") || peek("{")) return wrong("a quantifier without anything before it");
    STOA_TRY(set, peek("[") ? bracket() : single());
    if (set.empty()) return wrong("the class before this contains no character");
    return syntax_.runes(std::move(set), mode_.json);
  }

  Result<RuneSet> single() {
    if (take(".")) return RuneSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.inverted();
    if (peek("\\")) return escape(false);
    const char32_t rune = take_rune();
    return RuneSet{{rune, rune}};
  }

  Result<std::uint32_t> hex(std::size_t digits) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i, ++at_) {
      const char c = more() ? text_[at_] : ' ';
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) return wrong("expected {} hexadecimal digits", digits);
      value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
  }

  Result<RuneSet> escape(bool in_class) {
    ++at_;
    if (!more()) return wrong("a backslash ends the expression");
    if (const RuneSet set = class_escape(text_[at_]); !set.empty()) {
      ++at_;
      return set;
    }
    const char32_t c = take_rune();
    const auto one = [](char32_t rune) { return RuneSet{{rune, rune}}; };
    switch (c) {
      case 'n': return one('\n');
      case 'r': return one('\r');
      case 't': return one('\t');
      case 'f': return one('\f');
      case 'v': return one('\v');
      case '0': return one(0);
      case 'x': {
        STOA_TRY(value, hex(2));
        return one(value);
      }
      case 'u': return unicode_escape();
      case 'b':
        if (in_class) return one('\b');
        return wrong("word boundaries are not supported");
      default: break;
    }
    if (c == 'p' || c == 'P') return wrong("Unicode properties are not supported: write the ranges");
    if ((c >= '0' && c <= '9') || c == 'k') return wrong("references to groups are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return wrong("the escape \\{} is not supported", static_cast<char>(c));
    return one(c);
  }

  Result<RuneSet> unicode_escape() {
    std::uint32_t value = 0;
    if (take("{")) {
      const std::size_t end = text_.find('}', at_);
      if (end == std::string_view::npos || end == at_ || end - at_ > 6) return wrong("expected 1 to 6 hexadecimal digits and '}}'");
      STOA_TRY(rune, hex(end - at_));
      ++at_;
      value = rune;
    } else {
      STOA_TRY(rune, hex(4));
      value = rune;
      if (value >= 0xD800 && value < 0xDC00 && take("\\u")) {
        STOA_TRY(low, hex(4));
        if (low < 0xDC00 || low > 0xDFFF) return wrong("a high surrogate without its low one");
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
      }
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return wrong("U+{:04X} is no character", value);
    return RuneSet{{value, value}};
  }

  Result<RuneSet> bracket() {
    ++at_;
    const bool negated = take("^");
    RuneSet set;
    while (true) {
      if (!more()) return wrong("a class does not end");
      if (take("]")) break;
      STOA_TRY(first, member());
      const bool range = peek("-") && !peek("-]");
      if (!range) {
        set.add(first);
        continue;
      }
      ++at_;
      if (!more()) return wrong("a class does not end");
      STOA_TRY(last, member());
      const auto from = first.ranges(), to = last.ranges();
      if (from.size() != 1 || to.size() != 1 || from[0].first != from[0].last || to[0].first != to[0].last) return wrong("a range needs single characters at its ends");
      if (to[0].first < from[0].first) return wrong("the ends of a range are out of order");
      set.add(from[0].first, to[0].first);
    }
    return negated ? set.inverted() : set;
  }

  Result<RuneSet> member() {
    if (peek("\\")) return escape(true);
    const char32_t rune = take_rune();
    return RuneSet{{rune, rune}};
  }

  Syntax& syntax_;
  std::string_view text_;
  RegexMode mode_;
  std::size_t at_ = 0;
};

std::int64_t times(std::int64_t length, std::int64_t count) {
  if (length == 0 || count == 0) return 0;
  return length < 0 || count < 0 ? -1 : std::min<std::int64_t>(length * count, 1'000'000'000);
}

}  // namespace

Result<NodeId> read_regex(Syntax& syntax, std::string_view text, RegexMode mode) { return Reader(syntax, text, mode).read(); }

LengthRange length_range(const Syntax& syntax, NodeId id) {
  const SyntaxNode& node = syntax.node(id);
  switch (node.kind) {
    case NodeKind::kRunes: return {1, 1};
    case NodeKind::kSequence: {
      LengthRange sum;
      for (const NodeId child : node.children) {
        const LengthRange part = length_range(syntax, child);
        sum.least = std::min<std::int64_t>(sum.least + part.least, 1'000'000'000);
        sum.most = sum.most < 0 || part.most < 0 ? -1 : std::min<std::int64_t>(sum.most + part.most, 1'000'000'000);
      }
      return sum;
    }
    case NodeKind::kChoice: {
      LengthRange widest = length_range(syntax, node.children.front());
      for (const NodeId child : node.children) {
        const LengthRange part = length_range(syntax, child);
        widest.least = std::min(widest.least, part.least);
        widest.most = widest.most < 0 || part.most < 0 ? -1 : std::max(widest.most, part.most);
      }
      return widest;
    }
    case NodeKind::kRepeat: {
      const LengthRange part = length_range(syntax, node.children[0]);
      return {times(part.least, node.min), times(part.most, node.max)};
    }
    case NodeKind::kText: return {static_cast<std::int64_t>(node.text.size()), static_cast<std::int64_t>(node.text.size())};
    default: return {0, -1};
  }
}

RuneSet class_escape(char letter) {
  const RuneSet digit{{'0', '9'}};
  const RuneSet word{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  const RuneSet space{{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  switch (letter) {
    case 'd': return digit;
    case 'D': return digit.inverted();
    case 'w': return word;
    case 'W': return word.inverted();
    case 's': return space;
    case 'S': return space.inverted();
    default: return {};
  }
}

}  // namespace stoa::models::constrain
