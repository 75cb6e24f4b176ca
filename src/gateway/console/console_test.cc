#include "gateway/console/console.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

void check(const char* target, int status, std::string_view type, std::string_view content) {
  infra::Router router;
  ASSERT_TRUE(add_console_routes(router));
  infra::HttpRequest request;
  request.method = "GET";
  ASSERT_TRUE(infra::set_target(request, target));
  infra::MemoryResponder responder;
  router.dispatch(std::move(request), responder);
  const auto response = responder.response();
  EXPECT_EQ(response.status, status) << target;
  if (status != 200) return;
  EXPECT_TRUE(response.headers.get("Content-Type").starts_with(type)) << target;
  EXPECT_NE(response.body.find(content), std::string::npos) << target;
  EXPECT_TRUE(response.headers.get("Content-Security-Policy").starts_with("default-src 'none'"));
}

TEST(Console, ServesItsFiles) {
  check("/console", 200, "text/html", "/console/console.js");
  check("/console/console.js", 200, "text/javascript", "sessionStorage");
  check("/console/console.css", 200, "text/css", "--paper");
  check("/", 302, "", "");
  check("/console/index.html", 404, "", "");
}

}  // namespace
}  // namespace stoa::gateway
