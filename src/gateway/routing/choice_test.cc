#include "gateway/routing/choice.h"

#include <gtest/gtest.h>

#include "gateway/routing/test_targets.h"
#include "governance/access/test_access.h"

namespace stoa::gateway {
namespace {

std::vector<std::string> order(const RouteParts& parts, const Call& call = call_of("ann"), const ChatRequest& request = {.model = "r"}) {
  std::optional<Error> refused;
  std::vector<std::string> ids;
  for (const OpenTarget* target : choose_targets(parts, call, request, RuleVerdicts(parts, call, request), std::chrono::steady_clock::now(), refused)) ids.push_back(target->target.id());
  return ids;
}

TEST(Choice, WeightsDecideHowOften) {
  ScriptedTargets world;
  const auto parts = world.parts(route_to({{"", "a", 8}, {"", "b", 2}, {"", "c", 0}}, Route::Choice::kWeighted));
  std::map<std::string, int> first;
  for (int i = 0; i < 20'000; ++i) {
    const auto ids = order(parts);
    ASSERT_EQ(ids.size(), 3U);
    ++first[ids.front()];
    EXPECT_EQ(ids.back(), "c") << "the last resort";
  }
  EXPECT_NEAR(first["a"], 16'000, 400);  // 7 standard deviations
  EXPECT_NEAR(first["b"], 4'000, 400);
}

TEST(Choice, StickyCallersStayAndMoveOnlyWhenTheyMust) {
  ScriptedTargets world;
  Route route = route_to({{"", "a", 1}, {"", "b", 1}, {"", "c", 2}}, Route::Choice::kWeighted);
  route.sticky = true;
  const auto three = world.parts(route);
  route.targets.pop_back();
  const auto two = world.parts(route);
  std::map<std::string, int> first;
  for (int i = 0; i < 4'000; ++i) {
    const Call call = call_of(fmt::format("user_{}", i));
    const std::string chosen = order(three, call).front();
    EXPECT_EQ(order(three, call).front(), chosen);
    ++first[chosen];
    if (chosen != "c") {
      EXPECT_EQ(order(two, call).front(), chosen) << "who was not on the target that went stays";
    }
  }
  EXPECT_NEAR(first["a"], 1'000, 200);
  EXPECT_NEAR(first["c"], 2'000, 230);
}

TEST(Choice, ATagCanBeWhatSticks) {
  ScriptedTargets world;
  Route route = route_to({{"", "a"}, {"", "b"}}, Route::Choice::kWeighted);
  route.sticky = true;
  route.sticky_tag = "session";
  const auto parts = world.parts(route);
  std::map<std::string, int> first;
  for (int i = 0; i < 200; ++i) {
    Call ann = call_of("ann"), bob = call_of("bob");
    ann.origin.tags = bob.origin.tags = {"env=prod", fmt::format("session={}", i)};
    EXPECT_EQ(order(parts, ann), order(parts, bob)) << "the session decides, whoever calls";
    ++first[order(parts, ann).front()];
  }
  EXPECT_GT(first["a"], 50);
  EXPECT_GT(first["b"], 50);
}

TEST(Choice, LatencyPrefersTheFaster) {
  ScriptedTargets world;
  const auto parts = world.parts(route_to({{"", "slow"}, {"", "fast"}}, Route::Choice::kLatency));
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [name, ms] : {std::pair{"slow", 100}, {"fast", 10}}) {
    world.health.begin(name);
    world.health.succeeded(name, milliseconds(ms), now);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order(parts).front(), "fast");
  for (int i = 0; i < 20; ++i) world.health.begin("fast");
  EXPECT_EQ(order(parts).front(), "slow") << "too many are under way at the faster one";
}

TEST(Choice, CostIsThePriceOverTheAvailability) {
  const auto price = [](std::string_view target, const Usage& usage) -> std::optional<double> {
    if (target == "p/unpriced") return std::nullopt;
    return (target == "p/cheap" ? 1.0 : 3.0) * static_cast<double>(usage.prompt_tokens + usage.completion_tokens);
  };
  ScriptedTargets world;
  const auto parts = world.parts(route_to({{"p", "unpriced"}, {"p", "dear"}, {"p", "cheap"}}, Route::Choice::kCost), {.price = price});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order(parts), (std::vector<std::string>{"p/cheap", "p/dear", "p/unpriced"}));
  for (int i = 0; i < 40; ++i) {
    world.health.begin("p/cheap");
    world.health.failed("p/cheap", std::chrono::steady_clock::now());
  }
  EXPECT_EQ(order(parts).front(), "p/dear") << "an answer that has to be asked for five times is not cheap";
  parts.state->served("p/dear", {.completion_tokens = 10});
  parts.state->served("p/cheap", {.completion_tokens = 10'000});
  EXPECT_EQ(order(parts, call_of("ann"), {.model = "r", .max_tokens = 5}).front(), "p/dear");
}

TEST(Choice, PrefixesGoWhereTheyWent) {
  ScriptedTargets world;
  const auto parts = world.parts(route_to({{"", "a"}, {"", "b"}, {"", "c"}}, Route::Choice::kPrefix));
  const auto prompt = [](std::string_view system, std::string_view question) {
    ChatRequest request{.model = "r"};
    request.messages = {{.role = "system", .content = std::string(2'000, system.front())}, {.role = "user", .content = std::string(question)}};
    return request;
  };
  const Call ann = call_of("ann");
  parts.state->prefixes().sent("b", PrefixTable::blocks(prompt("x", "first?"), "tenant_a"));
  parts.state->prefixes().sent("c", PrefixTable::blocks(prompt("y", "first?"), "tenant_a"));
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(order(parts, ann, prompt("x", "second?")).front(), "b");
    EXPECT_EQ(order(parts, ann, prompt("y", "second?")).front(), "c");
  }
  for (int i = 0; i < parts.route.saturated; ++i) world.health.begin("b");
  EXPECT_NE(order(parts, ann, prompt("x", "second?")).front(), "b") << "it has no room";
  Call stranger = call_of("eve");
  stranger.principal.tenant = "tenant_b";
  std::map<std::string, int> first;
  for (int i = 0; i < 200; ++i) ++first[order(parts, stranger, prompt("y", "second?")).front()];
  EXPECT_LT(first["c"], 200) << "another tenant has no part in that cache";
}

TEST(Choice, PrefixTablesForgetWhatIsOld) {
  PrefixTable table;
  const auto blocks = [](int i) { return PrefixTable::blocks({.model = "m", .prompt = fmt::format("{}{}", i, std::string(20 * PrefixTable::kBlockBytes, 'p'))}, "t"); };
  for (int i = 0; i < 1'000; ++i) table.sent("a", blocks(i));
  EXPECT_EQ(table.matched("a", blocks(999)), blocks(999).size());
  EXPECT_EQ(table.matched("a", blocks(0)), 0U);
  EXPECT_EQ(table.matched("b", blocks(999)), 0U);
  const auto longest = PrefixTable::blocks({.model = "m", .prompt = std::string(1 << 20, 'p')}, "t");
  EXPECT_EQ(longest.size(), PrefixTable::kMostBlocks);
}

TEST(Choice, RulesAreTheLanguageOfPolicies) {
  const auto access = governance::access_for_tests(STOA_SOURCE_DIR);
  struct Case {
    std::string_view when;
    RouteRule::Effect effect;
    std::vector<TargetSelector> targets;
    std::vector<std::string> order;
  };
  using enum RouteRule::Effect;
  using enum TargetSelector::Kind;
  const Case cases[] = {
      {R"(context.data_class == "restricted")", kOnly, {{kOnPrem, {}}}, {"home1"}},
      {R"(context.data_class != "restricted")", kOnly, {{kOnPrem, {}}}, {"p/away", "home1", "q/far"}},
      {R"(context.region == "eu")", kOnly, {{kOnPrem, {}}}, {"home1"}},                         // not known: it holds
      {R"(context.region == "eu")", kPrefer, {{kTarget, "q/far"}}, {"p/away", "home1", "q/far"}},  // not known: it does not
      {R"(context.tags has "team=search")", kPrefer, {{kTarget, "q/far"}}, {"q/far", "p/away", "home1"}},
      {R"(context.tags has "team=sales")", kPrefer, {{kTarget, "q/far"}}, {"p/away", "home1", "q/far"}},
      {R"(principal.tenant == "tenant_a")", kNever, {{kProvider, "p"}, {kProvider, "q"}}, {"home1"}},
      {"context.tokens > 5000", kPrefer, {{kProvider, "q"}}, {"q/far", "p/away", "home1"}},
      {"context.tokens > 50000", kPrefer, {{kProvider, "q"}}, {"p/away", "home1", "q/far"}},
      {R"(principal.id == "ann")", kOnly, {{kRegion, "eu"}}, {"home1"}},
      {R"(principal.id == "ann")", kOnly, {{kTarget, "none/such"}}, {}},
  };
  for (const Case& each : cases) {
    ScriptedTargets world;
    Route route = route_to({{"p", "away"}, {"", "home1"}});
    route.fallback = {{"q", "far"}};
    route.rules.push_back({.when = *RuleCondition::parse(each.when, "rule"), .effect = each.effect, .targets = each.targets});
    const auto parts = world.parts(route, {.access = access.get()});
    world.by_id["p/away"]->prompt_tokens = 6'000;
    Call call = call_of("ann");
    call.origin.data_class = "restricted";
    call.origin.tags = {"team=search"};
    EXPECT_EQ(order(parts, call), each.order) << each.when;
  }
}

TEST(Choice, PartBudgetsLetThroughTheirPart) {
  PartBudget budget(0);
  int taken = 0;
  const SteadyTime now{std::chrono::hours(1)};
  for (int i = 0; i < 1'000; ++i) {
    budget.add(20);
    taken += budget.take(now);
  }
  EXPECT_NEAR(taken, 200, 2);
  PartBudget few(3);
  taken = 0;
  for (int second = 0; second < 10; ++second)
    for (int i = 0; i < 20; ++i) taken += few.take(now + std::chrono::seconds(second));
  EXPECT_NEAR(taken, 31, 2);
}

}  // namespace
}  // namespace stoa::gateway
