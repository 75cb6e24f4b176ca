// What governance adds to a request. One server over real loopback HTTP answers two routes with the same handler: a bare one, and one behind the
// pipeline (identity, decision, reservation and settlement, audit, event). A client on one connection asks both in turn; the difference of
// their times is what is added. Then the parts alone, in this process. Prints one JSON object.
//
// --keys, --rules and --entries make the installation as large as asked for before it measures: keys are used at random, the policies apply to the
// action, and the audit log is a true tree in a store of that many entries, made once in --home and used again.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/id.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/scheduling.h"
#include "feedback/telemetry/request_metrics.h"
#include "feedback/traces/trace_store.h"
#include "gateway/api/admin/request_observer.h"
#include "gateway/api/pipeline.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/cost/ledger.h"
#include "governance/identity/authenticator.h"
#include "governance/identity/identity.h"
#include "governance/protection/sealer.h"
#include "infra/crypto/hash.h"
#include "infra/http/server.h"
#include "infra/journal/write_behind.h"
#include "infra/keys/file/file.h"
#include "infra/sql/sqlite/sqlite.h"

namespace {

using namespace stoa;
using Steady = std::chrono::steady_clock;

// A bench has nobody to return an error to.
template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "{}\n", result.error().message);
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

double micros(Steady::time_point from) { return std::chrono::duration<double, std::micro>(Steady::now() - from).count(); }

double at(std::vector<double>& times, double share) {
  const auto place = times.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), place, times.end());
  return *place;
}

struct Options {
  std::string home, roles;
  int requests = 5000, parts = 20'000, keys = 1, rules = 0;
  std::int64_t entries = 0;
  bool strange_keys = false;
};

// ---- The installation

constexpr Micros kFirst = 1'760'000'000'000'000;  // time of the first entry of the audit log that is made; one every millisecond

constexpr std::string_view kPrices = "currency: USD\nas_of: \"2026-01-01\"\nsource: bench\nprices:\n  - {model: bench, per_compute_second: 1000}\n";

// Rules of other tenants, groups and data classes, as an installation with many tenants has them.
std::string rule(int i) {
  switch (i % 5) {
    case 0: return fmt::format("policy \"p{0}\" {{ forbid document.read, model.use when principal.tenant == \"t{1}\" and exists resource.class and resource.class == \"c{2}\" }}\n", i, i % 997, i % 31);
    case 1: return fmt::format("policy \"p{0}\" {{ permit dataset.* when principal.groups has \"g{1}\" and context.hour >= 7 and context.hour < 19 }}\n", i, i);
    case 2: return fmt::format("boundary \"p{0}\" {{ for principal.groups has \"contractors{1}\" at most model.use, document.read }}\n", i, i);
    case 3: return fmt::format("policy \"p{0}\" {{ permit * when principal.user == \"u{0}\" and context.address within \"10.{1}.0.0/16\" }}\n", i, i % 256);
    default: return fmt::format("policy \"p{0}\" {{ forbid * when principal.id in [\"a{0}\", \"b{0}\"] or principal.id == \"c{0}\" }}\n", i);
  }
}

struct World {
  std::unique_ptr<infra::SqlDatabase> database;
  std::unique_ptr<infra::WriteBehind> behind;
  std::unique_ptr<governance::AuditLog> audit;
  std::unique_ptr<governance::Access> access;
  std::unique_ptr<governance::Identity> identity;
  std::unique_ptr<feedback::RequestMetrics> request_metrics;
  governance::PriceBook prices = must(governance::PriceBook::parse(kPrices, "bench"));
  std::unique_ptr<governance::Ledger> ledger;
  Metrics metrics;
  std::unique_ptr<infra::KeyManagement> master;
  std::unique_ptr<governance::Sealer> sealer;
  std::unique_ptr<feedback::TraceStore> traces;
  std::vector<std::string> keys;

  ~World() {
    if (behind) behind->stop();
  }
};

