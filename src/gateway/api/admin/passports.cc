// Passports of answers: as documents, and as pages.
#include "gateway/api/admin/routes.h"
#include "gateway/passport/page.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;
using governance::Resource;

// For a page that needs nothing but its own style.
constexpr const char* kPagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

Reply page_of(const AdminParts& parts, const JsonObject& passport) {
  STOA_TRY(check, governance::verify_passport(dump_json(passport), parts.checkpoints.key()));
  STOA_TRY(page, passport_page(parts.passport_page, check));
  infra::HttpResponse response;
  response.body = std::move(page);
  response.headers = {{"content-type", "text/html; charset=utf-8"}, {"content-security-policy", kPagePolicy}, {"x-content-type-options", "nosniff"}, {"referrer-policy", "no-referrer"}};
  return response;
}

Reply show(const AdminParts& parts, RequestScope& scope) {
  const std::string format = query_text(scope.request(), "format");
  if (!format.empty() && format != "json" && format != "html")
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no form of a passport: json or html", format.substr(0, 40)).with_param("format"));
  const bool everyones = scope.may(Action::kAuditRead, {.tenant = scope.principal().tenant, .project = {}, .kind = "audit log"});
  STOA_TRY(passport, parts.passports.passport(scope.call(), scope.request().path_param("id"), everyones));
  if (format == "html") return page_of(parts, passport);
  return ok_json(std::move(passport));
}

}  // namespace

Status add_passport_routes(infra::Router& router, const AdminParts& parts) {
  Routes passports(router, parts, "passport");
  return passports.add("GET", "/v1/stoa/passports/{id}", Action::kPassportRead, [&parts](RequestScope& scope) { return show(parts, scope); });
}

}  // namespace stoa::gateway::admin
