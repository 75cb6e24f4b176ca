#include "governance/limits/limit_rules.h"

#include <algorithm>
#include <cmath>

#include "infra/config/yaml.h"

namespace stoa::governance {
namespace {

using infra::YamlNode;

constexpr Micros kMinute = 60'000'000, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr std::array<LimitUnit, kLimitKinds> kUnits{{{"requests_per_minute", "requests", kMinute},
                                                     {"tokens_per_minute", "tokens", kMinute},
                                                     {"money_per_hour", "money", kHour},
                                                     {"money_per_day", "money", kDay},
                                                     {"concurrent", "concurrent", 0}}};
constexpr std::size_t kMaxText = 64u << 10, kMaxList = 64, kMaxPattern = 256, kMaxDescription = 512;
constexpr std::int64_t kMostAmount = 1'000'000'000'000;
constexpr double kMostMoney = 1e9, kMicros = 1e6;

bool is_money(LimitKind kind) { return kind == LimitKind::kMoneyHour || kind == LimitKind::kMoneyDay; }

// '*' stands for any characters, none too. Linear: only the last star is ever returned to.
bool matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Result<std::vector<std::string>> read_list(const YamlNode& node) {
  std::vector<std::string> list;
  const auto add = [&](const YamlNode& item) -> Status {
    STOA_TRY(text, item.text());
    if (text.empty() || text.size() > kMaxPattern) return fail(item.wrong(fmt::format("1 to {} characters are expected", kMaxPattern)));
    list.push_back(std::move(text));
    return {};
  };
  if (node.kind() == YamlNode::Kind::kScalar) {
    STOA_CHECK(add(node));
    return list;
  }
  if (node.kind() != YamlNode::Kind::kSequence || node.items().empty() || node.items().size() > kMaxList) return fail(node.wrong(fmt::format("a list of 1 to {} is expected", kMaxList)));
  for (const YamlNode& item : node.items()) STOA_CHECK(add(item));
  return list;
}

Status read_per(const YamlNode& node, bool of_installation, LimitRule& rule) {
  STOA_TRY(names, read_list(node));
  for (const std::string& name : names) {
    if (name == "user") rule.user = true;
    else if (name == "key") rule.key = true;
    else if (name == "model") rule.model = true;
    else if (name == "installation" && of_installation) rule.installation = true;
    else if (name != "project") return fail(node.wrong(fmt::format("'{}' has no limits: project, user, key or model{}", name.substr(0, 100), of_installation ? ", or installation" : "")));
  }
  return {};
}

Result<LimitRule> read_rule(const YamlNode& node, bool of_installation) {
  constexpr std::array<std::string_view, 8> kKeys{"per", "models", "principals", "requests_per_minute", "tokens_per_minute", "concurrent", "money_per_hour", "money_per_day"};
  if (node.kind() != YamlNode::Kind::kMap) return fail(node.wrong("a limit is a map such as {per: user, requests_per_minute: 60}"));
  STOA_CHECK(node.only(kKeys));
  LimitRule rule;
  if (const YamlNode* per = node.find("per")) STOA_CHECK(read_per(*per, of_installation, rule));
  if (const YamlNode* models = node.find("models")) {
    STOA_TRY(list, read_list(*models));
    rule.models = std::move(list);
  }
  if (const YamlNode* principals = node.find("principals")) {
    STOA_TRY(list, read_list(*principals));
    rule.principals = std::move(list);
  }
  for (std::size_t i = 0; i < kLimitKinds; ++i) {
    const YamlNode* amount = node.find(kUnits[i].name);
    if (amount == nullptr) continue;
    if (is_money(static_cast<LimitKind>(i))) {
      STOA_TRY(money, amount->number());
      if (!(money * kMicros >= 1) || money > kMostMoney) return fail(amount->wrong(fmt::format("an amount of money up to {} is expected", kMostMoney)));
      rule.amounts[i] = std::llround(money * kMicros);
    } else {
      STOA_TRY(value, amount->integer(1, kMostAmount));
      rule.amounts[i] = value;
    }
  }
  if (std::ranges::all_of(rule.amounts, [](std::int64_t amount) { return amount == 0; }))
    return fail(node.wrong("a limit needs an amount: requests_per_minute, tokens_per_minute, concurrent, money_per_hour or money_per_day"));
  return rule;
}

}  // namespace

const LimitUnit& limit_unit(LimitKind kind) { return kUnits[static_cast<std::size_t>(kind)]; }

bool LimitRule::applies(std::string_view model_named, std::string_view principal) const {
  if (!models.empty() && std::ranges::none_of(models, [&](const std::string& pattern) { return matches(pattern, model_named); })) return false;
  return principals.empty() || std::ranges::find(principals, principal) != principals.end();
}

Result<LimitText> parse_limits(std::string_view text, std::string_view name, bool of_installation) {
  STOA_TRY(root, infra::parse_yaml(text, name, {.max_bytes = kMaxText, .max_depth = 5, .max_nodes = 4096}));
  if (root.kind() != YamlNode::Kind::kMap) return fail(root.wrong("a map with 'limits' is expected"));
  constexpr std::array<std::string_view, 3> kKeys{"description", "default", "limits"};
  STOA_CHECK(root.only(kKeys));
  LimitText out;
  if (const YamlNode* node = root.find("description")) {
    STOA_TRY(description, node->text());
    if (description.size() > kMaxDescription) return fail(node->wrong(fmt::format("a description has at most {} bytes", kMaxDescription)));
    out.description = std::move(description);
  }
  if (const YamlNode* node = root.find("default")) {
    STOA_TRY(by_default, node->boolean());
    if (by_default && !of_installation) return fail(node->wrong("only limits of the installation can be defaults"));
    out.by_default = by_default;
  }
  STOA_TRY(limits, root.at("limits"));
  if (limits->kind() != YamlNode::Kind::kSequence || limits->items().empty() || limits->items().size() > LimitText::kMaxRules)
    return fail(limits->wrong(fmt::format("a list of 1 to {} limits is expected", LimitText::kMaxRules)));
  for (const YamlNode& item : limits->items()) {
    STOA_TRY(rule, read_rule(item, of_installation));
    out.rules.push_back(std::move(rule));
  }
  return out;
}

std::string limit_text(const LimitRule& rule, LimitKind kind) {
  constexpr std::array<std::string_view, kLimitKinds> kWords{"requests a minute", "tokens a minute", "an hour", "a day", "requests at a time"};
  const std::size_t i = static_cast<std::size_t>(kind);
  std::string text = is_money(kind) ? fmt::format("{:.6g} {}", static_cast<double>(rule.amounts[i]) / kMicros, kWords[i]) : fmt::format("{} {}", rule.amounts[i], kWords[i]);
  std::string each;
  for (const auto& [set, word] : {std::pair(rule.user, "user"), std::pair(rule.key, "key"), std::pair(rule.model, "model")})
    if (set) each += fmt::format("{}{}", each.empty() ? "" : " and ", word);
  return text + (!each.empty() ? " for each " + each : rule.installation ? " for the installation" : " for the project");
}

}  // namespace stoa::governance
