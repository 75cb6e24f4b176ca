#include "gateway/routing/routed_generator.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "gateway/routing/mirror.h"
#include "gateway/routing/test_targets.h"
#include "governance/access/test_access.h"

namespace stoa::gateway {
namespace {

struct Heard {
  Result<ChatOutcome> outcome;
  std::vector<std::string> pieces;
};

Heard ask(RoutedGenerator& generator, const Call& call = call_of("ann"), bool whole = false) {
  Heard heard{.outcome = ChatOutcome{}, .pieces = {}};
  ChatRequest request{.model = "r"};
  request.whole = whole;
  heard.outcome = generator.generate(call, request, [&](const ChatDelta& delta) {
    heard.pieces.push_back(delta.text);
    return true;
  });
  return heard;
}

std::string told(const Result<ChatOutcome>& outcome) {
  if (!outcome) return fmt::format("error {}", static_cast<int>(outcome.error().code));
  std::string text = outcome->target + (outcome->finish == FinishReason::kError ? " broke" : "");
  for (const ChatCharge& charge : outcome->also) text += fmt::format(" +{}:{}", charge.what, charge.target);
  return text;
}

constexpr auto kDown = ErrorCode::kUnavailable;
const std::string kDownText = fmt::format("error {}", static_cast<int>(kDown));

TEST(RoutedGeneratorTest, TheNextAnswersWhenOneFailsBeforeItsFirstPiece) {
  struct Case {
    std::vector<std::optional<ErrorCode>> failures;
    std::vector<int> deltas;
    bool whole;
    std::string_view told;
    std::vector<int> asked;
    std::vector<std::string> pieces;
  };
  const std::string invalid = fmt::format("error {}", static_cast<int>(ErrorCode::kInvalidArgument));
  const Case cases[] = {
      {{{}, {}, {}}, {1, 1, 1}, false, "a", {1, 0, 0}, {"a"}},
      {{kDown, {}, {}}, {0, 1, 1}, false, "p/b", {1, 1, 0}, {"p/b"}},
      {{kDown, ErrorCode::kResourceExhausted, {}}, {0, 0, 1}, false, "q/c", {1, 1, 1}, {"q/c"}},
      {{kDown, kDown, kDown}, {0, 0, 0}, false, kDownText, {1, 1, 1}, {}},
      {{kDown, {}, {}}, {1, 1, 1}, false, "a broke", {1, 0, 0}, {"a"}},                                   // it had begun
      {{kDown, {}, {}}, {2, 1, 1}, true, "p/b +retry:a", {1, 1, 0}, {"p/b"}},                             // nobody had seen it
      {{kDown, kDown, kDown}, {1, 1, 1}, true, "a broke +retry:p/b +retry:q/c", {1, 1, 1}, {}},           // all were served, and are paid
      {{ErrorCode::kInvalidArgument, {}, {}}, {0, 1, 1}, false, invalid, {1, 0, 0}, {}},                  // another would say the same
      {{ErrorCode::kTooLarge, {}, {}}, {0, 1, 1}, false, "p/b", {1, 1, 0}, {"p/b"}},
  };
  for (const Case& each : cases) {
    ScriptedTargets world;
    Route route = route_to({{"", "a"}, {"p", "b"}});
    route.fallback = {{"q", "c"}};
    RoutedGenerator generator(world.parts(route));
    for (std::size_t i = 0; i < 3; ++i) {
      world.in_order[i]->failure = each.failures[i];
      world.in_order[i]->deltas = each.deltas[i];
    }
    const Heard heard = ask(generator, call_of("ann"), each.whole);
    EXPECT_EQ(told(heard.outcome), each.told);
    EXPECT_EQ(heard.pieces, each.pieces) << each.told;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(world.in_order[i]->asked, each.asked[i]) << each.told << " " << i;
  }
}

TEST(RoutedGeneratorTest, EachIsAskedByItsOwnName) {
  ScriptedTargets world;
  RoutedGenerator generator(world.parts(route_to({{"p", "b"}})));
  EXPECT_TRUE(ask(generator).outcome);
  EXPECT_EQ(world.in_order[0]->model, "b");
  EXPECT_EQ(*generator.count_prompt_tokens({.model = "route"}), 1);
}

TEST(RoutedGeneratorTest, AttemptsAreLimited) {
  ScriptedTargets world;
  Route route = route_to({{"", "a"}, {"", "b"}, {"", "c"}});
  route.attempts = 2;
  RoutedGenerator generator(world.parts(route));
  for (auto& each : world.in_order) each->failure = kDown, each->deltas = 0;
  const auto heard = ask(generator);
  ASSERT_FALSE(heard.outcome);
  EXPECT_NE(heard.outcome.error().message.find("2 targets"), std::string::npos);
  EXPECT_EQ(world.in_order[2]->asked, 0);
}

TEST(RoutedGeneratorTest, RetriesAskAgainWithinTheirBudget) {
  ScriptedTargets world;
  Route route = route_to({{"", "a"}});
  route.retries = 2;
  route.retry_percent = 0;
  RoutedGenerator generator(world.parts(route));
  world.in_order[0]->failure = kDown;
  world.in_order[0]->deltas = 0;
  EXPECT_FALSE(ask(generator).outcome);
  EXPECT_EQ(world.in_order[0]->asked, 3);
  for (int i = 0; i < 3; ++i) {
    world.health.begin("a");
    world.health.succeeded("a", milliseconds(1), {});  // the breaker stays closed
    EXPECT_FALSE(ask(generator).outcome);
  }
  EXPECT_LT(world.in_order[0]->asked, 3 + 9) << "what may be asked again is limited";
}

TEST(RoutedGeneratorTest, AFailingTargetIsLeftAlone) {
  ScriptedTargets world;
  Route route = route_to({{"", "a"}, {"", "b"}});
  route.retry_percent = 100;
  RoutedGenerator generator(world.parts(route));
  world.in_order[0]->failure = kDown;
  world.in_order[0]->deltas = 0;
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(ask(generator).outcome);
  EXPECT_LE(world.in_order[0]->asked, TargetHealth::kFailures + 1) << "it is tried again after a second";
  RoutedGenerator alone(world.parts(route_to({{"", "a"}})));
  const auto heard = ask(alone);
  ASSERT_FALSE(heard.outcome);
  EXPECT_EQ(heard.outcome.error().code, kDown);
  EXPECT_GT(heard.outcome.error().retry_after, 0);
}

TEST(RoutedGeneratorTest, CallersInAHurryDoNotHaveATargetLeftAlone) {
  ScriptedTargets world;
  RoutedGenerator generator(world.parts(route_to({{.model = "a"}})));
  Scripted& target = *world.in_order.front();
  target.failure = ErrorCode::kDeadlineExceeded;
  target.deltas = 0;
  Call call = call_of("ann");
  call.deadline = Deadline::after(milliseconds(0));
  for (int i = 0; i < 2 * TargetHealth::kFailures; ++i) EXPECT_FALSE(ask(generator, call).outcome);
  EXPECT_EQ(target.asked, 2 * TargetHealth::kFailures);
  EXPECT_EQ(world.health.state("a", std::chrono::steady_clock::now()).failures, 0);
  for (int i = 0; i < 2 * TargetHealth::kFailures; ++i) EXPECT_FALSE(ask(generator).outcome) << "its own time was up";
  EXPECT_EQ(target.asked, 3 * TargetHealth::kFailures);
}

TEST(RoutedGeneratorTest, ASlowTargetIsHedged) {
  struct Case {
    std::string_view name;
    int after_ms, first_ms, second_ms;
    std::optional<ErrorCode> first_fails, second_fails;
    bool whole;
    std::string told;
  };
  const Case cases[] = {
      {"fast enough", 60'000, 0, 0, {}, {}, false, "a"},
      {"the second answers", 10, 300, 0, {}, {}, false, "p/b +hedge:a"},
      {"the first answers after all", 10, 400, 20'000, {}, {}, false, "a +hedge:p/b"},
      {"the second fails", 10, 40, 0, {}, kDown, false, "a"},
      {"the first fails at once", 10, 0, 0, kDown, {}, false, "p/b"},
      {"the first fails late", 10, 40, 80, kDown, {}, false, "p/b"},
      {"both fail", 10, 40, 40, kDown, kDown, false, kDownText},
      {"whole", 10, 300, 0, {}, {}, true, "p/b +hedge:a"},
  };
  for (const Case& each : cases) {
    ScriptedTargets world;
    Route route = route_to({{"", "a"}, {"p", "b"}});
    route.hedge = RouteHedge{.after = milliseconds(each.after_ms), .percent = 100};
    RoutedGenerator generator(world.parts(route));
    for (const auto& [target, ms, fails] : {std::tuple(0, each.first_ms, each.first_fails), {1, each.second_ms, each.second_fails}}) {
      world.in_order[static_cast<std::size_t>(target)]->silence_ms = ms;
      world.in_order[static_cast<std::size_t>(target)]->failure = fails;
      if (fails) world.in_order[static_cast<std::size_t>(target)]->deltas = 0;
    }
    const Heard heard = ask(generator, call_of("ann"), each.whole);
    EXPECT_EQ(told(heard.outcome), each.told) << each.name;
    EXPECT_EQ(heard.pieces.size(), heard.outcome ? 1U : 0U) << each.name;
    if (heard.outcome) {
      EXPECT_EQ(heard.pieces.front(), heard.outcome->target) << each.name;
    }
    EXPECT_EQ(world.health.state("a", {}).under_way + world.health.state("p/b", {}).under_way, 0) << each.name;
  }
}

TEST(RoutedGeneratorTest, HedgesStayWithinTheirPart) {
  ScriptedTargets world;
  Route route = route_to({{"", "a"}, {"p", "b"}});
  route.hedge = RouteHedge{.after = milliseconds(1), .percent = 10};
  RoutedGenerator generator(world.parts(route));
  world.in_order[0]->silence_ms = 3;
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(ask(generator).outcome);
  EXPECT_LE(world.in_order[1]->asked, 1 + 4);
  EXPECT_GE(world.in_order[1]->asked, 2);
}

TEST(RoutedGeneratorTest, ACancelledRaceEnds) {
  ScriptedTargets world;
  Route route = route_to({{"", "a"}, {"p", "b"}});
  route.hedge = RouteHedge{.after = milliseconds(1), .percent = 100};
  RoutedGenerator generator(world.parts(route));
  for (auto& each : world.in_order) each->silence_ms = 60'000;
  Call call = call_of("ann");
  std::jthread caller([&] {
    while (world.in_order[1]->asked == 0) std::this_thread::sleep_for(milliseconds(1));
    call.cancel.cancel();
  });
  const Heard heard = ask(generator, call);
  ASSERT_TRUE(heard.outcome);
  EXPECT_EQ(heard.outcome->finish, FinishReason::kCancelled);
}

TEST(RoutedGeneratorTest, MirroredRequestsAreBookedAndSlowNobody) {
  ScriptedTargets world;
  std::mutex mutex;
  std::vector<std::string> booked;
  Route route = route_to({{"", "a"}});
  route.mirror = RouteMirror{.target = {"lab", "m"}};
  {
    MirrorPool pool({.health = world.health, .account = [&](const MirroredRequest& mirrored, const std::function<Result<ChatOutcome>()>& ask_target) {
                       const auto outcome = ask_target();
                       std::lock_guard lock(mutex);
                       booked.push_back(fmt::format("{} {} {} {}", mirrored.route, mirrored.target.target.id(), mirrored.call.principal.id, outcome.has_value()));
                       EXPECT_TRUE(mirrored.call.request_id.starts_with("req_"));
                     }});
    RoutedGenerator generator(world.parts(route, {.mirrors = &pool}));
    EXPECT_EQ(told(ask(generator).outcome), "a");
    const auto is_booked = [&] {
      std::lock_guard lock(mutex);
      return !booked.empty();
    };
    for (int waited = 0; waited < 5'000 && !is_booked(); ++waited) std::this_thread::sleep_for(milliseconds(1));
    world.by_id["lab/m"]->silence_ms = 100'000;
    for (int i = 0; i < 200; ++i) EXPECT_EQ(told(ask(generator).outcome), "a");
    EXPECT_GE(pool.left_out(), 200 - static_cast<int>(MirrorPool::kMostWaiting) - MirrorPool::kThreads);
  }  // ends what runs
  EXPECT_EQ(booked.front(), "r lab/m ann true");
  EXPECT_LE(booked.size(), 1U + MirrorPool::kThreads);
}

// Random routes, rules and failures: what is not permitted is never asked, nothing is asked after a first piece, nothing twice, and an answer comes
// whenever one that may be asked would give it within the attempts.
TEST(RoutedGeneratorTest, PoliciesHoldWhateverFails) {
  std::mt19937 random(11);
  for (int round = 0; round < 3'000; ++round) {
    ScriptedTargets world;
    Route route;
    route.choose = static_cast<Route::Choice>(random() % 5);
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
    RoutedGenerator generator(world.parts(route, {.permits = [&](const Call&, const RouteTarget& target) -> Status {
      if (!forbidden.contains(target.model)) return {};
      return fail(ErrorCode::kPermissionDenied, "not for this data");
    }}));
    constexpr ErrorCode kFailures[] = {ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded, ErrorCode::kResourceExhausted};
    int well = 0, permitted = 0;
    for (auto& [id, target] : world.by_id) {
      if (random() % 2 == 0) target->failure = kFailures[random() % 3];
      target->deltas = target->failure ? static_cast<int>(random() % 5 == 0) : 1;
      if (forbidden.contains(id)) continue;
      ++permitted;
      well += !target->failure;
    }
    const Heard heard = ask(generator);
    int asked = 0;
    for (auto& [id, target] : world.by_id) {
      ASSERT_LE(target->asked, 1);
      ASSERT_TRUE(target->asked == 0 || !forbidden.contains(id));
      asked += target->asked;
    }
    ASSERT_LE(asked, route.attempts);
    ASSERT_LE(heard.pieces.size(), 1U) << "pieces of two answers";
    if (permitted == 0) {
      ASSERT_EQ(heard.outcome.error().code, ErrorCode::kPermissionDenied);
    }
    if (heard.outcome) {
      ASSERT_FALSE(forbidden.contains(heard.outcome->target));
    } else {
      ASSERT_TRUE(well == 0 || asked == route.attempts);
    }
  }
}

// A prompt that is classed restricted, by a rule, never goes to a target that is not on the premises: in no order, not to fall back, to try again, to hedge,
// to mirror, or as a canary.
TEST(RoutedGeneratorTest, RestrictedPromptsStayOnThePremises) {
  const auto access = governance::access_for_tests(STOA_SOURCE_DIR);
  std::mt19937 random(5);
  int answered = 0, asked_outside = 0;
  for (int round = 0; round < 400; ++round) {
    ScriptedTargets world;
    MirrorPool pool({.health = world.health});
    Route route;
    route.choose = static_cast<Route::Choice>(random() % 5);
    route.attempts = 1 + static_cast<int>(random() % 8);
    route.retries = static_cast<int>(random() % 16 == 0);
    const auto name = [&](std::size_t i) { return fmt::format("{}{}", random() % 2 == 0 ? "home" : "away", i); };
    for (std::size_t i = 0, count = 1 + random() % 4; i < count; ++i) route.targets.push_back({"p", name(i)});
    for (std::size_t i = 10, count = random() % 4; i < 10 + count; ++i) route.fallback.push_back({"p", name(i)});
    if (random() % 2 == 0) route.mirror = RouteMirror{.target = {"p", name(20)}};
    if (random() % 8 == 0) route.hedge = RouteHedge{.after = milliseconds(1), .percent = 100};
    const auto rule = [&](std::string_view when, RouteRule::Effect effect, TargetSelector selector) {
      route.rules.push_back({.when = *RuleCondition::parse(when, "rule"), .effect = effect, .targets = {std::move(selector)}, .because = "it stays in the house"});
    };
    if (random() % 2 == 0) rule("context.tokens > 0", RouteRule::Effect::kPrefer, {TargetSelector::Kind::kRegion, "us"});
    rule(R"(context.data_class == "restricted")", RouteRule::Effect::kOnly, {TargetSelector::Kind::kOnPrem, {}});
    RoutedGenerator generator(world.parts(route, {.access = access.get(), .mirrors = &pool}));
    for (auto& [id, target] : world.by_id) {
      if (random() % 2 == 0) target->failure = kDown;
      target->deltas = target->failure ? static_cast<int>(random() % 3 == 0) : 1;
      if (route.hedge) target->silence_ms = static_cast<int>(random() % 4);
    }
    Call call = call_of("ann");
    const int kind = static_cast<int>(random() % 3);  // nothing said: not known, which is as if it were restricted
    if (kind > 0) call.origin.data_class = kind == 1 ? "restricted" : "public";
    const Heard heard = ask(generator, call, random() % 2 == 0);
    answered += heard.outcome && heard.outcome->finish == FinishReason::kStop;
    for (auto& [id, target] : world.by_id) {
      if (id.starts_with("p/home")) continue;
      asked_outside += target->asked;
      ASSERT_TRUE(kind == 2 || target->asked == 0) << id;
    }
    if (!heard.outcome && heard.outcome.error().code == ErrorCode::kPermissionDenied) {
      ASSERT_NE(heard.outcome.error().message.find("it stays in the house"), std::string::npos);
    }
  }
  EXPECT_GT(answered, 80);
  EXPECT_GT(asked_outside, 30);
}

}  // namespace
}  // namespace stoa::gateway
