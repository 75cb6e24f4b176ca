// The CLI's view of a server: JSON calls and event streams with the caller's key. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace stoa::infra {
class HttpClient;
}

namespace stoa::cli {

class ApiClient {
 public:
  // `url` without a trailing "/v1". Errors of calls: kUnavailable when nothing answers (hint: stoa serve), else what the
  // server's error body says, with the code that its status stands for.
  ApiClient(std::string url, std::string key);
  ~ApiClient();
  ApiClient(ApiClient&&) noexcept;

  Result<JsonObject> get(std::string_view path);
  Result<JsonObject> post(std::string_view path, const JsonObject& body);
  Result<JsonObject> put(std::string_view path, const JsonObject& body);
  Result<JsonObject> remove(std::string_view path);
  Result<JsonObject> put_bytes(std::string_view path, std::string body);
  // A file by the Files API.
  Result<JsonObject> upload(const std::string& name, std::string_view purpose, std::string_view bytes);
  Result<std::string> get_text(std::string_view path);

  // Posts and hands over each server-sent event's JSON until the stream ends or `on_event` returns false.
  Status stream(std::string_view path, const JsonObject& body, const std::function<bool(const JsonObject&)>& on_event);

  const std::string& url() const { return url_; }

 private:
  Result<std::string> call(std::string_view method, std::string_view path, std::string body, std::string_view type);

  std::string url_, key_;
  std::unique_ptr<infra::HttpClient> http_;
};

// A text as one segment of a path or one value of a query.
std::string percent_encoded(std::string_view text);

// Finds a collection by its id or its name: the id. Makes it when `create` is set and no such name exists.
Result<std::string> resolve_store(ApiClient& api, const std::string& name_or_id, bool create);

}  // namespace stoa::cli
