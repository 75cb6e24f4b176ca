#include "gateway/routing/route.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

TEST(RouteTest, ReadsAll) {
  const auto route = parse_route(R"(
description: cheap first
choose: weighted
sticky: true
attempts: 2
targets:
  - {model: "m:1", weight: 9}
  - {provider: other, model: org/big, weight: 0}
fallback: [{provider: openai, model: gpt}]
)", "r");
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->description, "cheap first");
  EXPECT_TRUE(route->sticky);
  EXPECT_EQ(route->attempts, 2);
  ASSERT_EQ(route->targets.size(), 2U);
  EXPECT_EQ(route->targets[0].id(), "m:1");
  EXPECT_EQ(route->targets[0].weight, 9);
  EXPECT_EQ(route->targets[1].id(), "other/org/big");
  EXPECT_EQ(route->fallback.at(0).id(), "openai/gpt");
  EXPECT_EQ(route->fallback.at(0).weight, 1);
  const auto json = parse_route(R"({"choose": "latency", "targets": [{"model": "a"}]})", "r");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->choose, Route::Choice::kLatency);
}

TEST(RouteTest, ReadsWhatDecidesAndWatches) {
  const auto route = parse_route(R"(
choose: weighted
sticky: tag:session
retries: 1
retry_percent: 10
hedge: {after_ms: 800}
targets: [{model: a}]
mirror: {provider: lab, model: candidate, percent: 10}
rules:
  - when: context.data_class == "restricted"
    only: [on_prem, region:eu, provider:p, p/m]
    because: it stays in the house
canary: {provider: openai, model: mini, steps: [5, 100], minutes: 1, requests: 20, gates: {failures_percent: 2, good_ratings_percent: 70}}
)", "r");
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->sticky_tag, "session");
  EXPECT_EQ(route->retries, 1);
  EXPECT_EQ(route->hedge->after, milliseconds(800));
  EXPECT_EQ(route->hedge->percent, 5);
  EXPECT_EQ(route->mirror->target.id(), "lab/candidate");
  ASSERT_EQ(route->rules.size(), 1U);
  EXPECT_EQ(route->rules[0].effect, RouteRule::Effect::kOnly);
  ASSERT_EQ(route->rules[0].targets.size(), 4U);
  EXPECT_EQ(route->rules[0].targets[1].kind, TargetSelector::Kind::kRegion);
  EXPECT_EQ(route->rules[0].targets[1].name, "eu");
  EXPECT_EQ(route->rules[0].targets[3].name, "p/m");
  EXPECT_EQ(route->canary->steps, (std::vector<int>{5, 100}));
  EXPECT_EQ(route->canary->least, std::chrono::minutes(1));
  EXPECT_EQ(route->canary->gates.failures_percent, 2);
  EXPECT_FALSE(route->canary->gates.first_piece_ms);
}

TEST(RouteTest, SaysWhatIsWrongAndWhere) {
  const auto check = [](std::string_view text, std::string_view said) {
    const auto route = parse_route(text, "r");
    ASSERT_FALSE(route) << text;
    EXPECT_EQ(route.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(route.error().message.find(said), std::string::npos) << route.error().message;
  };
  check("", "a map with 'targets'");
  check("[]", "a map with 'targets'");
  check("targets: []", "at least one");
  check("targets: x", "a list of targets");
  check("targets: [{provider: p}]", "model");
  check("targets: [{model: ''}]", "a name of 1");
  check("targets:\n  - model: a\n    wait: 1", "r:3");
  check("targets: [{model: a, weight: -1}]", "-1");
  check("targets: [{model: a, weight: 0}]", "none would be chosen");
  check("targets: [{model: a}, {model: a}]", "twice");
  check("targets: [{model: a}]\nfallback: [{model: a}]", "twice");
  check("targets: [{provider: ../x, model: a}]", "cannot name a provider");
  check("targets: [{model: a}]\nchoose: best", "weighted, latency, ordered, cost or prefix");
  check("targets: [{model: a}]\nchoose: latency\nsticky: true", "sticky");
  check("targets: [{model: a}]\nattempts: 9", "9");
  check("targets: [{model: a}]\nfalback: []", "falback");
  const std::string_view one = "targets: [{model: a}]\n";
  const auto check_more = [&](std::string_view more, std::string_view said) { check(fmt::format("{}{}", one, more), said); };
  check_more("sticky: 'tag:'", "caller, or tag:NAME");
  check_more("retries: 4", "4");
  check_more("hedge: {percent: 5}", "after_ms");
  check_more("hedge: {after_ms: 0}", "0");
  check_more("mirror: {percent: 5}", "model");
  check_more("rules: [{when: 'context.tags has \"a\"'}]", "a rule needs");
  check_more("rules: [{when: 'context.colour == \"a\"', only: [on_prem]}]", "context.colour");
  check_more("rules: [{when: 'context.tokens >', only: [on_prem]}]", "r:2");
  check_more("rules: [{when: 'context.tokens > 3', only: [on_prem], never: [on_prem]}]", "one of");
  check_more("canary: {model: b, steps: [5, 50]}", "100");
  check_more("canary: {model: b, steps: [50, 5, 100]}", "5");
  check_more("canary: {model: a, steps: [100]}", "one of the other targets");
  check_more("canary: {model: b, steps: [100], gates: {failure_percent: 3}}", "failure_percent");
  std::string many = "targets:\n";
  for (int i = 0; i < 17; ++i) many += fmt::format("  - model: m{}\n", i);
  check(many, "at most 16");
}

TEST(RouteTest, Names) {
  for (const std::string_view name : {"a", "gpt-4o-mini", "Team.chat:v1", "9"}) EXPECT_TRUE(check_route_name(name)) << name;
  for (const std::string_view name : {"", "-a", ".", "a/b", "a b", "é", "a\n"}) EXPECT_FALSE(check_route_name(name)) << name;
  EXPECT_TRUE(check_route_name(std::string(128, 'a')));
  EXPECT_FALSE(check_route_name(std::string(129, 'a')));
}

}  // namespace
}  // namespace stoa::gateway
