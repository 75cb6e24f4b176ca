#include "models/constrain/numbers.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "models/constrain/compile.h"
#include "models/constrain/regex.h"

namespace stoa::models::constrain {
namespace {

constexpr std::size_t kWholeDigits = 18, kFractionDigits = 17;
constexpr std::uint32_t kMaxMultiple = 2000;  // of the smallest decimal unit: the remainders are states

std::string digits(std::size_t min, std::size_t max) { return max == 0 ? "" : fmt::format("[0-9]{{{},{}}}", min, max); }
std::string range(char first, char last) { return fmt::format("[{}-{}]", first, last); }
std::string group(const std::string& text) { return "(?:" + text + ")"; }

void add_option(std::string& all, const std::string& one) { all += (all.empty() ? "" : "|") + one; }

// Regular expressions of digit strings as long as `bound` that are at least or at most as large.
std::string same_length(const std::string& bound, bool at_least) {
  std::string tail;  // for the digits after `at`, built from the end
  for (std::size_t at = bound.size(); at-- > 0;) {
    const char digit = bound[at];
    const char lowest = at == 0 && bound.size() > 1 ? '1' : '0';
    std::string options;
    if (at_least && digit < '9') add_option(options, range(static_cast<char>(digit + 1), '9') + digits(bound.size() - at - 1, bound.size() - at - 1));
    if (!at_least && digit > lowest) add_option(options, range(lowest, static_cast<char>(digit - 1)) + digits(bound.size() - at - 1, bound.size() - at - 1));
    add_option(options, std::string(1, digit) + tail);
    tail = group(options);
  }
  return tail;
}

std::string whole_at_least(const std::string& bound) {
  std::string options = same_length(bound, true);
  if (bound.size() < kWholeDigits) add_option(options, "[1-9]" + digits(bound.size(), kWholeDigits - 1));
  return group(options);
}

std::string whole_at_most(const std::string& bound) {
  std::string options = same_length(bound, false);
  if (bound.size() > 1) add_option(options, "0|[1-9]" + digits(0, bound.size() - 2));
  return group(options);
}

std::string plus_one(std::string number) {
  for (std::size_t i = number.size(); i-- > 0;) {
    if (number[i] != '9') {
      ++number[i];
      return number;
    }
    number[i] = '0';
  }
  return "1" + number;
}

std::string minus_one(std::string number) {  // of a number above 0
  for (std::size_t i = number.size(); i-- > 0;) {
    if (number[i] != '0') {
      --number[i];
      break;
    }
    number[i] = '9';
  }
  const std::size_t first = number.find_first_not_of('0');
  return first == std::string::npos ? "0" : number.substr(first);
}

const std::string kAnyFraction = "(?:\\." + digits(1, kFractionDigits) + ")?";

// Empty where nothing fits.
std::string above_fraction(const std::string& fraction, bool exclusive) {
  if (fraction.empty()) return exclusive ? "\\." + digits(0, kFractionDigits - 1) + "[1-9]" : kAnyFraction;
  // Digits beyond the bound's own; where they have to add something, the last one is not 0.
  const std::size_t left = kFractionDigits - fraction.size();
  bool possible = !exclusive || left > 0;
  std::string tail = !exclusive ? digits(0, left) : left == 0 ? "" : (left > 1 ? digits(0, left - 1) : "") + "[1-9]";
  for (std::size_t at = fraction.size(); at-- > 0;) {
    std::string options;
    if (possible) add_option(options, std::string(1, fraction[at]) + tail);
    if (fraction[at] < '9') add_option(options, range(static_cast<char>(fraction[at] + 1), '9') + digits(0, kFractionDigits - at - 1));
    possible = !options.empty();
    tail = group(options);
  }
  return possible ? "\\." + tail : "";
}

// Empty where nothing fits.
std::string below_fraction(const std::string& fraction, bool exclusive) {
  if (fraction.empty()) return exclusive ? "" : "(?:\\.0)?";
  std::string tail = exclusive ? "" : digits(0, kFractionDigits - fraction.size());
  bool possible = !exclusive;  // whether the bound's own digits may be written to the end
  for (std::size_t at = fraction.size(); at-- > 0;) {
    std::string options;
    if (possible || at + 1 < fraction.size()) add_option(options, std::string(1, fraction[at]) + tail);
    if (fraction[at] > '0') add_option(options, range('0', static_cast<char>(fraction[at] - 1)) + digits(0, kFractionDigits - at - 1));
    tail = group(options) + (at > 0 ? "?" : "");
  }
  return "(?:\\." + tail + ")?";
}

// Numbers without a sign on one side of a bound.
std::string at_least(const Bound& bound, bool integer) {
  const Decimal& value = bound.value;
  if (integer) return whole_at_least(!value.fraction.empty() || bound.exclusive ? plus_one(value.whole) : value.whole);
  std::string out = whole_at_least(plus_one(value.whole)) + kAnyFraction;
  if (const std::string above = above_fraction(value.fraction, bound.exclusive); !above.empty()) add_option(out, value.whole + above);
  return out;
}

std::string at_most(const Bound& bound, bool integer) {
  const Decimal& value = bound.value;
  const bool own = !bound.exclusive || !value.fraction.empty();  // the whole part of the bound may be written
  std::string out;
  if (integer) return own ? whole_at_most(value.whole) : value.whole == "0" ? "" : whole_at_most(minus_one(value.whole));
  if (own) add_option(out, value.whole + below_fraction(value.fraction, bound.exclusive));
  if (value.whole != "0") add_option(out, whole_at_most(minus_one(value.whole)) + kAnyFraction);
  return out;
}

Result<Dfa> language(const GrammarLimits& limits, const std::string& regex) {
  if (regex.empty()) return Dfa{};
  Syntax syntax(limits);
  STOA_TRY(node, read_regex(syntax, regex, {}));
  return compile_regular(syntax, node);
}

// Numbers without a sign that are multiples of `step`: the remainder of the digits read so far, in units of step's last digit.
Result<Dfa> multiples(const Decimal& step, bool integer) {
  const std::size_t places = step.fraction.size();
  const std::string all = step.whole + step.fraction;
  const std::uint64_t unit = all.size() > 18 ? kMaxMultiple + 1 : std::strtoull(all.c_str(), nullptr, 10);
  if (unit == 0 || unit > kMaxMultiple)
    return fail(error(ErrorCode::kInvalidArgument, "multiples of {}{}{} cannot be enforced", step.whole, places > 0 ? "." : "", step.fraction)
                    .with_hint(fmt::format("supported are steps of up to {} units of their last digit", kMaxMultiple)));
  const auto modulus = static_cast<std::uint32_t>(unit);
  // States: 0 start, 1 a leading zero; then (digits after the point + 1 or 0 before it) * modulus + remainder.
  const std::size_t rows = integer ? 1 : places + 2;  // row r > 0: the point and r - 1 digits were read
  const auto state = [&](std::size_t row, std::uint32_t rest) { return static_cast<std::uint32_t>(2 + row * modulus + rest); };
  std::vector<std::uint64_t> scale(places + 1, 1);
  for (std::size_t i = 1; i <= places; ++i) scale[i] = scale[i - 1] * 10;
  Dfa dfa;
  dfa.states.resize(2 + rows * modulus);
  for (char c = '0'; c <= '9'; ++c) {
    const auto byte = static_cast<std::uint8_t>(c);
    dfa.states[0].edges.push_back({byte, byte, c == '0' ? 1 : state(0, static_cast<std::uint32_t>(c - '0') % modulus)});
  }
  dfa.states[1].final = true;
  if (!integer && places > 0) dfa.states[1].edges.push_back({'.', '.', state(1, 0)});
  for (std::size_t row = 0; row < rows; ++row)
    for (std::uint32_t rest = 0; rest < modulus; ++rest) {
      DfaState& at = dfa.states[state(row, rest)];
      const std::size_t after = row == 0 ? 0 : row - 1;
      at.final = row != 1 && rest * scale[places - std::min(after, places)] % modulus == 0;
      if (row == 0 && !integer && places > 0) at.edges.push_back({'.', '.', state(1, rest)});
      if (row > 0 && after >= places) continue;
      for (char c = '0'; c <= '9'; ++c) {
        const auto byte = static_cast<std::uint8_t>(c);
        at.edges.push_back({byte, byte, state(row == 0 ? 0 : row + 1, (rest * 10 + static_cast<std::uint32_t>(c - '0')) % modulus)});
      }
    }
  return dfa;
}

// Numbers without a sign between two bounds.
Result<Dfa> magnitudes(const GrammarLimits& limits, const std::optional<Bound>& low, const std::optional<Bound>& high, const NumberRules& rules) {
  const std::string plain = group("0|[1-9]" + digits(0, kWholeDigits - 1)) + (rules.integer ? "" : kAnyFraction);
  STOA_TRY(above, language(limits, low ? at_least(*low, rules.integer) : plain));
  Dfa out = std::move(above);
  if (high) {
    STOA_TRY(below, language(limits, at_most(*high, rules.integer)));
    STOA_TRY(both, intersection(out, below, limits.max_states));
    out = std::move(both);
  }
  if (rules.multiple_of) {
    STOA_TRY(steps, multiples(*rules.multiple_of, rules.integer));
    STOA_TRY(both, intersection(out, steps, limits.max_states));
    out = std::move(both);
  }
  return out;
}

std::optional<Bound> magnitude(const std::optional<Bound>& bound) {
  if (!bound) return std::nullopt;
  Bound out = *bound;
  out.value.negative = false;
  return out;
}

}  // namespace

std::optional<Decimal> to_decimal(const Json& number) {
  std::string text;
  if (const auto* value = number.if_int64()) text = fmt::format("{}", *value);
  else if (const auto* large = number.if_uint64()) text = fmt::format("{}", *large);
  else if (const auto* real = number.if_double(); real != nullptr && std::isfinite(*real)) text = fmt::format("{}", *real);
  else return std::nullopt;
  Decimal out;
  out.negative = text.starts_with('-');
  if (out.negative) text.erase(0, 1);
  long exponent = 0;
  if (const std::size_t e = text.find('e'); e != std::string::npos) {
    exponent = std::strtol(text.c_str() + e + 1, nullptr, 10);
    text.resize(e);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  std::string whole = text.substr(0, point), fraction = point < text.size() ? text.substr(point + 1) : "";
  if (std::abs(exponent) > 40) return std::nullopt;
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction.front();
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(fraction.begin(), whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  while (fraction.ends_with('0')) fraction.pop_back();
  out.whole = whole.empty() ? "0" : whole;
  out.fraction = fraction;
  if (out.whole.size() > kWholeDigits || out.fraction.size() > kFractionDigits) return std::nullopt;
  if (out.zero()) out.negative = false;
  return out;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int order = a.whole.size() != b.whole.size() ? (a.whole.size() < b.whole.size() ? -1 : 1) : a.whole.compare(b.whole);
  if (order == 0) order = a.fraction.compare(b.fraction);  // digit by digit; the longer one is larger
  return a.negative ? -order : order;
}

Result<NodeId> number_node(Syntax& syntax, const NumberRules& rules) {
  const GrammarLimits& limits = syntax.limits();
  if (!rules.low && !rules.high && !rules.multiple_of) {
    const std::string whole = "-?(?:0|[1-9]" + digits(0, kWholeDigits - 1) + ")";
    // An integer has no "-0": readers disagree about what it is.
    if (rules.integer) return read_regex(syntax, "0|-?[1-9]" + digits(0, kWholeDigits - 1), {});
    return read_regex(syntax, whole + kAnyFraction + "(?:[eE][+-]?[0-9]{1,2})?", {});
  }
  std::vector<NodeId> options;
  const Bound zero{.value = {}, .exclusive = false}, positive{.value = {}, .exclusive = true};
  if (!rules.high || !(rules.high->value.negative || (rules.high->value.zero() && rules.high->exclusive))) {
    const bool from_zero = !rules.low || rules.low->value.negative;
    STOA_TRY(dfa, magnitudes(limits, from_zero ? std::optional<Bound>(zero) : rules.low, rules.high, rules));
    options.push_back(syntax.dfa(std::move(dfa)));
  }
  if (!rules.low || rules.low->value.negative) {
    const bool to_zero = !rules.high || !rules.high->value.negative;
    STOA_TRY(dfa, magnitudes(limits, to_zero ? std::optional<Bound>(positive) : magnitude(rules.high), magnitude(rules.low), rules));
    options.push_back(syntax.sequence({syntax.text("-"), syntax.dfa(std::move(dfa))}));
  }
  const NodeId node = syntax.choice(std::move(options));
  STOA_CHECK(syntax.status());
  return node;
}

}  // namespace stoa::models::constrain
