#include "gateway/api/openai/paging.h"

#include <charconv>

namespace stoa::gateway::openai {

Result<data::PageRequest> parse_page(const infra::HttpRequest& request, std::size_t max) {
  data::PageRequest page;
  if (const auto limit = request.query_param("limit")) {
    const auto [end, code] = std::from_chars(limit->data(), limit->data() + limit->size(), page.limit);
    if (code != std::errc() || end != limit->data() + limit->size() || page.limit < 1 || page.limit > max)
      return fail(error(ErrorCode::kInvalidArgument, "'limit' must be an integer from 1 to {}", max).with_param("limit"));
  }
  if (const auto order = request.query_param("order")) {
    if (*order != "asc" && *order != "desc") return fail(error(ErrorCode::kInvalidArgument, "'order' must be 'asc' or 'desc'").with_param("order"));
    page.ascending = *order == "asc";
  }
  if (request.query_param("before"))
    return fail(error(ErrorCode::kInvalidArgument, "'before' is not supported here: page with 'after' and 'order'").with_param("before"));
  page.after = request.query_param("after").value_or("");
  return page;
}

JsonObject page_json(JsonArray items, bool more) {
  const auto id_of = [](const Json& item) { return item.get_object().at("id"); };
  JsonObject out;
  out["object"] = "list";
  out["first_id"] = items.empty() ? Json(nullptr) : id_of(items.front());
  out["last_id"] = items.empty() ? Json(nullptr) : id_of(items.back());
  out["has_more"] = more;
  out["data"] = std::move(items);
  return out;
}

}  // namespace stoa::gateway::openai
