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
  check("targets: [{model: a}]\nchoose: best", "weighted, latency or ordered");
  check("targets: [{model: a}]\nchoose: latency\nsticky: true", "sticky");
  check("targets: [{model: a}]\nattempts: 9", "9");
  check("targets: [{model: a}]\nfalback: []", "falback");
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
