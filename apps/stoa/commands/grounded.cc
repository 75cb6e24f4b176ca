#include "commands/grounded.h"

#include <algorithm>
#include <cstdio>

#include "base/utf8.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

// Long quotes are cut and line breaks taken out: the link opens the whole.
std::string one_line(std::string text) {
  constexpr std::size_t kLongest = 200;
  std::ranges::replace(text, '\n', ' ');
  if (text.size() <= kLongest) return text;
  text.resize(kLongest);
  text.resize(complete_utf8_prefix(text));
  return text + "…";
}

// "Debian Policy Manual › 5. Control files › 5.6.2 Maintainer"
std::string place(const JsonObject& citation) {
  std::string text = bold(text_of(citation, "title").empty() ? text_of(citation, "filename") : text_of(citation, "title"));
  if (const std::string section = text_of(citation, "section"); !section.empty()) text += " › " + section;
  if (const double page = number_of(citation, "page"); page > 0) text += fmt::format(", page {}", static_cast<int>(page));
  return text;
}

// The first content part of the answer's message, null when there is none.
const JsonObject* output_text(const JsonObject& response) {
  for (const JsonObject* item : objects_of(response, "output"))
    for (const JsonObject* part : objects_of(*item, "content"))
      if (text_of(*part, "type") == "output_text") return part;
  return nullptr;
}

void print_citations(const JsonObject& part) {
  std::vector<std::string> seen;
  for (const JsonObject* citation : objects_of(part, "annotations")) {
    const std::string anchor = text_of(*citation, "anchor");
    const std::string where = text_of(*citation, "filename") + (anchor.empty() ? "" : "#" + anchor);
    const std::string key = fmt::format("{} {} {}", text_of(*citation, "file_id"), where, number_of(*citation, "page"));  // two documents may have one name
    if (std::ranges::find(seen, key) != seen.end()) continue;
    seen.push_back(key);
    fmt::print("  [{}] {}\n      {}\n", seen.size(), place(*citation), where);
    if (const std::string quote = one_line(text_of(*citation, "quote")); !quote.empty()) fmt::print("      {}\n", dim("“" + quote + "”"));
    if (const std::string url = text_of(*citation, "url"); !url.empty()) fmt::print("      {}\n", dim(url));
  }
  if (seen.empty()) fmt::print("{}\n", dim("no citation: nothing in the documents supports this"));
}

// What was searched for where it is not what was asked, and which sentences stand on nothing.
void print_notes(const JsonObject& response, const std::string& text) {
  const JsonObject* notes = object_of(response, "stoa");
  if (notes == nullptr) return;
  if (const JsonObject* search = object_of(*notes, "search"); search != nullptr && text_of(*search, "how") != "question")
    fmt::print("{}\n", dim("searched for: " + one_line(text_of(*search, "query"))));
  const auto byte_of = [&](std::int64_t code_point) {
    std::size_t byte = 0;
    for (; byte < text.size() && code_point > 0; --code_point) byte += std::max<std::size_t>(1, decode_rune(std::string_view(text).substr(byte)).size);
    return byte;
  };
  for (const JsonObject* range : objects_of(*notes, "unsupported")) {
    const std::size_t begin = byte_of(integer_of(*range, "start_index")), end = byte_of(integer_of(*range, "end_index"));
    fmt::print("{}\n", dim("not in the documents: “" + one_line(text.substr(begin, end - begin)) + "”"));
  }
}

void print_figures(const JsonObject& response) {
  const JsonObject* usage = object_of(response, "usage");
  if (usage == nullptr) return;
  std::string line = fmt::format("{} tokens in, {} out", integer_of(*usage, "input_tokens"), integer_of(*usage, "output_tokens"));
  if (const JsonObject* figures = object_of(*usage, "stoa"); figures != nullptr)
    line += fmt::format(" · first token {:.0f} ms · {:.1f} tokens/s · cost {} · trace {}", number_of(*figures, "time_to_first_token_ms"),
                        number_of(*figures, "tokens_per_second"), human_cost(integer_of(*figures, "cost_micro_usd")),
                        text_of(*figures, "trace_id"));
  fmt::print("{}\n", dim(line));
}

}  // namespace

JsonObject grounded_request(std::string_view question, const std::string& store) {
  const JsonObject tool{{"type", "file_search"}, {"vector_store_ids", JsonArray{Json(store)}}};
  return JsonObject{{"input", question}, {"tools", JsonArray{Json(tool)}}};
}

Result<JsonObject> stream_grounded(ApiClient& api, JsonObject body) {
  body["stream"] = true;
  JsonObject final_response;
  std::string failure;
  STOA_CHECK(api.stream("/v1/responses", body, [&](const JsonObject& event) {
    const std::string type = text_of(event, "type");
    if (type == "response.output_text.delta") {
      fmt::print("{}", text_of(event, "delta"));
      std::fflush(stdout);
    } else if (type == "response.completed" || type == "response.incomplete" || type == "response.failed") {
      if (const JsonObject* response = object_of(event, "response"); response != nullptr) final_response = *response;
      if (type == "response.failed") {
        const JsonObject* error = object_of(final_response, "error");
        failure = error != nullptr ? text_of(*error, "message") : "the answer failed";
      }
      return false;
    }
    return true;
  }));
  fmt::print("\n");
  if (!failure.empty()) return fail(ErrorCode::kInternal, "{}", failure);
  return final_response;
}

void print_sources(const JsonObject& response) {
  fmt::print("\n");
  if (const JsonObject* part = output_text(response); part != nullptr) {
    print_citations(*part);
    print_notes(response, text_of(*part, "text"));
  }
  print_figures(response);
}

}  // namespace stoa::cli
