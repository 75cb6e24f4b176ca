// The path of every request, once, for every dialect: authenticate, decide, reserve, work, settle, record, answer. What is recorded is an entry
// of the audit log and, of an answer, its record for the passport; metrics and trace come last.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "contracts/cache_note.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "contracts/retrieval.h"
#include "gateway/api/auth_backoff.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/audit/strangers.h"
#include "governance/cost/ledger.h"
#include "governance/limits/limits.h"
#include "governance/passport/passport_store.h"
#include "infra/http/router.h"
#include "infra/journal/group.h"

namespace stoa::governance {
class Authenticator;
}
namespace stoa::infra {
class WriteBehind;
}

namespace stoa::gateway {

// What is known of a request when it has ended: the source of its record, its stored trace and the metrics.
struct FinishedRequest {
  std::string request_id, method, route;
  Principal principal;          // default-constructed when authentication failed
  int status = 0;               // of the response; 200 for a stream that failed later, then `error` says why
  std::optional<Error> error;
  std::string kind, model;      // of the work that was settled; may be empty
  Usage usage;
  governance::Money cost = 0;
  std::string answer_id;        // "chatcmpl_...", "resp_..."; what ratings refer to
  std::string input, output;    // the question and the answer, for ratings and for traces that keep content; may be empty
  Micros started = 0;
  std::int64_t duration_micros = 0;
};

// Called after the response is out, on the handler's thread. The trace's spans are complete, and may be taken.
using RequestObserver = std::function<void(const FinishedRequest&, Trace&)>;
// An error of a request as the body of one dialect. The pipeline adds the headers that all responses carry.
using ErrorBody = std::function<infra::HttpResponse(const Error&, std::string_view request_id)>;

// A request that comes from inside: a job's, in the name of a principal that the job has found and whose rights count. It needs no credential; in all
// else it is a request as those that came over HTTP.
struct InsideRequest {
  Call call;  // id, principal, deadline, cancellation and origin; a request of the same id that was settled before is not run again. The trace is its own
  // Takes the whole response before the request is recorded and what it cost is settled, so that nothing is paid whose answer is lost. An error
  // means that nothing is recorded. May be empty; not called for streams.
  std::function<Status(const infra::HttpResponse&)> keep{};
  std::string answer_id{};  // of the answer that it is to make, which somebody asked for at `asked`; empty: it makes its own
  Micros asked = 0;
};

// A search as the audit log tells of it.
struct SearchNote {
  std::string query;                         // what was looked for, one phrasing a line; only its digest is kept
  std::string_view mode;
  std::span<const std::string> collections;
  std::span<const Passage> passages{};       // found
  const Error* refused = nullptr;            // null: it was done
};

// One request on its way. Made by Pipeline; lives on the handler's stack.
class RequestScope {
 public:
  const infra::HttpRequest& request() const { return request_; }
  const Call& call() const { return call_; }
  const Principal& principal() const { return call_.principal; }
  const Trace& trace() const { return trace_; }
  const CacheUse& cache() const { return cache_use_; }
  Micros started() const { return finished_.started; }
  const InsideRequest* inside() const { return inside_; }  // null: it came over HTTP

  // Decides on something beyond the route's own action.
  Result<governance::Permit> allow(governance::Action action, const governance::Resource& resource);
  // What allow() would say, for choosing what to ask for.
  bool may(governance::Action action, const governance::Resource& resource) const;

  // Takes what `estimate` would use from the caller's limits, and sets aside what it would cost; kResourceExhausted when a limit or the budget does not hold it. One reservation at a time. `targets`: what may do the
  // work in the model's place, if anything; the dearest of them counts.
  Status reserve(std::string_view kind, std::string_view model, const Usage& estimate, std::span<const std::string> targets = {});
  // Writes the usage row and gives the cost, also for work that ended early: what was computed is paid.
  // `target`: which of the targets did it; empty: the model that was named.
  // `cache`: it was not generated anew, and is priced as such. One settlement of a request; what others did for it is charged before.
  Result<governance::Money> settle(const Usage& usage, std::string_view target = {}, const CacheHit* cache = nullptr);
  // Writes the usage row of what another target did besides, whatever the budget says: it was done.
  Status charge(const ChatCharge& charge);

