#include "gateway/api/openai/files.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/utf8.h"
#include "gateway/api/openai/paging.h"
#include "infra/http/multipart.h"

namespace stoa::gateway::openai {
namespace {

using governance::Action;

constexpr std::array<std::string_view, 6> kPurposes{"assistants", "batch", "fine-tune", "vision", "user_data", "evals"};
constexpr std::size_t kMaxFilename = 255, kMaxListed = 10'000;
constexpr std::chrono::minutes kUploadTime{10};

std::unexpected<Error> wrong_form(std::string_view field, std::string_view what) {
  return fail(error(ErrorCode::kInvalidArgument, "the form field '{}' {}", field, what).with_param(std::string(field)));
}

Reply upload(const Dependencies& dependencies, RequestScope& scope) {
  const infra::HttpRequest& request = scope.request();
  STOA_TRY(parts, infra::parse_form(request.headers.get("content-type"), request.body));
  const infra::FormPart* file = infra::find_part(parts, "file");
  const infra::FormPart* purpose = infra::find_part(parts, "purpose");
  const infra::FormPart* access = infra::find_part(parts, "stoa_access");
  if (file == nullptr || !file->is_file) return wrong_form("file", "is missing: send the file with its name");
  if (!is_file_name(file->filename)) return wrong_form("file", "needs a name of 1 to 255 bytes of UTF-8");
  if (purpose == nullptr) return wrong_form("purpose", "is missing: 'assistants' for documents to search");
  if (!is_purpose(purpose->data)) return wrong_form("purpose", fmt::format("'{}' is not {}", to_valid_utf8(purpose->data.substr(0, 64)), purposes_text()));
  if (infra::find_part(parts, "expires_after") != nullptr || infra::find_part(parts, "expires_after[anchor]") != nullptr)
    return wrong_form("expires_after", "is not supported here: delete the file when it is no longer needed");
  FileStore::NewFile fresh{.filename = file->filename, .purpose = std::string(purpose->data), .content_type = file->content_type, .access = {}};
  fresh.access.is_public = access == nullptr;
  if (access != nullptr) {
    auto list = AccessList::parse(access->data);
    if (!list) return fail(std::move(list).error().with_param("stoa_access"));
    fresh.access = std::move(*list);
  }
  STOA_TRY(stored, dependencies.files.add(scope.principal(), std::move(fresh), as_bytes(file->data)));
  return ok_json(file_json(stored));
}

Reply list(const Dependencies& dependencies, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request(), kMaxListed));
  STOA_TRY(files, dependencies.files.list(scope.principal(), page, scope.request().query_param("purpose").value_or("")));
  JsonArray items;
  for (const StoredFile& file : files.items) items.emplace_back(file_json(file));
  return ok_json(page_json(std::move(items), files.more));
}

// Files by their id, and documents that came another way (a folder) by theirs: what citations link to.
Reply content(const Dependencies& dependencies, RequestScope& scope) {
  const std::string id(scope.request().path_param("id"));
  infra::HttpResponse response;
  std::string type, name;
  if (id.starts_with("doc_")) {
    STOA_TRY(opened, dependencies.retriever.document(scope.call(), id));
    response.body = as_text(opened.bytes);
    type = opened.document.content_type;
    name = opened.document.path.substr(opened.document.path.rfind('/') + 1);
  } else {
    STOA_TRY(file, dependencies.files.find(scope.principal(), id));
    STOA_TRY(bytes, dependencies.files.content(scope.principal(), id, dependencies.max_upload));
    response.body = as_text(bytes);
    type = file.content_type;
    name = file.filename;
  }
  std::erase_if(name, [](unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c > 0x7e; });
  std::erase_if(type, [](unsigned char c) { return c < 0x20 || c > 0x7e; });
  response.headers.set("content-type", type.empty() ? "application/octet-stream" : type);
  response.headers.set("content-disposition", "attachment; filename=\"" + name + "\"");
  // Uploaded HTML must not run as a page of this server.
  response.headers.set("content-security-policy", "sandbox");
  response.headers.set("x-content-type-options", "nosniff");
  return response;
}

Reply show(const Dependencies& dependencies, RequestScope& scope) {
  STOA_TRY(file, dependencies.files.find(scope.principal(), scope.request().path_param("id")));
  return ok_json(file_json(file));
}

governance::Resource resource_of(const Principal& principal, const StoredFile& file) {
  governance::Resource resource = governance::Resource::of(principal, "file", file.id);
  resource.owner = file.owner;
  return resource;
}

Reply remove(const Dependencies& dependencies, RequestScope& scope) {
  const std::string id(scope.request().path_param("id"));
  // Out of all stores first: were this to fail, the file is still there to be deleted again.
  STOA_TRY(file, dependencies.files.find(scope.principal(), id));
  if (file.owner != scope.principal().id) STOA_CHECK(scope.allow(Action::kDocumentManage, resource_of(scope.principal(), file)));
  STOA_CHECK(dependencies.catalog.remove_documents_of_file(scope.call(), file.id));
  STOA_CHECK(dependencies.files.remove(scope.principal(), id));
  JsonObject out;
  out["id"] = id;
  out["object"] = "file";
  out["deleted"] = true;
  return ok_json(out);
}

}  // namespace

JsonObject file_json(const StoredFile& file) {
  JsonObject out, stoa;
  stoa["access"] = file.access.key();
  out["id"] = file.id;
  out["object"] = "file";
  out["bytes"] = file.bytes;
  out["created_at"] = file.created / 1'000'000;
  out["expires_at"] = nullptr;
  out["filename"] = file.filename;
  out["purpose"] = file.purpose;
  out["status"] = "processed";
  out["status_details"] = nullptr;
  out["stoa"] = std::move(stoa);
  return out;
}

bool is_purpose(std::string_view text) { return std::ranges::find(kPurposes, text) != kPurposes.end(); }
std::string purposes_text() { return fmt::format("one of {}", fmt::join(kPurposes, ", ")); }
bool is_file_name(std::string_view text) { return !text.empty() && text.size() <= kMaxFilename && is_valid_utf8(text); }

Status register_files(infra::Router& router, const Dependencies& d) {
  const auto add = [&](const char* method, const char* pattern, Action action, auto handler, infra::RouteOptions options = {}) {
    return d.pipeline.route(router, method, pattern, action, "file", error_response, [&d, handler](RequestScope& scope) { return handler(d, scope); }, options);
  };
  STOA_CHECK(add("POST", "/v1/files", Action::kDocumentWrite, upload, {.max_body = d.max_upload, .body_timeout = kUploadTime}));
  STOA_CHECK(add("GET", "/v1/files", Action::kDocumentRead, list));
  STOA_CHECK(add("GET", "/v1/files/{id}", Action::kDocumentRead, show));
  STOA_CHECK(add("DELETE", "/v1/files/{id}", Action::kDocumentWrite, remove));
  return add("GET", "/v1/files/{id}/content", Action::kDocumentRead, content);
}

}  // namespace stoa::gateway::openai
