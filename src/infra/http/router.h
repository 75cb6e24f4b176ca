// Which handler answers a request: method and path pattern, with limits per route.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "infra/http/message.h"
#include "infra/http/responder.h"

namespace stoa::infra {

// May block (it runs on a worker) unless its route is inline_on_io. Exceptions are caught, logged and answered with 500.
using HttpHandler = std::function<void(const HttpRequest&, Responder&)>;

struct RouteOptions {
  std::uint64_t max_body = 0;               // bytes; 0 = the server's default
  std::chrono::milliseconds body_timeout{0};  // to receive the body; 0 = the server's default
  std::string guard{};                      // what decides who may call it, for those who list routes: an action, or why nothing has to
  ListenerRoles roles = ListenerRole::kPublic;  // listeners without one of them answer 404
  bool inline_on_io = false;                // run on the I/O thread: only for handlers that never block (health, metrics)
};

struct Route {
  std::string method;
  std::string pattern;  // "/v1/files/{id}/content"; a last segment "{name...}" takes the rest of the path, slashes included
  HttpHandler handler;
  RouteOptions options;
};

// Turns an error that arises before or instead of a handler (400, 404, 405, 408, 413, 414, 431, 500, 503) into the body of the
// dialect the request speaks. `request` may be partial: the path is empty when not even the request line was readable.
using ErrorRenderer = std::function<HttpResponse(const HttpRequest& request, int status, const Error& error)>;

// Built by one thread, then given to the server and only read. Literal segments win over parameters. A HEAD request is
// answered by the GET route, without its body.
class Router {
 public:
  // Errors: kInvalidArgument for a malformed pattern, kConflict when method and pattern (names of parameters aside) are taken.
  Status add(std::string method, std::string pattern, HttpHandler handler, RouteOptions options = {});
  // Gives every route added so far the roles that `roles` says of its pattern.
  void assign_roles(const std::function<ListenerRoles(std::string_view pattern)>& roles);
  void set_error_renderer(ErrorRenderer renderer) { renderer_ = std::move(renderer); }

  // Fills request.route and request.path_params and returns the route; otherwise the 404 or 405 to send (405 with Allow). Routes
  // that share no role with request.listener do not exist for it.
  struct Match {
    const Route* route = nullptr;
    HttpResponse refusal;  // meaningful when route is null, as is the next
    std::string reason;    // of the refusal
  };
  Match match(HttpRequest& request) const;

  // Matches and runs the handler on this thread with the guarantees Responder states: how tests call handlers.
  void dispatch(HttpRequest request, Responder& responder) const;
  // Runs the handler of a matched route: catches exceptions, answers where it did not.
  void run(const Route& route, const HttpRequest& request, Responder& responder) const;

  HttpResponse render_error(const HttpRequest& request, int status, const Error& error) const;
  // Every route, in the order added.
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Segment {
    enum Kind { kLiteral, kParam, kRest } kind;
    std::string text;  // literal text (decoded), or the parameter's name
  };
  static Result<std::vector<Segment>> parse_pattern(std::string_view pattern);
  Match refused(const HttpRequest& request, int status, const Error& error) const;

  std::vector<Route> routes_;
  std::vector<std::vector<Segment>> segments_;  // parallel to routes_
  ErrorRenderer renderer_;
};

// Parses "a request target" into path and query of `request`. kInvalidArgument for anything but origin-form ("/a?b"), "*",
// or absolute-form ("http://host/a?b").
Status set_target(HttpRequest& request, std::string target);

}  // namespace stoa::infra