  void set_answer_id(std::string id) { finished_.answer_id = std::move(id); }
  // What is recorded of the answer, for its passport: routes that give answers note the model and the grounds; the rest comes from the scope.
  governance::AnswerRecord& answer();
  // How the record of the answer describes the target that settle() is told of.
  void describe_target(std::function<void(governance::AnswerModel& model, std::string_view target)> describe) { describe_target_ = std::move(describe); }
  void set_content(std::string input, std::string output);
  // An error that came after the stream began: recorded like one that came before.
  void set_error(const Error& error) { finished_.error = error; }
  governance::Money cost() const { return finished_.cost; }

  // Enters a search into the audit log, with the documents that its passages are of, or with why there are none. Before anything of it is shown, to the caller or to a
  // model: an error means that it is not recorded, and so must not be. Called by retrieve() (api/retrieval.h) for every search.
  Status record_search(const SearchNote& search);

  // Enters the request into the audit log, with what is recorded of its answer, with what is known by now, once; further calls say how that went. It is
  // kept before the last of the answer is out, so that no answer is missing in the audit log, whenever the server dies; an error means that it is not
  // recorded, and the answer must not go out as if it were. The pipeline does it for whole responses and end_stream for streams; one whose last
  // event says that it is complete, or that shows stored data as it goes, calls this before.
  Status conclude();

  // Streams. start_stream sends the status and the headers of all responses with content-type `type`; write is false when the
  // client has gone. end_stream closes properly, unless the request could not be recorded; a handler that returns an error without it has its connection cut instead.
  void start_stream(std::string_view type);
  bool write(std::string_view piece);
  void end_stream();
  bool streaming() const { return responder_.started(); }

 private:
  friend class Pipeline;
  RequestScope(const class Pipeline& pipeline, governance::Action action, const infra::HttpRequest& request, infra::Responder& responder, const InsideRequest* inside);
  void add_headers(infra::HttpHeaders& headers) const;
  Status keep_answer(governance::AuditEntry& entry);
  governance::AuditEntry entry() const;
  Result<governance::Money> settled(governance::Reservation& reservation, const Usage& usage);

  const Pipeline& pipeline_;
  const infra::HttpRequest& request_;
  infra::Responder& responder_;
  Trace trace_;
  CacheNote cache_;
  CacheUse cache_use_;       // as the caller says; tells `cache_`
  Call call_;
  FinishedRequest finished_;
  governance::AnswerRecord answer_;
  std::function<void(governance::AnswerModel&, std::string_view)> describe_target_;  // may be empty
  governance::LimitTicket limits_;
  governance::Reservation reservation_;
  governance::Money charged_ = 0;    // for what other targets did
  int charges_ = 0;
  infra::JournalGroup group_;        // what is recorded of the request, with one write
  governance::Action action_;
  const InsideRequest* const inside_;  // null: it came over HTTP
  SteadyTime start_;
  std::string rule_;                 // that allowed the route's action
  std::optional<Status> concluded_;  // how it went
};

// Returns the response, or an error that the dialect's ErrorBody words. A handler that streamed returns std::nullopt, and ends
// its stream itself in its dialect's way, errors included.
using ApiHandler = std::function<Result<std::optional<infra::HttpResponse>>(RequestScope&)>;

// Parts outlive the pipeline, and the pipeline the server. Thread-safe.
struct PipelineParts {
  const governance::Access& access;
  const governance::Authenticator& authenticator;
  governance::AuditLog& audit;
  governance::Ledger& ledger;
  Metrics& metrics;
  RequestObserver observer{};  // may be empty
  const Clock& clock = Clock::system();
  milliseconds timeout{600'000};  // of one request; the caller may ask for less
  governance::StrangerLog* strangers = nullptr;  // counts attempts without a credential that works; may be null
  AuthBackoff* backoff = nullptr;  // null: failed attempts cost no time
  governance::PassportStore* passports = nullptr;  // null: answers have none
  infra::WriteBehind* behind = nullptr;  // that audit, ledger and passports write to; null when they write at once
  governance::Limits* limits = nullptr;  // null: there are none
};

class Pipeline {
 public:
  explicit Pipeline(PipelineParts parts) : parts_(std::move(parts)) {}

  // Enters a request into the audit log, together with what is in `group` already; before the last of its answer is out. An error means that nothing
  // is recorded.
  Status record(governance::AuditEntry entry, infra::JournalGroup& group) const;

