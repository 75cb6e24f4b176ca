#include "gateway/api/admin/text_routes.h"

#include <memory>

#include "gateway/api/admin/text_json.h"

namespace stoa::gateway::admin {
namespace {

using governance::TextVersion;

// What the handlers of one kind share.
struct Texts {
  governance::VersionedTexts& texts;
  TextRoutes routes;

  std::string name_of(const RequestScope& scope) const { return routes.name.empty() ? std::string(scope.request().path_param("name")) : routes.name; }
  JsonObject json(const TextVersion& version, bool whole) const {
    JsonObject out = text_version_json(routes.object, version, whole);
    if (whole && routes.describe && !version.removed) routes.describe(version, out);
    return out;
  }
};

Reply list(const Texts& of, RequestScope& scope) {
  STOA_TRY(found, of.texts.list(scope.call()));
  JsonArray data;
  for (const TextVersion& version : found) data.push_back(of.json(version, true));
  return ok_json(list_json(std::move(data)));
}

Reply show(const Texts& of, RequestScope& scope) {
  STOA_TRY(version, query_int(scope.request(), "version", 1, INT64_MAX, 0));
  STOA_TRY(found, of.texts.get(scope.call(), of.name_of(scope), version == 0 ? std::nullopt : std::optional(version)));
  return ok_json(of.json(found, true));
}

Reply history(const Texts& of, RequestScope& scope) {
  STOA_TRY(found, of.texts.history(scope.call(), of.name_of(scope)));
  return ok_json(text_versions_json(of.routes.object, found, false));
}

Reply set(const Texts& of, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(text, body.text_or("text", ""));
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(expected, body.integer("expected_version", 0, INT64_MAX));
  STOA_TRY(stored, of.texts.set(scope.call(), {.name = of.name_of(scope), .text = std::move(text), .comment = std::move(comment), .expected = expected}));
  return ok_json(of.json(stored, true));
}

Reply rollback(const Texts& of, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(version, body.integer("version", 1, INT64_MAX));
  if (!version) return body.wrong("version", "the number of a version");
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(stored, of.texts.rollback(scope.call(), of.name_of(scope), *version, std::move(comment)));
  return ok_json(of.json(stored, true));
}

Reply remove(const Texts& of, RequestScope& scope) {
  STOA_TRY(stored, of.texts.remove(scope.call(), of.name_of(scope), query_text(scope.request(), "comment")));
  return ok_json(of.json(stored, false));
}

}  // namespace

Status add_text_routes(infra::Router& router, const AdminParts& parts, governance::VersionedTexts& texts, const TextRoutes& described) {
  const auto of = std::make_shared<const Texts>(texts, described);
  const auto bound = [&](Reply (*handler)(const Texts&, RequestScope&)) { return [of, handler](RequestScope& scope) { return handler(*of, scope); }; };
  const governance::TextKind& kind = texts.kind();
  Routes routes(router, parts, kind.noun);
  const std::string one = described.name.empty() ? described.path + "/{name}" : described.path;
  if (described.name.empty()) STOA_CHECK(routes.add("GET", described.path, kind.read, bound(list)));
  STOA_CHECK(routes.add("GET", one, kind.read, bound(show)));
  STOA_CHECK(routes.add("GET", one + "/history", kind.read, bound(history)));
  STOA_CHECK(routes.add("PUT", one, kind.manage, bound(set)));
  STOA_CHECK(routes.add("POST", one + "/rollback", kind.manage, bound(rollback)));
  return routes.add("DELETE", one, kind.manage, bound(remove));
}

}  // namespace stoa::gateway::admin
