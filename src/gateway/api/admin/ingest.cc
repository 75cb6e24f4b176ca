// Bringing documents in: the client names files by digest, sends the bytes that are missing, starts the job and watches it.
#include "gateway/api/admin/routes.h"
#include "gateway/api/openai/filter_json.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr std::size_t kMaxFiles = 100'000;
constexpr std::uint64_t kMaxJobBody = 16u << 20;
constexpr auto kUploadTime = std::chrono::minutes(10);

Result<std::vector<data::IngestFile>> parse_files(const Fields& body) {
  STOA_TRY(list, body.array("files", kMaxFiles));
  if (list == nullptr) return body.wrong("files", "a list of files; it is required");
  std::vector<data::IngestFile> files;
  files.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto* object = (*list)[i].if_object();
    const std::string path = fmt::format("files[{}]", i);
    if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object with path, digest and bytes", path).with_param(path));
    const Fields fields(*object, path);
    STOA_TRY(name, fields.required_text("path"));
    STOA_TRY(digest, fields.required_text("digest"));
    STOA_TRY(bytes, fields.integer_or("bytes", 0, INT64_MAX, 0));
    STOA_TRY(type, fields.text_or("content_type", ""));
    files.push_back({std::move(name), std::move(digest), bytes, std::move(type)});
  }
  return files;
}

Result<data::IngestSpec> parse_job(const JsonObject& object) {
  const Fields body(object);
  data::IngestSpec spec;
  STOA_TRY(collection, body.required_text("collection"));
  STOA_TRY(source, body.required_text("source"));
  STOA_TRY(files, parse_files(body));
  STOA_TRY(access_text, body.text_or("access", "private"));
  auto access = AccessList::parse(access_text);
  if (!access) return fail(std::move(access).error().with_param("access"));
  STOA_TRY(attributes, openai::parse_attributes(body));
  STOA_TRY(prune, body.flag_or("prune", false));
  spec.collection = std::move(collection);
  spec.source = std::move(source);
  spec.files = std::move(files);
  spec.access = std::move(*access);
  spec.attributes = std::move(attributes);
  spec.prune = prune;
  return spec;
}

JsonObject progress_json(const data::IngestProgress& job) {
  JsonArray errors;
  for (const auto& error : job.errors) errors.push_back(JsonObject{{"path", error.path}, {"message", error.message}});
  return {{"id", job.id},         {"object", "stoa.ingest_job"}, {"collection", job.collection}, {"status", data::to_string(job.status)},
          {"total", job.total},   {"done", job.done},            {"failed", job.failed},         {"unchanged", job.unchanged},
          {"removed", job.removed}, {"bytes", job.bytes},        {"chunks", job.chunks},         {"tokens", job.tokens},
          {"compute_micros", job.compute_micros},                {"file_chunks", job.file_chunks}, {"file_embedded", job.file_embedded},
          {"errors", std::move(errors)}};
}

std::string job_id(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }

Reply show(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(progress, parts.ingest.progress(scope.call(), job_id(scope)));
  return ok_json(progress_json(progress));
}

Reply create(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(spec, parse_job(body));
  STOA_TRY(created, parts.ingest.create_job(scope.call(), spec));
  return infra::HttpResponse::json(201, dump_json(JsonObject{{"id", created.id}, {"missing", JsonArray(created.missing.begin(), created.missing.end())}}));
}

Reply put_blob(const AdminParts& parts, RequestScope& scope) {
  const std::string digest(scope.request().path_param("digest"));
  STOA_CHECK(parts.ingest.put_blob(scope.call(), job_id(scope), digest, as_bytes(scope.request().body)));
  return ok_json({{"digest", digest}, {"bytes", scope.request().body.size()}});
}

Reply start(const AdminParts& parts, RequestScope& scope) {
  STOA_CHECK(parts.ingest.start(scope.call(), job_id(scope)));
  return show(parts, scope);
}

Reply cancel(const AdminParts& parts, RequestScope& scope) {
  STOA_CHECK(parts.ingest.cancel(scope.call(), job_id(scope)));
  return show(parts, scope);
}

}  // namespace

Status add_ingest_routes(infra::Router& router, const AdminParts& parts) {
  const auto with = [&parts](Reply (*handler)(const AdminParts&, RequestScope&)) { return [&parts, handler](RequestScope& scope) { return handler(parts, scope); }; };
  Routes routes(router, parts, "ingest job");
  STOA_CHECK(routes.add("POST", "/v1/stoa/ingest/jobs", Action::kDocumentWrite, with(create), {.max_body = kMaxJobBody}));
  STOA_CHECK(routes.add("GET", "/v1/stoa/ingest/jobs/{id}", Action::kDocumentWrite, with(show)));
  STOA_CHECK(routes.add("PUT", "/v1/stoa/ingest/jobs/{id}/blobs/{digest}", Action::kDocumentWrite, with(put_blob),
                        {.max_body = parts.max_file_bytes, .body_timeout = kUploadTime}));
  STOA_CHECK(routes.add("POST", "/v1/stoa/ingest/jobs/{id}/start", Action::kDocumentWrite, with(start)));
  return routes.add("POST", "/v1/stoa/ingest/jobs/{id}/cancel", Action::kDocumentWrite, with(cancel));
}

}  // namespace stoa::gateway::admin
