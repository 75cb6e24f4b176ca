#include "gateway/api/admin/routes.h"

#include <charconv>

namespace stoa::gateway::admin {

std::string query_text(const infra::HttpRequest& request, std::string_view name) { return std::string(request.query_param(name).value_or("")); }

Result<std::int64_t> query_int(const infra::HttpRequest& request, std::string_view name, std::int64_t min, std::int64_t max, std::int64_t fallback) {
  const auto text = request.query_param(name);
  if (!text) return fallback;
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (code != std::errc() || end != text->data() + text->size() || value < min || value > max)
    return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an integer from {} to {}", name, min, max).with_param(std::string(name)));
  return value;
}

Result<Micros> query_time(const infra::HttpRequest& request, std::string_view name, Micros fallback) {
  const auto text = request.query_param(name);
  if (!text) return fallback;
  const auto time = parse_rfc3339(*text);
  if (!time)
    return fail(error(ErrorCode::kInvalidArgument, "'{}' must be a time such as 2026-01-31T12:00:00Z", name).with_param(std::string(name)));
  return *time;
}

JsonObject list_json(JsonArray items) { return {{"object", "list"}, {"data", std::move(items)}}; }

Json time_json(const std::optional<Micros>& time) { return time ? Json(to_rfc3339(*time)) : Json(nullptr); }

JsonObject usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},     {"cached_tokens", usage.cached_tokens},
          {"completion_tokens", usage.completion_tokens}, {"compute_micros", usage.compute_micros},
          {"queue_micros", usage.queue_micros},       {"first_token_micros", usage.first_token_micros},
          {"total_micros", usage.total_micros}};
}

}  // namespace stoa::gateway::admin