  milliseconds timeout() const { return parts_.timeout; }

  // Counts a request that was refused before anybody knew who asks, for the audit log.
  void count_stranger(std::string_view address, std::string_view resource, const Error& error) const;

  // Adds a route whose caller must be allowed `action` in its project. `resource` is the kind of thing ("document"), for the decision.
  Status route(infra::Router& router, std::string method, std::string pattern, governance::Action action, std::string resource,
               const ErrorBody& error_body, ApiHandler handler, infra::RouteOptions options = {}) const;

  // Runs one request from inside, on this thread, through the handler of its route in `router`. The error that keeping or recording it ended with;
  // then nothing of it is settled. kUnsupported for a route that was not added with route().
  Status run_inside(const infra::Router& router, infra::HttpRequest request, const InsideRequest& inside, infra::Responder& responder) const;

 private:
  friend class RequestScope;
  struct Endpoint {
    governance::Action action;
    std::string resource;
    ErrorBody error_body;
    ApiHandler handler;
    // Of the route, made by its first request: finding them by their labels takes longer than counting.
    struct Counted {
      std::mutex mutex;
      Histogram* seconds = nullptr;
      std::map<int, Counter*> statuses;
    };
    std::shared_ptr<Counted> counted = std::make_shared<Counted>();
  };
  // What the router calls; a type of its own, so that run_inside finds the endpoint behind a route.
  struct Handler {
    const Pipeline* pipeline;
    Endpoint endpoint;
    void operator()(const infra::HttpRequest& request, infra::Responder& responder) const { static_cast<void>(pipeline->run(endpoint, request, responder, nullptr)); }
  };
  Status run(const Endpoint& endpoint, const infra::HttpRequest& request, infra::Responder& responder, const InsideRequest* inside) const;
  Result<Principal> authenticate(const infra::HttpRequest& request) const;
  Status enter(RequestScope& scope) const;
  static governance::Resource thing_of(const Endpoint& endpoint, const RequestScope& scope);
  Result<std::optional<infra::HttpResponse>> attempt(const Endpoint& endpoint, RequestScope& scope) const;
  void finish(const Endpoint& endpoint, RequestScope& scope) const;
  void count(const Endpoint& endpoint, const FinishedRequest& finished) const;

  PipelineParts parts_;
};

// A route that nobody is asked for a key at: health, the console's files, links that carry their own proof. `reason` says why it may be so.
Status add_public_route(infra::Router& router, std::string method, std::string pattern, std::string_view reason, infra::HttpHandler handler,
                        infra::RouteOptions options = {});

struct RouteInfo {
  std::string method, pattern;
  std::string guard;  // the action that its callers must be allowed, or "public: why"
  bool open = false;  // public
};
// All routes of an assembled server. kInternal when one was added past both Pipeline::route and add_public_route: such a server must not start.
Result<std::vector<RouteInfo>> check_routes(const infra::Router& router);

// The deadline a caller sets for its request, in milliseconds from its arrival.
inline constexpr std::string_view kTimeoutHeader = "x-stoa-timeout-ms";
// What that header says, at most `most`, which is also what counts without it. kInvalidArgument when it is no positive number.
Result<milliseconds> requested_timeout(const infra::HttpRequest& request, milliseconds most);

// What the caller says the request is for: context.purpose of policies.
inline constexpr std::string_view kPurposeHeader = "x-stoa-purpose";
// What the caller says its content is (context.data_class): 1 to 64 lower-case letters, digits and ._-
inline constexpr std::string_view kDataClassHeader = "x-stoa-data-class";
// What its cost is booked under: "team=search,env=prod", at most 16. Keys and values are of 1 to 64 letters, digits and ._:/@-
inline constexpr std::string_view kTagsHeader = "x-stoa-tags";
// Where a request comes from, and what it says of itself. kInvalidArgument names the header that is not of its form; a purpose has at most 128 printable characters.
Result<Origin> origin_of(const infra::HttpRequest& request);

// The key or token of "Authorization: Bearer <key>" or of "x-api-key: <key>", as the Anthropic clients send it; both may be there when they hold the
// same. kUnauthenticated says what is missing.
Result<std::string> bearer_key(const infra::HttpRequest& request);

}  // namespace stoa::gateway
