#include "gateway/api/openai/batches_json.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "base/utf8.h"
#include "gateway/api/openai/file_store.h"
#include "gateway/batch/batch_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::array<std::string_view, 5> kEndpoints{"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations"};
constexpr std::size_t kMaxCustomId = 512;

Json seconds(Micros time) { return time == 0 ? Json(nullptr) : Json(time / 1'000'000); }
Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json ended_as(const Batch& batch, BatchStatus status) { return batch.status == status ? seconds(batch.ended) : Json(nullptr); }

struct NotRun {
  std::string_view code, message;
};

NotRun not_run(const BatchResult& result) {
  if (result.status == BatchResult::kExpired) return {"batch_expired", "This request could not be executed before the completion window expired."};
  if (result.status == BatchResult::kCancelled) return {"batch_cancelled", "The batch was cancelled before this request was executed."};
  return {"not_executed", result.body};
}

}  // namespace

Result<BatchCall> parse_batch_call(const JsonObject& body) {
  const Fields fields(body);
  BatchCall call;
  STOA_TRY(file, fields.required_text("input_file_id"));
  if (!is_file_id(file)) return fields.wrong("input_file_id", "the id of a file with the purpose 'batch'");
  call.input_file = std::move(file);
  STOA_TRY(endpoint, fields.required_text("endpoint"));
  if (std::ranges::find(kEndpoints, endpoint) == kEndpoints.end()) return fields.wrong("endpoint", fmt::format("one of {}", fmt::join(kEndpoints, ", ")));
  call.endpoint = std::move(endpoint);
  STOA_TRY(window, fields.required_text("completion_window"));
  if (window != "24h") return fields.wrong("completion_window", "'24h'");
  if (fields.has("output_expires_after")) return fields.unsupported("output_expires_after", "delete the files when they are no longer needed");
  STOA_TRY(metadata, fields.metadata());
  call.metadata = std::move(metadata);
  return call;
}

Result<BatchLine> parse_batch_line(std::string_view endpoint, std::string_view text) {
  auto json = parse_json(text);
  if (!json) return fail(error(ErrorCode::kInvalidArgument, "the line is no JSON: {}", json.error().message).with_param("json"));
  const JsonObject* object = json->if_object();
  if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "the line is no JSON object").with_param("json"));
  const Fields line(*object);
  BatchLine out{.custom_id = {}, .path = std::string(endpoint), .body = {}};
  STOA_TRY(id, line.required_text("custom_id"));
  if (id.size() > kMaxCustomId) return line.wrong("custom_id", "at most 512 bytes");
  out.custom_id = std::move(id);
  STOA_TRY(method, line.required_text("method"));
  if (method != "POST") return line.wrong("method", "'POST'");
  STOA_TRY(url, line.required_text("url"));
  if (url != endpoint) return line.wrong("url", fmt::format("'{}', the endpoint of the batch", endpoint));
  STOA_TRY(body, line.object("body"));
  if (body == nullptr) return line.wrong("body", "an object; it is required");
  const Fields fields(*body, "body");
  for (const std::string_view key : {"stream", "background"}) {
    STOA_TRY(set, fields.flag_or(key, false));
    if (set) return fields.unsupported(key, "a batch has no use for it: leave it out");
  }
  out.body = dump_json(*body);
  return out;
}

JsonObject batch_json(const Batch& batch) {
  JsonObject out, counts{{"total", batch.total}, {"completed", batch.succeeded}, {"failed", batch.failed + batch.cancelled + batch.expired}};
  out["id"] = batch.id;
  out["object"] = "batch";
  out["endpoint"] = batch.endpoint;
  out["errors"] = nullptr;
  if (!batch.problems.empty()) out["errors"] = JsonObject{{"object", "list"}, {"data", problems_json(batch.problems)}};
  out["input_file_id"] = batch.input_file;
  out["completion_window"] = "24h";
  out["status"] = batch_status_name(batch.status);
  out["output_file_id"] = text_or_null(batch.output_file);
  out["error_file_id"] = text_or_null(batch.error_file);
  out["created_at"] = seconds(batch.created);
  out["in_progress_at"] = seconds(batch.started);
  out["expires_at"] = seconds(batch.expires);
  out["finalizing_at"] = seconds(batch.finalizing);
  out["completed_at"] = ended_as(batch, BatchStatus::kCompleted);
  out["failed_at"] = ended_as(batch, BatchStatus::kFailed);
  out["expired_at"] = ended_as(batch, BatchStatus::kExpired);
  out["cancelling_at"] = seconds(batch.cancelling);
  out["cancelled_at"] = ended_as(batch, BatchStatus::kCancelled);
  out["request_counts"] = std::move(counts);
  out["usage"] = JsonObject{{"input_tokens", batch.usage.prompt_tokens},
                            {"input_tokens_details", JsonObject{{"cached_tokens", batch.usage.cached_tokens}}},
                            {"output_tokens", batch.usage.completion_tokens},
                            {"output_tokens_details", JsonObject{{"reasoning_tokens", batch.usage.reasoning_tokens}}},
                            {"total_tokens", batch.usage.prompt_tokens + batch.usage.completion_tokens}};
  out["metadata"] = batch.metadata.empty() ? Json(nullptr) : Json(metadata_json(batch.metadata));
  return out;
}

// Bodies are JSON already, so they are put in as they are.
std::string result_line(const Batch& batch, const BatchResult& result) {
  const std::string id = fmt::format("batch_req_{}_{}", batch.id.substr(batch.id.find('_') + 1), result.line);
  const std::string custom_id = dump_json(Json(result.custom_id));
  if (result.ran())
    return fmt::format("{{\"id\":\"{}\",\"custom_id\":{},\"response\":{{\"status_code\":{},\"request_id\":\"{}\",\"body\":{}}},\"error\":null}}\n", id, custom_id, result.status,
                       result.request_id, result.body.empty() ? "null" : result.body);
  const NotRun why = not_run(result);
  return fmt::format("{{\"id\":\"{}\",\"custom_id\":{},\"response\":null,\"error\":{}}}\n", id, custom_id,
                     dump_json(JsonObject{{"code", why.code}, {"message", to_valid_utf8(why.message)}}));
}

}  // namespace stoa::gateway::openai
