#include "gateway/routing/routed_generator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace stoa::gateway {
namespace {

// Does what it is told to.
class Scripted final : public models::Generator {
 public:
  Result<ChatOutcome> generate(const Call&, const ChatRequest& request, const models::DeltaSink& sink) override {
    ++asked;
    model = request.model;
    for (int i = 0; i < deltas; ++i)
      if (!sink({.text = "x", .logprobs = {}})) return ChatOutcome{.finish = FinishReason::kCancelled};
    if (failure) return fail(*failure, "the target failed");
    return ChatOutcome{.finish = FinishReason::kStop, .usage = {.prompt_tokens = 1, .completion_tokens = deltas}};
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override { return static_cast<std::int64_t>(request.model.size()); }
  int context_length() const override { return context; }

  std::optional<ErrorCode> failure;
  int deltas = 1, context = 100, asked = 0;
  std::string model;
};

struct World {
  TargetHealth health;
  std::vector<std::shared_ptr<Scripted>> generators;

  RoutedGenerator route(Route route, std::function<Status(const Call&, const RouteTarget&)> permits = {}) {
    RouteParts parts{.name = "r", .route = route, .targets = {}, .fallback = {}, .health = health, .permits = std::move(permits)};
    const auto open = [&](const std::vector<RouteTarget>& targets, std::vector<OpenTarget>& out) {
      for (const auto& target : targets) out.push_back({target, target.id(), generators.emplace_back(std::make_shared<Scripted>())});
    };
    open(route.targets, parts.targets);
    open(route.fallback, parts.fallback);
    return RoutedGenerator(std::move(parts));
  }
};

Call call_of(std::string id) {
  Principal principal;
  principal.id = std::move(id);
  return Call::of(principal);
}

Result<ChatOutcome> ask(RoutedGenerator& generator, const Call& call = call_of("ann"), int* deltas = nullptr) {
  return generator.generate(call, {.model = "r"}, [&](const ChatDelta&) {
    if (deltas != nullptr) ++*deltas;
    return true;
  });
}

Route targets(std::vector<RouteTarget> list, Route::Choice choose = Route::Choice::kOrdered) {
  Route route;
  route.choose = choose;
  route.targets = std::move(list);
  return route;
}

TEST(RoutedGeneratorTest, TheNextAnswersWhenOneFailsBeforeItsFirstPiece) {
  World world;
  Route route = targets({{"", "a"}, {"p", "b"}});
  route.fallback = {{"q", "c"}};
  auto generator = world.route(route);
  const auto check = [&](std::vector<std::optional<ErrorCode>> failures, std::vector<int> deltas, std::string_view answered, std::optional<ErrorCode> code, std::vector<int> asked) {
    world.health.succeeded("a", milliseconds(1), SteadyTime{});  // no breaker is open
    world.health.succeeded("p/b", milliseconds(1), SteadyTime{});
    world.health.succeeded("q/c", milliseconds(1), SteadyTime{});
    for (std::size_t i = 0; i < 3; ++i) {
      world.generators[i]->failure = failures[i];
      world.generators[i]->deltas = deltas[i];
      world.generators[i]->asked = 0;
    }
    const auto outcome = ask(generator);
    EXPECT_EQ(outcome ? outcome->target : "", answered);
    EXPECT_EQ(outcome ? std::optional<ErrorCode>() : outcome.error().code, code);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(world.generators[i]->asked, asked[i]) << i;
  };
  constexpr auto kDown = ErrorCode::kUnavailable;
  check({{}, {}, {}}, {1, 1, 1}, "a", {}, {1, 0, 0});
  check({kDown, {}, {}}, {0, 1, 1}, "p/b", {}, {1, 1, 0});
  check({kDown, ErrorCode::kResourceExhausted, {}}, {0, 0, 1}, "q/c", {}, {1, 1, 1});
  check({kDown, kDown, kDown}, {0, 0, 0}, "", kDown, {1, 1, 1});
  check({kDown, {}, {}}, {1, 1, 1}, "", kDown, {1, 0, 0});  // it had begun
  check({ErrorCode::kInvalidArgument, {}, {}}, {0, 1, 1}, "", ErrorCode::kInvalidArgument, {1, 0, 0});  // another would say the same
  check({ErrorCode::kTooLarge, {}, {}}, {0, 1, 1}, "p/b", {}, {1, 1, 0});
  EXPECT_EQ(world.generators[1]->model, "b") << "each is asked by its own name";
  EXPECT_EQ(*generator.count_prompt_tokens({.model = "route"}), 1);
}

TEST(RoutedGeneratorTest, AttemptsAreLimited) {
  World world;
  Route route = targets({{"", "a"}, {"", "b"}, {"", "c"}});
  route.attempts = 2;
  auto generator = world.route(route);
  for (auto& each : world.generators) each->failure = ErrorCode::kUnavailable, each->deltas = 0;
  const auto outcome = ask(generator);
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().message.find("2 targets"), std::string::npos);
  EXPECT_EQ(world.generators[2]->asked, 0);
}

TEST(RoutedGeneratorTest, AFailingTargetIsLeftAlone) {
  World world;
  auto generator = world.route(targets({{"", "a"}, {"", "b"}}));
  world.generators[0]->failure = ErrorCode::kUnavailable;
  world.generators[0]->deltas = 0;
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(ask(generator));
  EXPECT_EQ(world.generators[0]->asked, TargetHealth::kFailures);
  auto alone = world.route(targets({{"", "a"}}));
  const auto outcome = ask(alone);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  EXPECT_GT(outcome.error().retry_after, 0);
}

TEST(RoutedGeneratorTest, WeightsDecideHowOften) {
  World world;
  const auto generator = world.route(targets({{"", "a", 8}, {"", "b", 2}, {"", "c", 0}}, Route::Choice::kWeighted));
  std::map<std::string, int> first;
  for (int i = 0; i < 20'000; ++i) {
    const auto order = generator.order(call_of("ann"));
    ASSERT_EQ(order.size(), 3U);
    ++first[order.front()->target.model];
    EXPECT_EQ(order.back()->target.model, "c") << "the last resort";
  }
  EXPECT_NEAR(first["a"], 16'000, 400);  // 7 standard deviations
  EXPECT_NEAR(first["b"], 4'000, 400);
}

TEST(RoutedGeneratorTest, StickyCallersStayAndMoveOnlyWhenTheyMust) {
  World world;
  Route route = targets({{"", "a", 1}, {"", "b", 1}, {"", "c", 2}}, Route::Choice::kWeighted);
  route.sticky = true;
  const auto three = world.route(route);
  route.targets.pop_back();
  const auto two = world.route(route);
  std::map<std::string, int> first;
  for (int i = 0; i < 4'000; ++i) {
    const Call call = call_of(fmt::format("user_{}", i));
    const std::string chosen = three.order(call).front()->target.model;
    EXPECT_EQ(three.order(call).front()->target.model, chosen);
    ++first[chosen];
    if (chosen != "c") {
      EXPECT_EQ(two.order(call).front()->target.model, chosen) << "who was not on the target that went stays";
    }
  }
  EXPECT_NEAR(first["a"], 1'000, 200);
  EXPECT_NEAR(first["c"], 2'000, 230);
}

TEST(RoutedGeneratorTest, LatencyPrefersTheFaster) {
  World world;
  const auto generator = world.route(targets({{"", "slow"}, {"", "fast"}}, Route::Choice::kLatency));
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [name, ms] : {std::pair{"slow", 100}, {"fast", 10}}) {
    world.health.begin(name);
    world.health.succeeded(name, milliseconds(ms), now);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(generator.order(call_of("ann")).front()->target.model, "fast");
  for (int i = 0; i < 20; ++i) world.health.begin("fast");
  EXPECT_EQ(generator.order(call_of("ann")).front()->target.model, "slow") << "too many are under way at the faster one";
}

// Random routes, rules and failures: what is not permitted is never asked, nothing is asked after a first piece, nothing twice, and an answer comes
// whenever one that may be asked would give it within the attempts.
TEST(RoutedGeneratorTest, RulesHoldWhateverFails) {
  std::mt19937 random(11);
  for (int round = 0; round < 3'000; ++round) {
    World world;
    Route route;
    route.choose = static_cast<Route::Choice>(random() % 3);
    route.attempts = 1 + static_cast<int>(random() % 8);
    const auto fill = [&](std::vector<RouteTarget>& list, std::string prefix, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) list.push_back({"", fmt::format("{}{}", prefix, i), 1 + static_cast<int>(random() % 9)});
    };
    fill(route.targets, "t", 1 + random() % 5);
    fill(route.fallback, "f", random() % 4);
    std::set<std::string> forbidden;
    for (const auto* list : {&route.targets, &route.fallback})
      for (const auto& target : *list)
        if (random() % 3 == 0) forbidden.insert(target.model);
    auto generator = world.route(route, [&](const Call&, const RouteTarget& target) -> Status {
      if (!forbidden.contains(target.model)) return {};
      return fail(ErrorCode::kPermissionDenied, "not for this data");
    });
    constexpr ErrorCode kFailures[] = {ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded, ErrorCode::kResourceExhausted};
    int well = 0, permitted = 0;
    std::vector<std::string> names;
    for (const auto* list : {&route.targets, &route.fallback})
      for (const auto& target : *list) names.push_back(target.model);
    for (std::size_t i = 0; i < names.size(); ++i) {
      Scripted& target = *world.generators[i];
      if (random() % 2 == 0) target.failure = kFailures[random() % 3];
      target.deltas = target.failure ? static_cast<int>(random() % 5 == 0) : 1;
      if (forbidden.contains(names[i])) continue;
      ++permitted;
      well += !target.failure;
    }
    int deltas = 0;
    const auto outcome = ask(generator, call_of("ann"), &deltas);
    int asked = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      ASSERT_LE(world.generators[i]->asked, 1);
      ASSERT_TRUE(world.generators[i]->asked == 0 || !forbidden.contains(names[i]));
      asked += world.generators[i]->asked;
    }
    ASSERT_LE(asked, route.attempts);
    ASSERT_LE(deltas, 1) << "pieces of two answers";
    if (permitted == 0) {
      ASSERT_EQ(outcome.error().code, ErrorCode::kPermissionDenied);
    }
    if (outcome) {
      ASSERT_FALSE(forbidden.contains(outcome->target));
    } else if (deltas == 0) {
      ASSERT_TRUE(well == 0 || asked == route.attempts);
    }
  }
}

}  // namespace
}  // namespace stoa::gateway
