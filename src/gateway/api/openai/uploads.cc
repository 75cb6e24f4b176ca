#include "gateway/api/openai/uploads.h"

#include <algorithm>

#include "base/utf8.h"
#include "gateway/api/openai/files.h"
#include "infra/http/multipart.h"

namespace stoa::gateway::openai {
namespace {

using governance::Action;

constexpr std::size_t kMd5Digits = 32, kFormRoom = 64u << 10;
constexpr std::chrono::minutes kPartTime{10};

std::string id_of(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }

Result<JsonObject> upload_json(const Dependencies& d, const Principal& principal, const Upload& upload) {
  JsonObject out{{"id", upload.id}, {"object", "upload"}, {"bytes", upload.bytes}, {"created_at", upload.created / 1'000'000}, {"filename", upload.filename},
                 {"purpose", upload.purpose}, {"status", upload_status_name(upload.status)}, {"expires_at", upload.expires / 1'000'000}, {"file", nullptr}};
  if (upload.file.empty()) return out;
  STOA_TRY(file, d.files.find(principal, upload.file));
  out["file"] = file_json(file);
  return out;
}

Reply begin(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  const Fields fields(body);
  Upload upload;
  STOA_TRY(filename, fields.required_text("filename"));
  if (!is_file_name(filename)) return fields.wrong("filename", "1 to 255 bytes of UTF-8");
  upload.filename = std::move(filename);
  STOA_TRY(purpose, fields.required_text("purpose"));
  if (!is_purpose(purpose)) return fields.wrong("purpose", purposes_text());
  upload.purpose = std::move(purpose);
  STOA_TRY(bytes, fields.integer("bytes", 1, static_cast<std::int64_t>(d.max_upload)));
  if (!bytes) return fields.wrong("bytes", fmt::format("the size of the file, at most {}; it is required", d.max_upload));
  upload.bytes = *bytes;
  STOA_TRY(type, fields.required_text("mime_type"));
  upload.content_type = std::move(type);
  if (fields.has("expires_after")) return fields.unsupported("expires_after", "delete the file when it is no longer needed");
  STOA_TRY(access, fields.text("stoa_access"));
  upload.access.is_public = !access;
  if (access) {
    auto list = AccessList::parse(*access);
    if (!list) return fail(std::move(list).error().with_param("stoa_access"));
    upload.access = std::move(*list);
  }
  STOA_TRY(made, d.uploads->begin(scope.principal(), std::move(upload)));
  STOA_TRY(json, upload_json(d, scope.principal(), made));
  return ok_json(json);
}

Reply add_part(const Dependencies& d, RequestScope& scope) {
  const auto form = infra::parse_form(scope.request().headers.get("content-type"), scope.request().body);
  const infra::FormPart* data = form ? infra::find_part(*form, "data") : nullptr;
  // Whose upload it is comes first, whatever the form is like: an empty part is taken of nobody.
  auto added = d.uploads->add_part(scope.principal(), id_of(scope), data != nullptr ? as_bytes(data->data) : ByteSpan{});
  if (!added && added.error().code == ErrorCode::kInvalidArgument && !form) return fail(form.error());
  STOA_TRY(part, std::move(added));
  return ok_json({{"id", part.id}, {"object", "upload.part"}, {"created_at", part.created / 1'000'000}, {"upload_id", part.upload}});
}

Reply complete(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  const Fields fields(body);
  STOA_TRY(ids, fields.array("part_ids", UploadStore::kMaxParts));
  if (ids == nullptr || ids->empty()) return fields.wrong("part_ids", "a non-empty list of the ids of parts; it is required");
  std::vector<std::string> parts;
  for (const Json& id : *ids) {
    if (!id.is_string()) return fields.wrong("part_ids", "a list of strings");
    parts.emplace_back(id.get_string());
  }
  STOA_TRY(md5, fields.text_or("md5", ""));
  if (!md5.empty() && md5.size() != kMd5Digits) return fields.wrong("md5", "32 hexadecimal digits");
  std::ranges::transform(md5, md5.begin(), [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  STOA_TRY(done, d.uploads->complete(scope.principal(), id_of(scope), parts, md5));
  STOA_TRY(json, upload_json(d, scope.principal(), done));
  return ok_json(json);
}

Reply cancel(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(upload, d.uploads->cancel(scope.principal(), id_of(scope)));
  STOA_TRY(json, upload_json(d, scope.principal(), upload));
  return ok_json(json);
}

}  // namespace

Status register_uploads(infra::Router& router, const Dependencies& d) {
  if (d.uploads == nullptr) return {};
  const auto add = [&](const char* pattern, auto handler, infra::RouteOptions options = {}) {
    return d.pipeline.route(router, "POST", pattern, Action::kDocumentWrite, "file", error_response, [&d, handler](RequestScope& scope) { return handler(d, scope); }, options);
  };
  STOA_CHECK(add("/v1/uploads", begin));
  STOA_CHECK(add("/v1/uploads/{id}/parts", add_part, {.max_body = UploadStore::kMaxPart + kFormRoom, .body_timeout = kPartTime}));
  STOA_CHECK(add("/v1/uploads/{id}/complete", complete));
  return add("/v1/uploads/{id}/cancel", cancel);
}

}  // namespace stoa::gateway::openai
