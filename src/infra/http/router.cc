#include "infra/http/router.h"

#include <algorithm>
#include <exception>

#include <fmt/ranges.h>

#include "base/log.h"
#include "base/redact.h"
#include "infra/http/head_check.h"
#include "infra/http/url.h"

namespace stoa::infra {
namespace {

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const auto slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<std::vector<Router::Segment>> Router::parse_pattern(std::string_view pattern) {
  if (!pattern.starts_with('/')) return fail(ErrorCode::kInvalidArgument, "route pattern '{}' does not begin with '/'", pattern);
  std::vector<Segment> segments;
  for (const auto part : split_path(pattern)) {
    if (!segments.empty() && segments.back().kind == Segment::kRest)
      return fail(ErrorCode::kInvalidArgument, "route pattern '{}' goes on after '...'", pattern);
    if (!part.starts_with('{')) {
      if (part.find_first_of("{}%?") != std::string_view::npos)
        return fail(ErrorCode::kInvalidArgument, "route pattern '{}': bad segment '{}'", pattern, part);
      segments.push_back({Segment::kLiteral, std::string(part)});
      continue;
    }
    if (part.size() < 3 || part.back() != '}') return fail(ErrorCode::kInvalidArgument, "route pattern '{}': bad segment '{}'", pattern, part);
    std::string_view name = part.substr(1, part.size() - 2);
    const bool rest = name.ends_with("...");
    if (rest) name.remove_suffix(3);
    if (name.empty()) return fail(ErrorCode::kInvalidArgument, "route pattern '{}': a parameter has no name", pattern);
    segments.push_back({rest ? Segment::kRest : Segment::kParam, std::string(name)});
  }
  return segments;
}

Status Router::add(std::string method, std::string pattern, HttpHandler handler, RouteOptions options) {
  STOA_TRY(segments, parse_pattern(pattern));
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const bool same = std::equal(segments.begin(), segments.end(), segments_[i].begin(), segments_[i].end(), [](const Segment& a, const Segment& b) {
      return a.kind == b.kind && (a.kind != Segment::kLiteral || a.text == b.text);
    });
    if (same && routes_[i].method == method)
      return fail(ErrorCode::kConflict, "route {} {} collides with {}", method, pattern, routes_[i].pattern);
  }
  routes_.push_back({std::move(method), std::move(pattern), std::move(handler), options});
  segments_.push_back(std::move(segments));
  return {};
}

void Router::assign_roles(const std::function<ListenerRoles(std::string_view pattern)>& roles) {
  for (Route& route : routes_) route.options.roles = roles(route.pattern);
}

Router::Match Router::match(HttpRequest& request) const {
  Match result;
  std::vector<std::string> parts;
  for (const auto part : split_path(request.path)) {
    auto decoded = percent_decode(part);
    if (!decoded) return refused(request, 400, decoded.error());
    parts.push_back(std::move(*decoded));
  }

  // The best route has a literal where others have a parameter, leftmost difference first.
  const auto fits = [&](const std::vector<Segment>& segments) {
    for (std::size_t i = 0; i < segments.size(); ++i) {
      if (i >= parts.size()) return false;
      if (segments[i].kind == Segment::kRest) return true;
      if (segments[i].kind == Segment::kLiteral ? segments[i].text != parts[i] : parts[i].empty()) return false;
    }
    return segments.size() == parts.size();
  };
  const auto better = [](const std::vector<Segment>& a, const std::vector<Segment>& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](const Segment& x, const Segment& y) { return x.kind < y.kind; });
  };
  std::vector<std::string_view> allowed;
  const std::vector<Segment>* best = nullptr;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (!routes_[i].options.roles.meets(request.listener) || !fits(segments_[i])) continue;
    const auto& method = routes_[i].method;
    if (std::find(allowed.begin(), allowed.end(), method) == allowed.end()) allowed.push_back(method);
    if (method != request.method && !(request.method == "HEAD" && method == "GET")) continue;
    if (best != nullptr && !better(segments_[i], *best)) continue;
    best = &segments_[i];
    result.route = &routes_[i];
  }
  if (result.route != nullptr) {
    request.route = result.route->pattern;
    request.path_params.clear();
    for (std::size_t i = 0; i < best->size(); ++i) {
      const Segment& segment = (*best)[i];
      if (segment.kind == Segment::kLiteral) continue;
      std::string value = parts[i];
      if (segment.kind == Segment::kRest)
        for (std::size_t j = i + 1; j < parts.size(); ++j) value += "/" + parts[j];
      request.path_params.emplace_back(segment.text, std::move(value));
    }
    return result;
  }
  if (allowed.empty()) return refused(request, 404, error(ErrorCode::kNotFound, "nothing is served at {}", request.path));
  if (std::find(allowed.begin(), allowed.end(), "GET") != allowed.end()) allowed.push_back("HEAD");
  const std::string list = fmt::format("{}", fmt::join(allowed, ", "));
  result = refused(request, 405, error(ErrorCode::kInvalidArgument, "{} is not allowed at {}", request.method, request.path).with_hint("use " + list));
  result.refusal.headers.set("Allow", list);
  return result;
}

