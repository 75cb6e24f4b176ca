#include "commands/api_client.h"

#include "base/error_table.h"
#include "commands/json_read.h"
#include "infra/http/client.h"
#include "infra/http/sse.h"

namespace stoa::cli {
namespace {

constexpr int kPageLimit = 100;
constexpr int kMaxPages = 100;

ErrorCode code_of_status(int status) {
  for (const auto& info : error_table())
    if (info.http_status == status) return info.code;
  return status >= 500 ? ErrorCode::kInternal : ErrorCode::kInvalidArgument;
}

Error error_of(int status, std::string_view body) {
  Error error{code_of_status(status), fmt::format("the server answered with status {}", status), {}, {}};
  if (const auto json = parse_json(body); json && json->is_object())
    if (const JsonObject* detail = object_of(json->get_object(), "error"); detail != nullptr) {
      error.message = text_of(*detail, "message");
      error.param = text_of(*detail, "param");
    }
  if (error.code == ErrorCode::kUnauthenticated) error.hint = "set STOA_API_KEY or --key; `stoa keys create` makes a key";
  return error;
}

}  // namespace

ApiClient::ApiClient(std::string url, std::string key)
    : url_(std::move(url)), key_(std::move(key)), http_(std::make_unique<infra::HttpClient>(infra::HttpClientOptions::from_environment())) {}
ApiClient::~ApiClient() = default;
ApiClient::ApiClient(ApiClient&&) noexcept = default;

Result<std::string> ApiClient::call(std::string_view method, std::string_view path, std::string body, std::string_view type) {
  infra::HttpClientRequest request;
  request.method = method;
  request.url = url_ + std::string(path);
  request.body = std::move(body);
  if (!type.empty()) request.headers.set("Content-Type", std::string(type));
  if (!key_.empty()) request.headers.set("Authorization", "Bearer " + key_);
  auto response = http_->send(request);
  if (!response) {
    if (response.error().code == ErrorCode::kUnavailable)
      return fail(std::move(response).error().with_hint("is the server running? `stoa serve` starts one; --url or STOA_URL names another"));
    return fail(std::move(response).error());
  }
  if (response->status >= 400) return fail(error_of(response->status, response->body));
  return std::move(response->body);
}

namespace {

Result<JsonObject> as_object(Result<std::string> text) {
  if (!text) return fail(std::move(text).error());
  if (text->empty()) return JsonObject{};
  STOA_TRY(json, parse_json(*text));
  if (!json.is_object()) return fail(ErrorCode::kInternal, "the server's reply is not a JSON object");
  return json.get_object();
}

}  // namespace

Result<JsonObject> ApiClient::get(std::string_view path) { return as_object(call("GET", path, {}, {})); }
Result<JsonObject> ApiClient::post(std::string_view path, const JsonObject& body) { return as_object(call("POST", path, dump_json(body), "application/json")); }
Result<JsonObject> ApiClient::put(std::string_view path, const JsonObject& body) { return as_object(call("PUT", path, dump_json(body), "application/json")); }
Result<JsonObject> ApiClient::remove(std::string_view path) { return as_object(call("DELETE", path, {}, {})); }
Result<JsonObject> ApiClient::put_bytes(std::string_view path, std::string body) { return as_object(call("PUT", path, std::move(body), "application/octet-stream")); }
Result<std::string> ApiClient::get_text(std::string_view path) { return call("GET", path, {}, {}); }

Result<JsonObject> ApiClient::upload(const std::string& name, std::string_view purpose, std::string_view bytes) {
  std::string boundary = "stoa";
  while (bytes.contains(boundary)) boundary += "x";
  std::string quoted = name;
  std::erase_if(quoted, [](unsigned char c) { return c < 0x20 || c == '"' || c == '\\'; });
  const std::string form = fmt::format("--{0}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{1}\r\n--{0}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{2}\"\r\n"
                                       "Content-Type: application/octet-stream\r\n\r\n{3}\r\n--{0}--\r\n", boundary, purpose, quoted, bytes);
  return as_object(call("POST", "/v1/files", form, "multipart/form-data; boundary=" + boundary));
}

Status ApiClient::stream(std::string_view path, const JsonObject& body, const std::function<bool(const JsonObject&)>& on_event) {
  infra::HttpClientRequest request;
  request.method = "POST";
  request.url = url_ + std::string(path);
  request.body = dump_json(body);
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Accept", "text/event-stream");
  if (!key_.empty()) request.headers.set("Authorization", "Bearer " + key_);

  int status = 0;
  bool done = false;
  std::string error_body;
  Status failure;
  infra::SseParser parser([&](const infra::SseEvent& event) {
    if (event.data == "[DONE]") {
      done = true;
      return false;
    }
    auto json = parse_json(event.data);
    if (!json || !json->is_object()) {
      failure = fail(ErrorCode::kInternal, "the server sent an event that is not a JSON object");
      return false;
    }
    if (const JsonObject* detail = object_of(json->get_object(), "error"); detail != nullptr && text_of(json->get_object(), "type").empty()) {
      failure = fail(ErrorCode::kInternal, "{}", text_of(*detail, "message"));
      return false;
    }
    done = !on_event(json->get_object());
    return !done;
  });
  infra::HttpStream sink;
  sink.on_head = [&](int head, const infra::HttpHeaders&) -> Status {
    status = head;
    return {};
  };
  sink.on_data = [&](std::string_view piece) {
    if (status >= 400) {
      error_body += piece.substr(0, 65536 - std::min<std::size_t>(65536, error_body.size()));
      return true;
    }
    if (const Status fed = parser.feed(piece); !fed) failure = fed;
    return failure.has_value() && !parser.stopped();
  };
  const auto result = http_->stream(request, sink);
  if (!failure) return failure;
  if (!result && !done) {
    auto error = result.error();
    if (error.code == ErrorCode::kUnavailable) error.hint = "is the server running? `stoa serve` starts one; --url or STOA_URL names another";
    return fail(std::move(error));
  }
  if (status >= 400) return fail(error_of(status, error_body));
  return {};
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~").contains(c)) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

Result<std::string> resolve_store(ApiClient& api, const std::string& name_or_id, bool create) {
  std::string after;
  std::vector<std::string> names;
  for (int page = 0; page < kMaxPages; ++page) {
    STOA_TRY(list, api.get(fmt::format("/v1/vector_stores?limit={}{}{}", kPageLimit, after.empty() ? "" : "&after=", after)));
    for (const JsonObject* store : objects_of(list, "data")) {
      if (text_of(*store, "id") == name_or_id || text_of(*store, "name") == name_or_id) return text_of(*store, "id");
      names.push_back(text_of(*store, "name"));
    }
    const Json* more = find(list, "has_more");
    if (more == nullptr || !more->is_bool() || !more->get_bool()) break;
    after = text_of(list, "last_id");
  }
  if (create) {
    STOA_TRY(made, api.post("/v1/vector_stores", JsonObject{{"name", name_or_id}}));
    return text_of(made, "id");
  }
  std::string known;
  for (const auto& name : names) known += (known.empty() ? "" : ", ") + name;
  return fail(error(ErrorCode::kNotFound, "there is no vector store '{}'", name_or_id)
                  .with_hint(known.empty() ? "ingest documents first: stoa ingest FOLDER --store NAME" : "there are: " + known));
}

}  // namespace stoa::cli
