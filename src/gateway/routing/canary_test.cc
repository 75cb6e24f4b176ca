#include "gateway/routing/canary.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "gateway/routing/test_targets.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::gateway {
namespace {

RouteCanary plan_of(std::vector<int> steps, int requests, CanaryGates gates = {}) {
  return {.target = {"p", "new"}, .steps = std::move(steps), .least = std::chrono::minutes(0), .requests = requests, .gates = gates};
}

TEST(Canary, GatesDecide) {
  using enum CanaryMove;
  const CanaryGates gates{.failures_percent = 5, .first_piece_ms = 800, .slower_percent = 50, .good_ratings_percent = 70};
  struct Case {
    std::string_view name;
    CanaryNumbers canary, others;
    int seconds;
    CanaryMove move;
  };
  const Case cases[] = {
      {"nothing yet", {}, {}, 9'999, kWait},
      {"too few", {99, 0, 10}, {900, 0, 10}, 9'999, kWait},
      {"too early", {100, 0, 10}, {900, 0, 10}, 10, kWait},
      {"all hold", {100, 5, 10}, {900, 0, 10}, 600, kAdvance},
      {"failures", {100, 6, 10}, {900, 0, 10}, 600, kRollBack},
      {"failures, early", {20, 2, 10}, {900, 0, 10}, 1, kRollBack},
      {"failures, but few", {19, 19, 0}, {900, 0, 10}, 1, kWait},
      {"slow", {100, 0, 801}, {900, 0, 700}, 600, kRollBack},
      {"slower than the others", {100, 0, 301}, {900, 0, 200}, 600, kRollBack},
      {"as slow as it may be", {100, 0, 300}, {900, 0, 200}, 600, kAdvance},
      {"nobody to compare with", {100, 0, 300}, {5, 0, 1}, 600, kAdvance},
      {"bad ratings", {100, 0, 10, RatingCount{13, 20}}, {900, 0, 10}, 600, kRollBack},
      {"good ratings", {100, 0, 10, RatingCount{14, 20}}, {900, 0, 10}, 600, kAdvance},
      {"few ratings", {100, 0, 10, RatingCount{0, 19}}, {900, 0, 10}, 600, kAdvance},
  };
  auto plan = plan_of({10, 100}, 100, gates);
  plan.least = std::chrono::minutes(10);
  for (const Case& each : cases) {
    const auto verdict = judge_canary(plan, each.canary, each.others, std::chrono::seconds(each.seconds));
    EXPECT_EQ(verdict.move, each.move) << each.name << ": " << verdict.reason;
    EXPECT_EQ(verdict.reason.empty(), each.move == kWait) << each.name;
  }
}

struct CanaryTest : testing::TestWithParam<infra::SqlBackend> {
  std::unique_ptr<infra::SqlDatabase> database = GetParam().open();
  std::unique_ptr<governance::AuditLog> audit = *governance::AuditLog::open(*database);
  std::unique_ptr<Canaries> canaries = *Canaries::open(*database, *audit);
  Principal ann = call_of("ann").principal;

  static Route route_of(std::int64_t version, RouteCanary plan) {
    Route route = route_to({{"", "old"}});
    route.version = version;
    route.canary = std::move(plan);
    return route;
  }
  std::string told() {
    std::string text;
    const auto decisions = canaries->history("proj_a", "r");
    for (const auto& each : *decisions) text += fmt::format("{}{}@{}", text.empty() ? "" : " ", each.decision, each.step);
    return text;
  }
};

INSTANTIATE_TEST_SUITE_P(, CanaryTest, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(CanaryTest, StepsUpAndIsPromoted) {
  const Route route = route_of(3, plan_of({5, 50, 100}, 30, {.failures_percent = 10}));
  for (const int step : {5, 50, 100}) {
    EXPECT_EQ(canaries->percent(ann, "r", route), step);
    for (int i = 0; i < 30; ++i) {
      canaries->observe(ann, "r", route, false, i % 3 == 0, milliseconds(9));
      canaries->observe(ann, "r", route, true, i == 4, milliseconds(5));
    }
  }
  EXPECT_EQ(canaries->percent(ann, "r", route), 100);
  EXPECT_EQ(told(), "started@0 advanced@0 advanced@1 promoted@2");
  const auto decisions = canaries->history("proj_a", "r");
  const auto numbers = parse_json((*decisions)[1].numbers);
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->at("canary").at("requests").to_number<int>(), 30);
  EXPECT_EQ(numbers->at("canary").at("failures").to_number<int>(), 1);
  EXPECT_EQ(numbers->at("others").at("failures").to_number<int>(), 10);
  canaries = *Canaries::open(*database, *audit);
  EXPECT_EQ(canaries->percent(ann, "r", route), 100) << "a restart forgets nothing";
  EXPECT_EQ(canaries->percent(ann, "r", route_of(4, *route.canary)), 5) << "a new version starts anew";
}

TEST_P(CanaryTest, IsRolledBackWithTheNumbers) {
  const Route route = route_of(1, plan_of({10, 100}, 1'000, {.failures_percent = 10}));
  EXPECT_EQ(canaries->percent(ann, "r", route), 10);
  for (int i = 0; i < 25; ++i) canaries->observe(ann, "r", route, true, i % 2 == 0, milliseconds(5));
  EXPECT_EQ(canaries->percent(ann, "r", route), 0);
  EXPECT_EQ(told(), "started@0 rolled back@0");
  const auto decisions = canaries->history("proj_a", "r");
  EXPECT_NE(decisions->back().reason.find("10 % are allowed"), std::string::npos) << decisions->back().reason;
  canaries = *Canaries::open(*database, *audit);
  EXPECT_EQ(canaries->percent(ann, "r", route), 0);
}

TEST_P(CanaryTest, AHalfDoneOneGoesOnAfterARestart) {
  const Route route = route_of(1, plan_of({10, 40, 100}, 20));
  for (int i = 0; i < 20; ++i) canaries->observe(ann, "r", route, true, false, milliseconds(5));
  canaries = *Canaries::open(*database, *audit);
  EXPECT_EQ(canaries->percent(ann, "r", route), 40);
}

TEST_P(CanaryTest, RatingsAreAskedFor) {
  int good = 19;
  canaries = *Canaries::open(*database, *audit, [&](std::string_view project, std::string_view target, Micros) -> std::optional<RatingCount> {
    EXPECT_EQ(project, "proj_a");
    EXPECT_EQ(target, "p/new");
    return RatingCount{good, 40};
  });
  const Route route = route_of(1, plan_of({10, 100}, 20, {.good_ratings_percent = 50}));
  for (int i = 0; i < 20; ++i) canaries->observe(ann, "r", route, true, false, milliseconds(5));
  EXPECT_EQ(told(), "started@0 rolled back@0");
}

TEST_P(CanaryTest, ItsPartOfTheRequestsGoesToIt) {
  ScriptedTargets world;
  const Route route = route_of(1, plan_of({25, 100}, 1'000'000));
  RoutedGenerator generator(world.parts(route, {.canaries = canaries.get()}));
  for (int i = 0; i < 4'000; ++i) ASSERT_TRUE(generator.generate(call_of("ann"), {.model = "r"}, [](const ChatDelta&) { return true; }));
  EXPECT_NEAR(world.by_id["p/new"]->asked, 1'000, 200);
  world.by_id["p/new"]->failure = ErrorCode::kUnavailable;
  world.by_id["p/new"]->deltas = 0;
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(generator.generate(call_of("ann"), {.model = "r"}, [](const ChatDelta&) { return true; })) << "the others stand behind it";
}

}  // namespace
}  // namespace stoa::gateway
