#include "gateway/api/openai/batches.h"

#include "gateway/api/openai/batches_json.h"
#include "gateway/api/openai/paging.h"

namespace stoa::gateway::openai {
namespace {

using governance::Action;

constexpr Micros kDay = Micros{24} * 3600 * 1'000'000;

std::string id_of(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }

// A file of the results that `wanted` says of; empty: there are none.
Result<std::string> add_file(FileStore& files, BatchStore& store, const Batch& batch, std::string_view name, bool good) {
  std::string text;
  STOA_CHECK(store.results(batch, 0, [&](const BatchResult& result) -> Result<bool> {
    if (result.succeeded() == good) text += result_line(batch, result);
    return true;
  }));
  if (text.empty()) return std::string();
  const Principal owner{.id = batch.owner, .tenant = batch.tenant, .project = batch.project, .user = {}, .groups = {}, .role = {}};
  // Answers may quote what others may not read: no reader but the owner.
  FileStore::NewFile fresh{.filename = fmt::format("{}_{}.jsonl", batch.id, name), .purpose = "batch_output", .content_type = "application/jsonl", .access = {}};
  STOA_TRY(file, files.add(owner, std::move(fresh), as_bytes(text)));
  return file.id;
}

Reply create(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_batch_call(body));
  STOA_CHECK(d.batches->may_make(scope.principal()));
  STOA_TRY(file, d.files.find(scope.principal(), call.input_file));
  if (file.purpose != "batch")
    return fail(error(ErrorCode::kInvalidArgument, "the file '{}' has the purpose '{}', and a batch needs one with the purpose 'batch'", file.id, file.purpose).with_param("input_file_id"));
  if (file.bytes > d.batches->max_bytes)
    return fail(error(ErrorCode::kTooLarge, "the file '{}' has {} bytes, and a batch has at most {}", file.id, file.bytes, d.batches->max_bytes).with_param("input_file_id"));
  Batch batch{.id = {}, .dialect = std::string(kBatchDialect), .tenant = {}, .project = {}, .owner = {}, .key = {}};
  batch.endpoint = std::move(call.endpoint);
  batch.input = file.digest;
  batch.bytes = file.bytes;
  batch.input_file = file.id;
  batch.metadata = std::move(call.metadata);
  STOA_TRY(made, d.batches->store.create(scope.call(), "batch", std::move(batch), kDay));
  d.batches->runner.wake();
  return ok_json(batch_json(made));
}

Reply list(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request()));
  STOA_TRY(batches, d.batches->store.list(scope.principal(), kBatchDialect, page));
  JsonArray items;
  for (const Batch& batch : batches.items) items.emplace_back(batch_json(batch));
  return ok_json(page_json(std::move(items), batches.more));
}

Reply show(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(batch, d.batches->store.find(scope.principal(), kBatchDialect, id_of(scope)));
  return ok_json(batch_json(batch));
}

Reply cancel(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(batch, d.batches->store.cancel(scope.principal(), kBatchDialect, id_of(scope)));
  d.batches->runner.wake();
  return ok_json(batch_json(batch));
}

}  // namespace

BatchDialect batch_dialect(FileStore& files, BatchStore& store) {
  return {.read = [](const Batch& batch, std::string_view line) { return parse_batch_line(batch.endpoint, line); },
          .finish = [&files, &store](Batch& batch) -> Status {
            for (const bool good : {true, false}) {
              std::string& id = good ? batch.output_file : batch.error_file;
              if (!id.empty()) continue;  // made before the server died
              STOA_TRY(made, add_file(files, store, batch, good ? "output" : "error", good));
              id = made;
              STOA_CHECK(store.save(batch));
            }
            return {};
          },
          .keep_results = false};
}

Status register_batches(infra::Router& router, const Dependencies& d) {
  if (d.batches == nullptr) return {};
  const auto add = [&](const char* method, const char* pattern, auto handler) {
    return d.pipeline.route(router, method, pattern, Action::kModelUse, "batch", error_response, [&d, handler](RequestScope& scope) { return handler(d, scope); });
  };
  STOA_CHECK(add("POST", "/v1/batches", create));
  STOA_CHECK(add("GET", "/v1/batches", list));
  STOA_CHECK(add("GET", "/v1/batches/{id}", show));
  return add("POST", "/v1/batches/{id}/cancel", cancel);
}

}  // namespace stoa::gateway::openai
