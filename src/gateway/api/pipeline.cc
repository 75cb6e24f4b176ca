#include "gateway/api/pipeline.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/error_table.h"
#include "base/id.h"
#include "base/log.h"
#include "base/redact.h"
#include "gateway/api/cache_headers.h"
#include "gateway/api/limit_headers.h"
#include "governance/identity/authenticator.h"
#include "infra/journal/write_behind.h"

namespace stoa::gateway {
namespace {

constexpr std::size_t kMaxKey = governance::kMaxJwt;
constexpr std::string_view kKeyHeader = "x-api-key";
constexpr std::string_view kPublic = "public: ";
constexpr int kCrowdedRetry = 5;  // seconds
constexpr std::size_t kMostDecisions = 16;  // that an answer's record lists
constexpr std::string_view kRetrieve = "document.retrieve";  // in the audit log: text of documents was shown
const std::vector<double> kSeconds{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};

std::int64_t micros_since(SteadyTime start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
}

// Looking at what the server offers is told nobody, unless it is refused: consoles and probes do it all the time.
bool is_told(const FinishedRequest& finished, governance::Action action) {
  if (finished.principal.id.empty()) return false;  // strangers could fill the store: they are counted
  if (!finished.principal.elevation.empty()) return true;  // all that is done under break-glass access
  return finished.error || !finished.kind.empty() || (action != governance::Action::kModelList && action != governance::Action::kSystemRead);
}

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

Status read_data_class(std::string_view header, Origin& origin) {
  constexpr std::size_t kMost = 64;
  if (header.size() > kMost || header.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") != std::string_view::npos)
    return fail(error(ErrorCode::kInvalidArgument, "the header {} has to be at most {} lower-case letters, digits and ._-", kDataClassHeader, kMost).with_param(std::string(kDataClassHeader)));
  origin.data_class = header;
  return {};
}

Status read_tags(std::string_view header, Origin& origin) {
  constexpr std::size_t kMostTags = 16, kMostLetters = 64;
  const auto word = [&](std::string_view text) {
    return !text.empty() && text.size() <= kMostLetters && std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || std::string_view("._:/@-").contains(c); });
  };
  while (!header.empty()) {
    const auto comma = header.find(',');
    std::string_view tag = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
    tag.remove_prefix(std::min(tag.find_first_not_of(' '), tag.size()));
    while (tag.ends_with(' ')) tag.remove_suffix(1);
    const auto equals = tag.find('=');
    if (equals == std::string_view::npos || !word(tag.substr(0, equals)) || !word(tag.substr(equals + 1)) || origin.tags.size() == kMostTags)
      return fail(error(ErrorCode::kInvalidArgument, "the header {} has to be at most {} tags such as team=search,env=prod, each word of at most {} letters, digits and ._:/@-", kTagsHeader,
                        kMostTags, kMostLetters)
                      .with_param(std::string(kTagsHeader)));
    origin.tags.emplace_back(tag);
  }
  std::ranges::sort(origin.tags);
  origin.tags.erase(std::ranges::unique(origin.tags).begin(), origin.tags.end());
  return {};
}

// What the caller lets caches do (RFC 9111, as far as it is about kept answers at all).
CacheUse wanted_of_cache(const infra::HttpRequest& request) {
  const std::string_view header = request.headers.get("cache-control");
  const auto says = [&](std::string_view directive) {
    const auto found = std::ranges::search(header, directive, [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
    return !found.empty();
  };
  if (header.empty()) return {};
  const bool no_store = says("no-store");
  return {.read = !no_store && !says("no-cache"), .write = !no_store};
}

Result<std::string> checked_key(std::string_view key) {
  if (key.size() > kMaxKey) return fail(ErrorCode::kUnauthenticated, "the API key is longer than any key of this server");
  return std::string(key);
}

}  // namespace

Result<std::string> bearer_key(const infra::HttpRequest& request) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view header = request.headers.get("authorization"), bare = request.headers.get(kKeyHeader);
  if (header.empty() && bare.empty())
    return fail(error(ErrorCode::kUnauthenticated, "no API key was sent").with_hint("send it as 'Authorization: Bearer sk-stoa-...'"));
  if (header.empty()) return checked_key(bare);
  if (header.size() <= kScheme.size() || !infra::equals_ignoring_case(header.substr(0, kScheme.size()), kScheme))
    return fail(error(ErrorCode::kUnauthenticated, "the Authorization header is not of the form 'Bearer <key>'"));
  const std::string_view key = header.substr(kScheme.size());
  // Which of two a proxy in front has looked at is not known.
  if (!bare.empty() && bare != key) return fail(ErrorCode::kUnauthenticated, "the headers Authorization and {} hold different keys", kKeyHeader);
  return checked_key(key);
}

Result<Origin> origin_of(const infra::HttpRequest& request) {
  constexpr std::size_t kMostPurpose = 128;
  Origin origin;
  const std::string_view peer = request.peer;
  std::string_view address = peer.substr(0, peer.rfind(':'));  // "127.0.0.1:40222", "[::1]:40222"
  if (address.starts_with('[') && address.ends_with(']')) address = address.substr(1, address.size() - 2);
  origin.address = address;
  origin.tls = request.tls;
  origin.purpose = request.headers.get(kPurposeHeader);
  const auto printable = [](unsigned char c) { return c >= 0x20 && c < 0x7f; };
  if (origin.purpose.size() > kMostPurpose || !std::ranges::all_of(origin.purpose, printable))
    return fail(error(ErrorCode::kInvalidArgument, "the header {} has to be at most {} printable ASCII characters", kPurposeHeader, kMostPurpose)
                    .with_param(std::string(kPurposeHeader)));
  STOA_CHECK(read_data_class(request.headers.get(kDataClassHeader), origin));
  STOA_CHECK(read_tags(request.headers.get(kTagsHeader), origin));
  return origin;
}

Result<milliseconds> requested_timeout(const infra::HttpRequest& request, milliseconds most) {
  const std::string_view header = request.headers.get(kTimeoutHeader);
  if (header.empty()) return most;
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(header.data(), header.data() + header.size(), value);
  if (code != std::errc() || end != header.data() + header.size() || value < 1)
    return fail(error(ErrorCode::kInvalidArgument, "the header {} is '{}', but has to be a number of milliseconds, at least 1", kTimeoutHeader, header.substr(0, 40))
                    .with_param(std::string(kTimeoutHeader)));
  return std::min(most, milliseconds(std::min<std::int64_t>(value, most.count())));
}

RequestScope::RequestScope(const Pipeline& pipeline, governance::Action action, const infra::HttpRequest& request, infra::Responder& responder, const InsideRequest* inside)
    : pipeline_(pipeline), request_(request), responder_(responder), trace_(Trace::new_trace_id(), pipeline.parts_.clock), action_(action), inside_(inside),
      start_(std::chrono::steady_clock::now()) {
  if (inside == nullptr) {
    call_.request_id = new_id("req");
    call_.deadline = Deadline::after(pipeline.parts_.timeout);
    call_.cancel = responder.cancelled();
  } else {
    call_ = inside->call;
  }
  call_.trace = &trace_;
  cache_use_ = wanted_of_cache(request);
  cache_use_.note = &cache_;
  finished_.request_id = call_.request_id;
  finished_.method = request.method;
  finished_.route = request.route;
  finished_.started = pipeline.parts_.clock.now();
}

Result<governance::Permit> RequestScope::allow(governance::Action action, const governance::Resource& resource) {
  auto permit = pipeline_.parts_.access.check(call_, action, resource);
  if (permit && answer_.decisions.size() < kMostDecisions)
    answer_.decisions.push_back({std::string(governance::action_name(action)), resource.text(), permit->decision().rule, permit->decision().where});
  return permit;
}

governance::AnswerRecord& RequestScope::answer() {
  if (answer_.salt.empty()) answer_.salt = governance::new_salt();
  return answer_;
}

bool RequestScope::may(governance::Action action, const governance::Resource& resource) const {
  return pipeline_.parts_.access.decide(call_, action, resource).allowed;
}

Status RequestScope::reserve(std::string_view kind, std::string_view model, const Usage& estimate, std::span<const std::string> targets) {
  Span span = call_.span("cost reserve");
  if (const auto* behind = pipeline_.parts_.behind; behind != nullptr && behind->crowded())  // what is done has to be recorded: refused before, not after
    return fail(error(ErrorCode::kUnavailable, "more is asked than this server can record").with_hint("try again in a few seconds").with_retry_after(kCrowdedRetry));
  governance::Money cost = 0;
  for (const std::string& target : targets) {
    STOA_TRY(one, pipeline_.parts_.ledger.prices().cost(target, estimate));
    cost = std::max(cost, one);
  }
  if (targets.empty()) {
    STOA_TRY(own, pipeline_.parts_.ledger.prices().cost(model, estimate));
    cost = own;
  }
  if (pipeline_.parts_.limits != nullptr) STOA_CHECK(pipeline_.parts_.limits->take(limits_, call_, model, estimate.prompt_tokens + estimate.completion_tokens, cost));
  STOA_TRY(reservation, pipeline_.parts_.ledger.reserve(call_, kind, model, cost));
  reservation_ = std::move(reservation);
  finished_.kind = kind;
  finished_.model = model;
  return {};
}

Result<governance::Money> RequestScope::settle(const Usage& usage, std::string_view target, const CacheHit* cache) {
  Span span = call_.span("cost settle");
  finished_.usage = usage;
  if (!target.empty()) {
    reservation_.done_by(std::string(target));
    finished_.model = target;
    if (describe_target_) describe_target_(answer().model, target);
  }
  if (cache != nullptr) reservation_.priced_as(governance::PriceClass::kCached);
  STOA_TRY(cost, settled(reservation_, usage));
  finished_.cost = cost + charged_;
  limits_.settle(usage.prompt_tokens + usage.completion_tokens, finished_.cost);
  return finished_.cost;
}

Status RequestScope::charge(const ChatCharge& charge) {
  STOA_TRY(reservation, pipeline_.parts_.ledger.reserve(call_, fmt::format("{}.{}{}", finished_.kind, charge.what, ++charges_), charge.target, 0));
  reservation.asked_for(finished_.model);
  STOA_TRY(cost, settled(reservation, charge.usage));
  charged_ += cost;
  return {};
}

// With the other records of the request, unless these are written already.
Result<governance::Money> RequestScope::settled(governance::Reservation& reservation, const Usage& usage) {
  return concluded_ ? pipeline_.parts_.ledger.settle(reservation, usage) : pipeline_.parts_.ledger.settle(reservation, usage, group_);
}

void RequestScope::set_content(std::string input, std::string output) {
  finished_.input = std::move(input);
  finished_.output = std::move(output);
}

void RequestScope::add_headers(infra::HttpHeaders& headers) const {
  headers.set("x-request-id", call_.request_id);
  headers.set("request-id", call_.request_id);  // as the Anthropic clients call it
  headers.set("x-stoa-trace-id", trace_.id());
  headers.set("openai-processing-ms", std::to_string(micros_since(start_) / 1000));
  if (finished_.cost > 0) headers.set("x-stoa-cost-micro-usd", std::to_string(finished_.cost));
  if (const auto cache = cache_.state()) add_cache_headers(headers, *cache);
  if (limits_.state()) add_limit_headers(headers, *limits_.state(), finished_.route, pipeline_.parts_.clock.now());
}

void RequestScope::start_stream(std::string_view type) {
  infra::HttpHeaders headers{{"content-type", std::string(type)}, {"cache-control", "no-cache"}, {"x-accel-buffering", "no"}};
  add_headers(headers);
  finished_.status = 200;
  responder_.start(finished_.status, std::move(headers));
}

bool RequestScope::write(std::string_view piece) { return responder_.write(piece); }
void RequestScope::end_stream() { conclude() ? responder_.finish() : responder_.abort(); }

// What is recorded of the answer, if there was one.
Status RequestScope::keep_answer(governance::AuditEntry& entry) {
  if (pipeline_.parts_.passports == nullptr || finished_.answer_id.empty() || finished_.kind.empty() || (finished_.error && !streaming())) return {};
  governance::AnswerRecord& record = answer();
  record.id = finished_.answer_id;
  record.kind = finished_.kind;
  record.request_id = finished_.request_id;
  record.trace_id = trace_.id();
  record.principal = call_.principal;
  record.address = call_.origin.address;
  record.purpose = call_.origin.purpose;
  record.usage = finished_.usage;
  record.cost = finished_.cost;
  record.currency = pipeline_.parts_.ledger.prices().currency();
  record.started = finished_.started;
  record.duration_micros = micros_since(start_);
  if (finished_.error) record.error = error_info(finished_.error->code).name;
  record.question = governance::salted_digest(record.salt, finished_.input);
  record.answer = governance::salted_digest(record.salt, finished_.output);
  return pipeline_.parts_.passports->keep(group_, governance::StoredRecord::of(record), entry);
}

governance::AuditEntry RequestScope::entry() const {
  governance::AuditEntry entry = governance::AuditEntry::of(call_, governance::action_name(action_), redact_secrets(finished_.method + " " + request_.path));
  entry.rule = rule_;
  return entry;
}

Status RequestScope::record_search(const SearchNote& search) {
  std::vector<governance::AuditDocument> documents;
  for (const Passage& passage : search.passages) {
    const auto same = [&](const governance::AuditDocument& known) { return known.id == passage.document_id && known.version == passage.document_version; };
    auto known = std::ranges::find_if(documents, same);
    if (known == documents.end()) known = documents.insert(known, {passage.document_id, passage.document_version, 0, passage.readers});
    ++known->chunks;
  }
  governance::AuditEntry common = entry();
  common.action = kRetrieve;
  const std::string salt = governance::new_salt();
  if (const std::string digest = governance::salted_digest(salt, search.query); !digest.empty()) common.query = fmt::format("{}:{}", salt, digest);
  common.mode = search.mode;
  const auto collections = search.collections.first(std::min(search.collections.size(), governance::AuditEntry::kMaxCollections));
  common.collections.assign(collections.begin(), collections.end());
  if (search.refused != nullptr) {
    // A collection of others is not there for the caller: that is how it is refused.
    const bool denied = search.refused->code == ErrorCode::kPermissionDenied || search.refused->code == ErrorCode::kNotFound;
    common.outcome = denied ? governance::Outcome::kDenied : governance::Outcome::kFailed;
    common.reason = error_info(search.refused->code).name;
  }
  constexpr auto kMost = governance::AuditEntry::kMaxDocuments;
  for (std::size_t begin = 0; begin == 0 || begin < documents.size(); begin += kMost) {
    governance::AuditEntry entry = common;
    const auto end = std::min(documents.size(), begin + kMost);
    entry.documents.assign(documents.begin() + static_cast<std::ptrdiff_t>(begin), documents.begin() + static_cast<std::ptrdiff_t>(end));
    STOA_CHECK(pipeline_.parts_.audit.append(std::move(entry)));
  }
  return {};
}

Status RequestScope::conclude() {
  if (concluded_) return *concluded_;
  finished_.principal = call_.principal;
  if (finished_.principal.id.empty() && finished_.error) pipeline_.count_stranger(call_.origin.address, entry().resource, *finished_.error);
  if (!is_told(finished_, action_)) return concluded_.emplace();
  Span span = call_.span("record");
  governance::AuditEntry entry = this->entry();
  entry.time = finished_.started + micros_since(start_);
  if (finished_.error) {
    entry.reason += fmt::format("{}{}", entry.reason.empty() ? "" : ": ", error_info(finished_.error->code).name);
    entry.outcome = finished_.error->code == ErrorCode::kPermissionDenied ? governance::Outcome::kDenied : governance::Outcome::kFailed;
    if (const auto rule = governance::rule_of(*finished_.error); !rule.empty()) entry.rule = rule;
  }
  if (auto kept = keep_answer(entry); !kept) return concluded_.emplace(std::move(kept));
  return concluded_.emplace(pipeline_.record(std::move(entry), group_));
}

Status add_public_route(infra::Router& router, std::string method, std::string pattern, std::string_view reason, infra::HttpHandler handler, infra::RouteOptions options) {
  options.guard = fmt::format("{}{}", kPublic, reason);
  return router.add(std::move(method), std::move(pattern), std::move(handler), options);
}

Result<std::vector<RouteInfo>> check_routes(const infra::Router& router) {
  std::vector<RouteInfo> all;
  for (const auto& route : router.routes()) {
    const bool open = route.options.guard.starts_with(kPublic);
    if (!open && !governance::parse_action(route.options.guard))
      return fail(error(ErrorCode::kInternal, "nothing decides who may call {} {}", route.method, route.pattern).with_hint("add it with Pipeline::route or add_public_route"));
    all.push_back({route.method, route.pattern, route.options.guard, open});
  }
  return all;
}

Status Pipeline::route(infra::Router& router, std::string method, std::string pattern, governance::Action action, std::string resource,
                       const ErrorBody& error_body, ApiHandler handler, infra::RouteOptions options) const {
  Endpoint endpoint{action, std::move(resource), error_body, std::move(handler)};
  options.guard = governance::action_name(action);
  return router.add(std::move(method), std::move(pattern), Handler{this, std::move(endpoint)}, options);
}

Status Pipeline::run_inside(const infra::Router& router, infra::HttpRequest request, const InsideRequest& inside, infra::Responder& responder) const {
  infra::Router::Match match = router.match(request);
  if (match.route == nullptr) {
    responder.send(std::move(match.refusal));
    return {};
  }
  const auto* handler = match.route->handler.target<Handler>();
  if (handler == nullptr) return fail(ErrorCode::kUnsupported, "{} {} cannot be run by a job", request.method, request.route);
  Status status;
  infra::Route route{match.route->method, match.route->pattern, {}, match.route->options};
  route.handler = [&](const infra::HttpRequest& matched, infra::Responder& to) { status = run(handler->endpoint, matched, to, &inside); };
  router.run(route, request, responder);
  return status;
}

Result<Principal> Pipeline::authenticate(const infra::HttpRequest& request) const {
  governance::Credentials credentials{.bearer = {}, .certificate = request.peer_certificate.get()};
  if (credentials.certificate != nullptr && !request.headers.has("authorization") && !request.headers.has(kKeyHeader)) return parts_.authenticator.authenticate(credentials);
  STOA_TRY(key, bearer_key(request));
  credentials.bearer = key;
  if (parts_.backoff == nullptr) return parts_.authenticator.authenticate(credentials);
  if (const int wait = parts_.backoff->wait(request.peer, key, std::chrono::steady_clock::now()); wait > 0)
    return fail(error(ErrorCode::kResourceExhausted, "too many failed attempts to authenticate").with_hint(fmt::format("try again in {} s", wait)).with_retry_after(wait));
  auto principal = parts_.authenticator.authenticate(credentials);
  if (principal) parts_.backoff->succeeded(request.peer, key, std::chrono::steady_clock::now());
  else if (principal.error().code == ErrorCode::kUnauthenticated) parts_.backoff->failed(request.peer, key, std::chrono::steady_clock::now());
  return principal;
}

governance::Resource Pipeline::thing_of(const Endpoint& endpoint, const RequestScope& scope) {
  auto resource = governance::Resource::of(scope.principal(), endpoint.resource);
  for (const auto& [name, value] : scope.request_.path_params) resource.path += (resource.path.empty() ? "" : "/") + value;
  return resource;
}

// Who asks, from where, and until when.
Status Pipeline::enter(RequestScope& scope) const {
  STOA_TRY(origin, origin_of(scope.request_));
  scope.call_.origin = std::move(origin);
  {
    Span span = scope.call_.span("authenticate");
    STOA_TRY(principal, authenticate(scope.request_));
    scope.call_.principal = std::move(principal);
  }
  STOA_TRY(timeout, requested_timeout(scope.request_, parts_.timeout));
  scope.call_.deadline = Deadline::after(timeout);
  return {};
}

Result<std::optional<infra::HttpResponse>> Pipeline::attempt(const Endpoint& endpoint, RequestScope& scope) const {
  if (scope.inside_ == nullptr) STOA_CHECK(enter(scope));
  {
    Span span = scope.call_.span("access");
    STOA_TRY(permit, scope.allow(endpoint.action, thing_of(endpoint, scope)));
    scope.rule_ = permit.decision().rule;
  }
  return endpoint.handler(scope);
}

Status Pipeline::run(const Endpoint& endpoint, const infra::HttpRequest& request, infra::Responder& responder, const InsideRequest* inside) const {
  RequestScope scope(*this, endpoint.action, request, responder, inside);
  {
    Span root = scope.call_.span(request.method + " " + request.route);
    root.set("http.request.method", request.method);
    root.set("http.route", request.route);
    auto result = attempt(endpoint, scope);
    if (!result) result.error().message = redact_secrets(std::move(result.error().message));
    scope.reservation_.release();
    scope.limits_.release();
    infra::HttpResponse response;
    const auto refuse = [&](const Error& error) {
      scope.finished_.error = error;
      response = endpoint.error_body(error, scope.call_.request_id);
      response.headers.set("x-should-retry", error_info(error.code).retryable ? "true" : "false");
      if (error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kUnavailable) response.headers.set("retry-after", std::to_string(std::max(1, error.retry_after)));
      if (error.code == ErrorCode::kInternal || error.code == ErrorCode::kDataLoss)
        log_error("request failed", error, {{"request_id", scope.call_.request_id}, {"route", request.route}});
      scope.finished_.status = response.status;
    };
    if (!result) {
      refuse(result.error());
    } else if (*result) {
      response = std::move(**result);
      scope.finished_.status = response.status;
    }
    if (inside != nullptr && inside->keep && !responder.started())
      if (auto kept = inside->keep(response); !kept) scope.concluded_ = std::move(kept);
    // What cannot be recorded is not answered.
    if (!responder.started())
      if (const auto recorded = scope.conclude(); !recorded) refuse(recorded.error());
    if (scope.finished_.error) root.fail(scope.finished_.error->message);
    if (!responder.started()) {
      scope.add_headers(response.headers);
      responder.send(std::move(response));
    } else if (!result) {
      responder.abort();  // the handler left its stream open: no proper end may follow
    }
    root.set("http.response.status_code", static_cast<std::int64_t>(scope.finished_.status));
  }
  finish(endpoint, scope);
  return *scope.concluded_;
}

void Pipeline::finish(const Endpoint& endpoint, RequestScope& scope) const {
  // Of a stream that was cut off. Nothing is left to be held back.
  if (const auto recorded = scope.conclude(); !recorded && scope.inside_ == nullptr) log_error("a request is missing in the audit log, and was not answered", recorded.error(), {{"request_id", scope.call_.request_id}});
  FinishedRequest& finished = scope.finished_;
  finished.principal = scope.call_.principal;
  finished.duration_micros = micros_since(scope.start_);
  count(endpoint, finished);
  if (parts_.observer) parts_.observer(finished, scope.trace_);
}

void Pipeline::count_stranger(std::string_view address, std::string_view resource, const Error& error) const {
  if (parts_.strangers == nullptr) return;
  const auto& info = error_info(error.code);
  const auto counted = parts_.strangers->add({.address = std::string(address), .status = info.http_status, .resource = std::string(resource), .reason = std::string(info.name)});
  if (!counted) log_error("an attempt of a stranger was not counted", counted.error());
}

Status Pipeline::record(governance::AuditEntry entry, infra::JournalGroup& group) const {
  STOA_CHECK(parts_.audit.append(group, std::move(entry)));
  if (parts_.behind != nullptr) return parts_.behind->append(group);
  if (group.empty()) return {};
  return fail(ErrorCode::kInternal, "a request was recorded for a journal that the pipeline does not have");
}

void Pipeline::count(const Endpoint& endpoint, const FinishedRequest& finished) const {
  Endpoint::Counted& counted = *endpoint.counted;
  std::lock_guard lock(counted.mutex);
  if (counted.seconds == nullptr)
    counted.seconds = &parts_.metrics.histogram("stoa_http_request_seconds", "Time from the start of the handler to its end.", kSeconds, {{"route", finished.route}});
  Counter*& requests = counted.statuses[finished.status];
  if (requests == nullptr)
    requests = &parts_.metrics.counter("stoa_http_requests_total", "Requests answered, by route and status.",
                                       {{"method", finished.method}, {"route", finished.route}, {"status", std::to_string(finished.status)}});
  requests->add();
  counted.seconds->observe(static_cast<double>(finished.duration_micros) / 1e6);
}

}  // namespace stoa::gateway
