// Prints what a decision costs, of the policies alone and through Access::check (walls, scopes, the reason in words, and the permit besides): p50, p99 and the worst of many random requests, each timed by itself, for sets of rules of
// several shapes, and how long reading and compiling them takes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "governance/access/access.h"

namespace {

using namespace stoa::governance;
using Clock = std::chrono::steady_clock;

double micros(Clock::time_point from) { return std::chrono::duration<double, std::micro>(Clock::now() - from).count(); }

constexpr std::string_view kRoles = "role \"developer\" { model.list, model.use, document.read }\n";

// A rule of an installation with many tenants, groups and data classes.
std::string mixed_rule(int i) {
  switch (i % 5) {
    case 0: return fmt::format("policy \"p{0}\" {{ forbid document.read, model.use when principal.tenant == \"t{1}\" and exists resource.class and resource.class == \"c{2}\" }}\n", i, i % 997, i % 31);
    case 1: return fmt::format("policy \"p{0}\" {{ permit dataset.* when principal.groups has \"g{1}\" and context.hour >= 7 and context.hour < 19 }}\n", i, i);
    case 2: return fmt::format("boundary \"p{0}\" {{ for principal.groups has \"contractors{1}\" at most model.use, document.read }}\n", i, i);
    case 3: return fmt::format("policy \"p{0}\" {{ permit * when principal.user == \"u{0}\" and context.address within \"10.{1}.0.0/16\" }}\n", i, i % 256);
    default: return fmt::format("policy \"p{0}\" {{ forbid * when principal.id in [\"a{0}\", \"b{0}\"] or principal.id == \"c{0}\" }}\n", i);
  }
}
std::string tenant_rule(int i) { return fmt::format("policy \"p{0}\" {{ forbid * when principal.tenant == \"t{1}\" and resource.class == \"secret{0}\" }}\n", i, i % 100); }
// Nothing that an index could use, and never true: every rule is looked at.
std::string scan_rule(int i) { return fmt::format("policy \"p{0}\" {{ forbid * when context.hour > 23 and resource.name like \"x*{0}\" }}\n", i); }

struct Shape {
  const char* name;
  std::string (*rule)(int);
};
const Shape kShapes[] = {{"mixed", mixed_rule}, {"100 tenants share them", tenant_rule}, {"no index helps", scan_rule}};

void print_times(std::string_view name, int rules, std::vector<double>& times, std::size_t permitted, double load) {
  std::ranges::sort(times);
  const auto at = [&](double share) { return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))]; };
  fmt::print("{:<38} {:>6} rules: p50 {:>7.2f} us  p99 {:>7.2f} us  p99.9 {:>7.2f} us  permitted {:>4.1f} %  read and compiled in {:.0f} ms\n", name, rules, at(0.5), at(0.99), at(0.999),
             100.0 * static_cast<double>(permitted) / static_cast<double>(times.size()), load);
}

void measure(const Shape& shape, int rules, int requests) {
  std::string text(kRoles);
  for (int i = 0; i < rules; ++i) text += shape.rule(i);
  const auto begin = Clock::now();
  auto file = parse_policies(text, "bench");
  if (!file) return static_cast<void>(std::fprintf(stderr, "%s\n", file.error().message.c_str()));
  auto set = PolicySet::compile({std::move(*file)});
  if (!set) return static_cast<void>(std::fprintf(stderr, "%s\n", set.error().message.c_str()));
  const double load = micros(begin) / 1000;
  std::mt19937 random(1);
  const auto number = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); };
  constexpr Action kActions[] = {Action::kModelUse, Action::kDocumentRead, Action::kDatasetWrite, Action::kUsageRead};
  std::vector<double> times, checked;
  std::size_t permitted = 0, allowed = 0;
  PolicyState state;
  state.installation = std::make_shared<const PolicySet>(std::move(*set));
  const auto& policies = *state.installation;
  const Access access(state);
  for (int i = 0; i < requests; ++i) {
    const std::string id = fmt::format("a{}", number(2 * rules)), user = fmt::format("u{}", number(2 * rules)), tenant = fmt::format("t{}", number(1000));
    const std::string data_class = fmt::format("c{}", number(31)), name = fmt::format("document doc_{}", i), address = fmt::format("10.{}.1.2", number(256));
    std::vector<std::string> groups;
    for (int g = number(20); g >= 0; --g) groups.push_back(fmt::format("g{}", number(rules)));
    const auto start = Clock::now();
    PolicyRequest request(kActions[number(4)]);
    request.set_text(Attribute::kPrincipalId, id);
    request.set_text(Attribute::kPrincipalUser, user);
    request.set_text(Attribute::kPrincipalTenant, tenant);
    request.set_text(Attribute::kPrincipalRole, "developer");
    request.set_list(Attribute::kPrincipalGroups, groups);
    request.set_text(Attribute::kResourceClass, data_class);
    request.set_text(Attribute::kResourceName, name);
    request.set_text(Attribute::kContextAddress, address);
    request.set_integer(Attribute::kContextHour, i % 24);
    permitted += policies.decide(request).allowed;
    times.push_back(micros(start));

    stoa::Call call;
    call.principal = {.id = id, .tenant = tenant, .project = "proj_1", .user = user, .groups = groups, .role = "developer"};
    call.origin = {.address = address, .tls = true, .purpose = {}};
    Resource resource = Resource::of(call.principal, "document", name);
    resource.data_class = data_class;
    const auto begun = Clock::now();
    const auto permit = access.check(call, request.action(), resource);
    checked.push_back(micros(begun));
    allowed += permit.has_value();
  }
  print_times(shape.name, rules, times, permitted, load);
  print_times(fmt::format("{}, Access::check", shape.name), rules, checked, allowed, load);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a decision of the policies costs");
  int requests = 100'000;
  std::vector<int> rules{100, 1000, 10'000};
  app.add_option("--requests", requests, "Random requests for each set")->check(CLI::Range(100, 10'000'000));
  app.add_option("--rules", rules, "Sizes of the sets");
  CLI11_PARSE(app, argc, argv);
  for (const auto& shape : kShapes)
    for (const int count : rules) measure(shape, count, requests);
  return 0;
}
