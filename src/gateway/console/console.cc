#include "gateway/console/console.h"

#include "gateway/console/assets.h"

namespace stoa::gateway {
namespace {

// Nothing from elsewhere, no inline script, not inside another page.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return "text/html; charset=utf-8";
}

infra::HttpResponse respond(const EmbeddedFile& asset) {
  infra::HttpResponse response;
  response.body = asset.bytes;
  response.headers = {{"Content-Type", std::string(type_of(asset.name))},
                      {"Content-Security-Policy", kPolicy},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"},
                      {"Cache-Control", "no-cache"}};
  return response;
}

infra::HttpHandler redirect_to_console() {
  return [](const infra::HttpRequest&, infra::Responder& responder) {
    infra::HttpResponse response;
    response.status = 302;
    response.headers.set("Location", "/console");
    responder.send(std::move(response));
  };
}

}  // namespace

Status add_console_routes(infra::Router& router) {
  const infra::RouteOptions inline_route{.guard = "public: files of the console, the same for everybody", .inline_on_io = true};
  STOA_CHECK(router.add("GET", "/", redirect_to_console(), inline_route));
  for (const auto& asset : console_assets()) {
    const std::string path = asset.name == "index.html" ? "/console" : "/console/" + std::string(asset.name);
    STOA_CHECK(router.add("GET", path, [&asset](const infra::HttpRequest&, infra::Responder& responder) { responder.send(respond(asset)); }, inline_route));
  }
  return {};
}

}  // namespace stoa::gateway
