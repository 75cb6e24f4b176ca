// Responses that are made while nobody waits for them: queued, run in the name of who asked, followed as they come, cancelled. Their events are kept, sealed, so that a
// stream that broke can be taken up where it was.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "gateway/api/openai/response_store.h"
#include "gateway/api/pipeline.h"
#include "governance/cost/ledger.h"
#include "governance/protection/sealed_table.h"
#include "governance/protection/sealer.h"
#include "infra/http/router.h"
#include "infra/sql/sql.h"

namespace stoa::gateway::openai {

struct BackgroundParts {
  const Pipeline& pipeline;
  const infra::Router& router;
  ResponseStore& responses;
  infra::SqlDatabase& sql;
  governance::Sealer& sealer;
  governance::Ledger& ledger;
  // Who asked, as they are now. kUnauthenticated when nobody can act in their name any more.
  std::function<Result<Principal>(const std::string& owner, const std::string& key)> holder;
  // kPermissionDenied for those who cannot be found again later.
  std::function<Status(const Principal&)> may_ask;
};

// Thread-safe. Whose a response is, ResponseStore says: callers of what takes an id alone have found it there. What it refers to outlives it.
class BackgroundResponses {
 public:
  static constexpr int kWorkers = 8;                            // responses made at a time
  static constexpr std::size_t kMostWaiting = 256, kMostOfProject = 64;
  static constexpr std::size_t kMostEventBytes = 16u << 20;     // of one response; one with more can be polled, and not followed to its end

  explicit BackgroundResponses(BackgroundParts parts) : parts_(std::move(parts)) {}
  ~BackgroundResponses() { stop(milliseconds(0)); }
  Status open();  // brings the table up to date
  static governance::SealedTable sealed_table();

  // Takes up what waited when the server ended; what ran then has failed, and says so.
  Status start();
  // What runs has `drain` to end, then it fails.
  void stop(milliseconds drain);

  // `queued` is stored as it is shown; `body` is the request. kResourceExhausted when too many wait; kUnsupported where the project keeps no responses.
  Status begin(const Call& call, const StoredResponse& queued, std::string body);
  // Asks it to end, and waits a while until it has. Nothing when it has ended already.
  void cancel(const std::string& id);
  bool runs(const std::string& id);

  // Events from number `from` on, each as text of its stream; waits up to `wait` for the first. `ended`: no further ones follow these.
  struct Followed {
    std::vector<std::string> events;
    bool ended = false;
  };
  Result<Followed> follow(const Principal& principal, const std::string& id, std::size_t from, milliseconds wait);
  Status remove(const std::string& id);

 private:
  enum class State : std::uint8_t { kQueued, kRunning, kEnded };
  struct Live;
  struct Row {
    std::string id, tenant, project, owner, key, request;
    State state = State::kQueued;
    std::string body, origin, events;
  };
  class Sink;

  void work();
  void run(Live& live);
  Status attempt(Live& live, const Row& row);
  Result<Row> load(const std::string& id);
  Status save(const Row& row);
  Status end(const Row& row, std::string_view status, std::string_view message);
  Status end_old(const Row& row);
  std::shared_ptr<Live> find(const std::string& id);

  const BackgroundParts parts_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  bool running_ = false;
  int working_ = 0;
  std::deque<std::shared_ptr<Live>> waiting_;
  std::map<std::string, std::shared_ptr<Live>> live_;  // waiting or running
  std::vector<std::thread> threads_;
};

}  // namespace stoa::gateway::openai
