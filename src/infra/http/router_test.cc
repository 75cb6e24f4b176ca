#include "infra/http/router.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace stoa::infra {
namespace {

HttpHandler echo(std::string name) {
  return [name](const HttpRequest& request, Responder& responder) {
    std::string text = name;
    for (const auto& [key, value] : request.path_params) text += " " + key + "=" + value;
    responder.send(HttpResponse::text(200, text));
  };
}

HttpResponse ask(const Router& router, const std::string& method, const std::string& target) {
  HttpRequest request;
  request.method = method;
  EXPECT_TRUE(set_target(request, target));
  MemoryResponder responder;
  router.dispatch(std::move(request), responder);
  EXPECT_TRUE(responder.finished());
  return responder.response();
}

TEST(Router, FindsTheMostLiteralRoute) {
  Router router;
  ASSERT_TRUE(router.add("GET", "/v1/files", echo("list")));
  ASSERT_TRUE(router.add("POST", "/v1/files", echo("create")));
  ASSERT_TRUE(router.add("GET", "/v1/files/{id}", echo("one")));
  ASSERT_TRUE(router.add("DELETE", "/v1/files/{id}", echo("delete")));
  ASSERT_TRUE(router.add("GET", "/v1/files/{id}/content", echo("content")));
  ASSERT_TRUE(router.add("GET", "/v1/files/new", echo("new")));
  ASSERT_TRUE(router.add("GET", "/assets/{path...}", echo("asset")));
  ASSERT_TRUE(router.add("GET", "/", echo("root")));
  struct Case {
    std::string method, target;
    int status;
    std::string body;
  };
  const Case cases[] = {
      {"GET", "/", 200, "root"},
      {"GET", "/v1/files?limit=2", 200, "list"},
      {"POST", "/v1/files", 200, "create"},
      {"HEAD", "/v1/files", 200, "list"},
      {"GET", "/v1/files/a%2Fb", 200, "one id=a/b"},
      {"GET", "/v1/files/new", 200, "new"},
      {"DELETE", "/v1/files/new", 200, "delete id=new"},
      {"GET", "/v1/files/x/content", 200, "content id=x"},
      {"GET", "/assets/a/b.js", 200, "asset path=a/b.js"},
      {"GET", "http://h/v1/files", 200, "list"},
      {"GET", "/v1/files/", 404, ""},
      {"GET", "/v1", 404, ""},
      {"GET", "/v1/files/x/content/y", 404, ""},
  };
  for (const auto& c : cases) {
    const auto response = ask(router, c.method, c.target);
    EXPECT_EQ(response.status, c.status) << c.target;
    if (c.status == 200) { EXPECT_EQ(response.body, c.body) << c.target; }
  }
  const auto refused = ask(router, "PATCH", "/v1/files/x");
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.headers.get("allow"), "GET, DELETE, HEAD");
  EXPECT_EQ(router.routes().size(), 8u);
}

TEST(Router, ServesARouteWhereItsRoleIsServed) {
  Router router;
  ASSERT_TRUE(router.add("GET", "/chat", echo("chat")));
  ASSERT_TRUE(router.add("GET", "/keys", echo("keys")));
  ASSERT_TRUE(router.add("GET", "/health", echo("health")));
  router.assign_roles([](std::string_view pattern) { return pattern == "/keys" ? ListenerRoles(ListenerRole::kAdmin) : pattern == "/chat" ? ListenerRole::kPublic : ListenerRoles::all(); });
  const struct { ListenerRoles listener; std::string path; int status; } cases[] = {
      {ListenerRole::kPublic, "/chat", 200}, {ListenerRole::kPublic, "/keys", 404}, {ListenerRole::kPublic, "/health", 200}, {ListenerRole::kAdmin, "/chat", 404},
      {ListenerRole::kAdmin, "/keys", 200}, {ListenerRole::kNode, "/keys", 404}, {ListenerRole::kNode, "/health", 200}, {ListenerRoles::all(), "/keys", 200},
      {ListenerRoles(ListenerRole::kAdmin) | ListenerRole::kPublic, "/chat", 200}, {ListenerRoles::all().without(ListenerRole::kAdmin), "/keys", 404},
  };
  for (const auto& [listener, path, status] : cases)
    for (const char* method : {"GET", "POST"}) {
      HttpRequest request;
      request.method = method;
      request.listener = listener;
      ASSERT_TRUE(set_target(request, path));
      MemoryResponder responder;
      router.dispatch(std::move(request), responder);
      // Elsewhere not even the method's refusal gives the route away.
      EXPECT_EQ(responder.response().status, status == 200 && std::string_view(method) == "POST" ? 405 : status) << listener.names() << " " << method << " " << path;
    }
}

TEST(Router, RefusesBadAndDoublePatterns) {
  Router router;
  for (const char* bad : {"", "x", "/{", "/{}", "/a{b}", "/{...}", "/{a...}/b", "/a%20b"})
    EXPECT_EQ(router.add("GET", bad, echo("")).error().code, ErrorCode::kInvalidArgument) << bad;
  EXPECT_TRUE(router.add("GET", "/a/{x}", echo("")));
  EXPECT_EQ(router.add("GET", "/a/{y}", echo("")).error().code, ErrorCode::kConflict);
  EXPECT_TRUE(router.add("PUT", "/a/{y}", echo("")));
}

TEST(Router, AnswersForHandlersThatFail) {
  Router router;
  router.set_error_renderer([](const HttpRequest& request, int status, const Error& error) {
    return HttpResponse::json(status, fmt::format("[\"{}\",\"{}\"]", request.path, error.message));
  });
  ASSERT_TRUE(router.add("GET", "/throws", [](const HttpRequest&, Responder&) { throw std::runtime_error("secret"); }));
  ASSERT_TRUE(router.add("GET", "/silent", [](const HttpRequest&, Responder&) {}));
  for (const char* path : {"/throws", "/silent"}) {
    const auto response = ask(router, "GET", path);
    EXPECT_EQ(response.status, 500) << path;
    EXPECT_EQ(response.headers.get("Content-Type"), "application/json");
    EXPECT_EQ(response.body.find("secret"), std::string::npos);
  }
  ASSERT_TRUE(router.add("GET", "/open", [](const HttpRequest&, Responder& responder) {
    responder.start(200, {});
    responder.write("x");
  }));
  HttpRequest request;
  request.method = "GET";
  ASSERT_TRUE(set_target(request, "/open"));
  MemoryResponder responder;
  router.dispatch(request, responder);
  EXPECT_TRUE(responder.aborted());
}

TEST(Target, AcceptsOnlyKnownForms) {
  for (const char* bad : {"", "a", "ftp://x/", "/?a=%z"}) {
    HttpRequest request;
    EXPECT_FALSE(set_target(request, bad)) << bad;
  }
}

}  // namespace
}  // namespace stoa::infra