// Entries in batches, without the indexes over them, which are made again at the end: the same rows and the same tree as ever.
void grow_audit(World& world, std::int64_t entries) {
  std::int64_t size = must(world.audit->tree()).size;
  if (size >= entries) return;
  std::vector<std::string> indexes;
  for (const auto& row : must(world.database->query("SELECT sql, name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'audit_log' AND sql IS NOT NULL"))) {
    indexes.push_back(must(row.get<std::string>(0)));
    must(world.database->execute(fmt::format("DROP INDEX {}", must(row.get<std::string>(1)))));
  }
  std::mt19937_64 random(1);
  while (size < entries) {
    const std::int64_t until = std::min(entries, size + 50'000);
    must(world.database->transaction([&](infra::SqlTransaction& transaction) -> Status {
      for (; size < until; ++size) {
        governance::AuditEntry entry;
        entry.time = kFirst + size * 1000;
        entry.principal = fmt::format("user_{}", random() % 100'000);
        entry.tenant = fmt::format("tenant_{}", random() % 100);
        entry.project = fmt::format("proj_{}", random() % 1000);
        entry.action = random() % 3 == 0 ? "document.read" : "model.use";
        entry.resource = random() % 10 == 0 ? fmt::format("GET /v1/files/file_{}", random() % 1'000'000) : std::string("POST /v1/responses");
        entry.request_id = fmt::format("req_{:026}", size);
        entry.trace_id = fmt::format("{:016x}{:016x}", random(), random());
        entry.key = fmt::format("key_{}", random() % 100'000);
        entry.rule = "role developer";
        STOA_CHECK(world.audit->append(transaction, std::move(entry)));
      }
      return {};
    }));
    if (size % 1'000'000 == 0) fmt::print(stderr, "{} audit entries\n", size);
  }
  for (const auto& index : indexes) must(world.database->execute(index));
}

const Bytes& server_secret() {
  static const Bytes secret(32, std::byte{7});
  return secret;
}

// The same keys in every run, written as issue_key() writes them but in one transaction.
void make_keys(World& world, int count, const std::string& project) {
  must(world.database->transaction([&](infra::SqlTransaction& transaction) -> Status {
    for (int i = 0; i < count; ++i) {
      const std::string prefix = fmt::format("{:016x}", i);
      const std::string& key = world.keys.emplace_back(fmt::format("sk-stoa-{}-{}", prefix, infra::sha256_hex(prefix)));
      const auto digest = infra::hmac_sha256(server_secret(), as_bytes(key));
      STOA_CHECK(transaction.execute("INSERT INTO api_keys (id, prefix, hash, project, label, role, created) VALUES (?, ?, ?, ?, 'bench', 'developer', 0) ON CONFLICT DO NOTHING",
                                     {fmt::format("key_{:026}", i), prefix, Bytes(digest.begin(), digest.end()), project}));
    }
    return {};
  }));
}

void open_world(World& world, const Options& options) {
  const std::filesystem::path home = options.home;
  std::filesystem::create_directories(home);
  world.database = must(infra::open_sqlite(home / "stoa.db"));
  world.behind = must(infra::WriteBehind::open(*world.database, home / "journal"));
  world.audit = must(governance::AuditLog::open(*world.database, Clock::system(), world.behind.get()));
  std::vector<governance::PolicyFile> files;
  files.push_back(must(governance::read_policies(options.roles)));
  std::string rules;
  for (int i = 0; i < options.rules; ++i) rules += rule(i);
  if (!rules.empty()) files.push_back(must(governance::parse_policies(rules, "bench")));
  world.access = must(governance::Access::with_policies(std::move(files)));
  world.identity = must(governance::Identity::open(*world.database, *world.audit, *world.access, server_secret(), Clock::system(), world.behind.get()));
  world.ledger = must(governance::Ledger::open(*world.database, world.prices, Clock::system(), world.behind.get()));
  world.master = must(infra::open_file_keys(home / "keys", true));
  world.sealer = must(governance::Sealer::open(*world.database, *world.master));
  world.traces = must(feedback::TraceStore::open(*world.database, *world.sealer, world.metrics));
  world.request_metrics = std::make_unique<feedback::RequestMetrics>(world.metrics);
  must(world.behind->start());
  must(world.identity->ensure_default());
  make_keys(world, options.keys, must(world.identity->local_operator()).project);
  must(world.ledger->set_budget(must(world.identity->authenticate(world.keys.front())).project, governance::Money{1} << 60));
  grow_audit(world, options.entries);
  if (!options.strange_keys) must(world.identity->remember_keys());  // as a server does when it starts
}

// ---- End to end

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::exit(2);
  }
  ~Client() { ::close(socket_); }

  // Microseconds from the request's first byte to the answer's last.
  double ask(std::string_view path, std::string_view key) {
    const std::string request = fmt::format("GET {} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n", path, key);
    const auto begin = Steady::now();
    if (::write(socket_, request.data(), request.size()) != static_cast<ssize_t>(request.size())) std::exit(2);
    answer_.clear();
    while (!whole()) {
      char piece[4096];
      const ssize_t got = ::read(socket_, piece, sizeof piece);
      if (got <= 0) std::exit(2);
      answer_.append(piece, static_cast<std::size_t>(got));
    }
    const double time = micros(begin);
    if (!answer_.starts_with("HTTP/1.1 200")) {
      fmt::print(stderr, "{}\n", answer_);
      std::exit(2);
    }
    return time;
  }

 private:
  bool whole() const {
    const auto end = answer_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    std::string head = answer_.substr(0, end);
    std::ranges::transform(head, head.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    constexpr std::string_view kLength = "content-length: ";
    std::size_t length = 0;
    if (const auto place = head.find(kLength); place != std::string::npos) std::from_chars(head.data() + place + kLength.size(), head.data() + head.size(), length);
    return answer_.size() >= end + 4 + length;
  }
  const int socket_;
  std::string answer_;
};

infra::HttpResponse answer() {
  infra::HttpResponse response;
  response.headers.set("content-type", "application/json");
  response.body = "{\"ok\":true}";
  return response;
}

// When the answer was handed over.
class TimedResponder final : public infra::MemoryResponder {
 public:
  void send(infra::HttpResponse response) override {
    sent = Steady::now();
    MemoryResponder::send(std::move(response));
  }
  Steady::time_point sent;
};

// The same without HTTP: from the handler's beginning to its answer, and to its end (what follows the answer may delay the next one on a busy machine).
void measure_path(const infra::Router& router, const World& world, int times, JsonObject& out) {
  std::mt19937 random(4);
  std::vector<double> answer, end;
  for (int i = 0; i < times; ++i) {
    infra::HttpRequest request;
    request.method = "GET";
    request.path = "/governed";
    request.peer = "127.0.0.1:40000";
    request.headers.set("authorization", "Bearer " + world.keys[random() % world.keys.size()]);
    TimedResponder responder;
    const auto begin = Steady::now();
    router.dispatch(std::move(request), responder);
    end.push_back(micros(begin));
    answer.push_back(std::chrono::duration<double, std::micro>(responder.sent - begin).count());
  }
  for (const double share : {0.5, 0.99}) {
    out[fmt::format("path_p{:.0f}", share * 100)] = at(answer, share);
    out[fmt::format("path_end_p{:.0f}", share * 100)] = at(end, share);
  }
}

void measure_requests(World& world, const Options& options, JsonObject& out) {
  const governance::Authenticator authenticator(*world.identity);
  gateway::Pipeline pipeline({*world.access, authenticator, *world.audit, *world.ledger, world.metrics, gateway::admin::observe_requests(*world.request_metrics, *world.traces, "USD"), Clock::system(), std::chrono::minutes(10), nullptr, nullptr, nullptr, world.behind.get()});
  infra::Router router;
  must(router.add("GET", "/bare", [](const infra::HttpRequest&, infra::Responder& responder) { responder.send(answer()); }));
  const auto error_body = [](const Error& error, std::string_view) {
    infra::HttpResponse response;
    response.status = 500;
    response.body = error.message;
    return response;
  };
  must(pipeline.route(router, "GET", "/governed", governance::Action::kModelUse, "model", error_body, [](gateway::RequestScope& scope) -> Result<std::optional<infra::HttpResponse>> {
    STOA_CHECK(scope.reserve("chat", "bench", {.compute_micros = 100}));
    STOA_CHECK(scope.settle({.prompt_tokens = 10, .completion_tokens = 10, .compute_micros = 50}));
    return answer();
  }));
  const auto server = must(infra::HttpServer::start({}, std::move(router)));
  measure_path(server->router(), world, options.parts, out);
  Client client(server->port());
  std::mt19937 random(2);
  const auto key = [&]() -> const std::string& { return world.keys[random() % world.keys.size()]; };
  for (int i = 0; i < 500; ++i) client.ask(i % 2 == 0 ? "/bare" : "/governed", key());
  std::vector<double> bare, governed;
  for (int i = 0; i < options.requests; ++i) {
    bare.push_back(client.ask("/bare", key()));
    governed.push_back(client.ask("/governed", key()));
  }
  out["bare_p50"] = at(bare, 0.5);
  out["bare_p99"] = at(bare, 0.99);
  out["governed_p50"] = at(governed, 0.5);
  out["governed_p99"] = at(governed, 0.99);
}

// ---- The parts

template <class Work>
void measure_part(std::string_view name, int times, const Work& work, JsonObject& out) {
  std::vector<double> each;
  each.reserve(static_cast<std::size_t>(times));
  for (int i = 0; i < times; ++i) {
    const auto begin = Steady::now();
    work();
    each.push_back(micros(begin));
  }
  out[fmt::format("{}_p50", name)] = at(each, 0.5);
  out[fmt::format("{}_p99", name)] = at(each, 0.99);
}

void measure_parts(World& world, const Options& options, JsonObject& out) {
  std::mt19937 random(3);
  Call call = Call::of(must(world.identity->authenticate(world.keys.front())));
  call.origin.address = "127.0.0.1";
  const auto model = governance::Resource::of(call.principal, "model");
  measure_part("identity", options.parts, [&] { must(world.identity->authenticate(world.keys[random() % world.keys.size()])); }, out);
  measure_part("decision", options.parts, [&] { must(world.access->check(call, governance::Action::kModelUse, model)); }, out);
  measure_part("limits", options.parts, [&] {
    call.request_id = new_id("req");
    auto reservation = must(world.ledger->reserve(call, "chat", "bench", 1));
    must(world.ledger->settle(reservation, {.compute_micros = 1}));
  }, out);
  measure_part("audit", options.parts, [&] {
    auto entry = governance::AuditEntry::of(call, "model.use", "POST /v1/responses");
    entry.rule = "role developer";
    must(world.audit->append(std::move(entry)));
  }, out);
  // What an auditor asks, of a log of this size.
  const auto ask = [&](std::string_view name, const std::function<governance::AuditQuery()>& query) {
    measure_part(name, 50, [&] { must(world.audit->query(query())); }, out);
  };
  const auto tenant = [&] { return fmt::format("tenant_{}", random() % 100); };
  ask("by_principal", [&] { return governance::AuditQuery{.tenant = tenant(), .principal = fmt::format("user_{}", random() % 100'000)}; });
  ask("by_resource", [&] { return governance::AuditQuery{.tenant = tenant(), .resource = fmt::format("GET /v1/files/file_{}", random() % 1'000'000)}; });
  ask("by_action", [&] { return governance::AuditQuery{.tenant = tenant(), .action = "document.read", .after = static_cast<std::int64_t>(random() % 1'000'000)}; });
  ask("by_trace", [&] { return governance::AuditQuery{.tenant = tenant(), .trace_id = fmt::format("{:032x}", random())}; });
  ask("by_time", [&] {
    const Micros from = kFirst + static_cast<Micros>(random() % 9'000'000) * 1000;
    return governance::AuditQuery{.tenant = tenant(), .from = from, .until = from + 3'600'000'000};
  });
}

}  // namespace

int main(int argc, char** argv) {
  run_promptly("client");  // the client stands for many on other machines
  Options options;
  CLI::App app("What governance adds to a request");
  app.add_option("--home", options.home, "Folder of the installation that is made and measured")->required();
  app.add_option("--roles", options.roles, "share/roles.policy")->required();
  app.add_option("--requests", options.requests, "Requests to each of the two routes")->check(CLI::Range(100, 1'000'000));
  app.add_option("--parts", options.parts, "Calls of each part")->check(CLI::Range(100, 1'000'000));
  app.add_option("--keys", options.keys, "API keys, used at random")->check(CLI::Range(1, 1'000'000));
  app.add_option("--rules", options.rules, "Policies besides the roles")->check(CLI::Range(0, 100'000));
  app.add_option("--entries", options.entries, "Entries of the audit log")->check(CLI::Range(0, 100'000'000));
  app.add_flag("--strange-keys", options.strange_keys, "Know no key when it begins: the first use of each is looked up in the store");
  CLI11_PARSE(app, argc, argv);
  World world;
  open_world(world, options);
  JsonObject out;
  measure_requests(world, options, out);
  measure_parts(world, options, out);
  fmt::print("{}\n", dump_json(out));
  return 0;
}