Router::Match Router::refused(const HttpRequest& request, int status, const Error& error) const { return {nullptr, render_error(request, status, error), error.message}; }

void Router::dispatch(HttpRequest request, Responder& responder) const {
  Match found = match(request);
  if (found.route == nullptr) return responder.send(std::move(found.refusal));
  run(*found.route, request, responder);
}

void Router::run(const Route& route, const HttpRequest& request, Responder& responder) const {
  std::string problem = "the handler gave no answer";
  try {
    route.handler(request, responder);
    // Of no effect on a finished answer; ends a stream left open. Nobody waits for an answer once the client has gone.
    if (responder.started() || responder.client_gone()) return responder.abort();
  } catch (const std::exception& thrown) {
    problem = thrown.what();
  } catch (...) {
    problem = "unknown exception";
  }
  log(LogLevel::kError, "handler failed", {{"method", route.method}, {"route", route.pattern}, {"error", problem}});
  if (responder.started()) return responder.abort();
  // The client is told nothing of the inside; the log has it.
  responder.send(render_error(request, 500, error(ErrorCode::kInternal, "the server failed to answer this request")));
}

HttpResponse Router::render_error(const HttpRequest& request, int status, const Error& original) const {
  Error error = original;
  error.message = redact_secrets(std::move(error.message));  // it repeats what was sent, which may have had a key in it
  if (renderer_) {
    try {
      return renderer_(request, status, error);
    } catch (const std::exception& thrown) {
      log(LogLevel::kError, "error renderer failed", {{"error", std::string(thrown.what())}});
    }
  }
  return HttpResponse::text(status, error.message + (error.hint.empty() ? "" : " (" + error.hint + ")") + "\n");
}

Status set_target(HttpRequest& request, std::string target) {
  request.target = std::move(target);
  std::string_view text = request.target;
  if (text.starts_with("http://") || text.starts_with("https://")) {
    STOA_TRY(url, parse_url(text));
    request.path = url.path.empty() ? "/" : url.path;
    STOA_CHECK(check_path(request.path));
    STOA_TRY(pairs, parse_query(url.query));
    request.query = std::move(pairs);
    return {};
  }
  if (text != "*" && !text.starts_with('/')) return fail(ErrorCode::kInvalidArgument, "bad request target '{}'", text.substr(0, 200));
  if (text.find('#') != std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "the request target has a fragment");
  const auto question = text.find('?');
  request.path = text.substr(0, question);
  STOA_CHECK(check_path(request.path));
  if (question != std::string_view::npos) {
    STOA_TRY(pairs, parse_query(text.substr(question + 1)));
    request.query = std::move(pairs);
  }
  return {};
}

}  // namespace stoa::infra
