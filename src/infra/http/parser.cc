#include "infra/http/parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "infra/http/head_check.h"
#include "infra/http/router.h"

namespace stoa::infra {
namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

namespace {

std::string_view view(BeastView text) { return {text.data(), text.size()}; }

error_code stop() { return make_error_code(boost::system::errc::operation_canceled); }

// Beast asserts that a last chunk that was seen in part comes again with at least its five bytes ("0 CR LF CR LF"). Chunks are
// never shorter, so between them nothing is lost by waiting for as many.
constexpr std::size_t kShortestChunk = 5;

// Feeds until the parser wants more bytes, has reached `pause`, or fails. Beast reports "need more" as an error.
template <class Parser, class Pause>
std::size_t put_all(Parser& parser, std::string_view data, error_code& ec, Pause pause) {
  std::size_t used = 0;
  while (used < data.size() && !parser.is_done()) {
    ec = {};
    if (parser.head && parser.chunked() && parser.chunk_left == 0 && data.size() - used < kShortestChunk) break;
    const std::size_t n = parser.put(boost::asio::const_buffer(data.data() + used, data.size() - used), ec);
    used += n;
    if (ec == http::error::need_more) {
      ec = {};
      if (n == 0) break;
      continue;
    }
    if (ec || pause()) break;
    if (n == 0) break;
  }
  return used;
}

}  // namespace

struct RequestParser::Impl final : http::basic_parser<true> {
  explicit Impl(std::size_t max_header) : max_header(max_header) {
    header_limit(static_cast<std::uint32_t>(max_header));
    body_limit(boost::none);  // the limit is kept here, where the status is known
  }

  const std::size_t max_header;
  std::size_t head_bytes = 0, looked_at = 0;
  int failed_status = 400;
  Error failure;
  std::uint64_t max_body = 0, chunk_left = 0;
  bool expects = false, coded = false, head = false;
  int hosts = 0, http_version = 11;
  HttpRequest request;

  // Chunk extensions and trailer fields are taken only when they are whole: what waits for its end has the head's limit.
  bool long_rest(std::size_t used, std::string_view data) const { return head && used == 0 && !is_done() && data.size() > max_header; }

  void refuse(int status, Error error, error_code& ec) {
    failed_status = status;
    failure = std::move(error);
    ec = stop();
  }

  void on_request_impl(http::verb, BeastView method, BeastView target, int version, error_code& ec) override {
    http_version = version;
    request.method = view(method);
    if (Status parsed = set_target(request, std::string(view(target))); !parsed) refuse(400, parsed.error(), ec);
  }
  void on_response_impl(int, BeastView, int, error_code&) override {}
  void on_field_impl(http::field name, BeastView name_text, BeastView value, error_code& ec) override {
    if (head) return;  // a trailer: it comes too late to be believed
    request.headers.add(std::string(view(name_text)), std::string(view(value)));
    if (name == http::field::host) ++hosts;
    if (name == http::field::transfer_encoding) coded = true;
    if (name != http::field::expect) return;
    if (!equals_ignoring_case(view(value), "100-continue"))
      return refuse(417, error(ErrorCode::kInvalidArgument, "Expect: only 100-continue is understood"), ec);
    expects = true;
  }
  void on_header_impl(error_code& ec) override {
    head = true;
    // RFC 9112: exactly one Host in 1.1; a coding that is not understood leaves the end of the body unknown.
    if (hosts > 1 || (hosts == 0 && http_version == 11))
      return refuse(400, error(ErrorCode::kInvalidArgument, "the request has {} Host fields, not one", hosts), ec);
    if (coded && !(chunked() && equals_ignoring_case(request.headers.get("Transfer-Encoding"), "chunked")))
      return refuse(501, error(ErrorCode::kUnsupported, "Transfer-Encoding: only chunked is understood"), ec);
    if (auto problem = check_head(request)) return refuse(problem->status, std::move(problem->error), ec);
    if (coded && http_version == 10) return refuse(400, error(ErrorCode::kInvalidArgument, "Transfer-Encoding in HTTP/1.0"), ec);
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastView body, error_code& ec) override {
    if (request.body.size() + body.size() > max_body) {
      refuse(413, error(ErrorCode::kTooLarge, "the body exceeds the limit of {} bytes", max_body), ec);
      return 0;
    }
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, BeastView, error_code& ec) override {
    chunk_left = size;
    if (size > max_body) refuse(413, error(ErrorCode::kTooLarge, "the body exceeds the limit of {} bytes", max_body), ec);
  }
  std::size_t on_chunk_body_impl(std::uint64_t remain, BeastView body, error_code& ec) override {
    chunk_left = remain - body.size();
    return on_body_impl(body, ec);
  }
  void on_finish_impl(error_code&) override {}
};

RequestParser::RequestParser(std::size_t max_header) : impl_(std::make_unique<Impl>(max_header)) {}
RequestParser::~RequestParser() = default;

Result<std::size_t> RequestParser::feed(std::string_view data) {
  error_code ec;
  const bool had_head = impl_->head;
  if (!had_head) {
    // The head is given to the parser whole: what it must not contain is seen before anything of it is believed.
    const auto end = data.find("\r\n\r\n", impl_->looked_at < 3 ? 0 : impl_->looked_at - 3);
    const std::string_view arrived = data.substr(0, end == std::string_view::npos ? end : end + 4);
    if (auto problem = check_head_bytes(arrived, impl_->looked_at)) {
      impl_->failed_status = problem->status;
      return fail(std::move(problem->error));
    }
    // The last byte is looked at again: a CR is good or bad by what follows.
    impl_->looked_at = arrived.empty() ? 0 : arrived.size() - 1;
    if (arrived.size() > impl_->max_header) {
      impl_->failed_status = 431;
      return fail(ErrorCode::kTooLarge, "the request line and header fields exceed the limit");
    }
    if (end == std::string_view::npos) return 0;
  }
  const std::size_t used = put_all(*impl_, data, ec, [&] { return impl_->head && !had_head; });
  // Beast takes complete lines as they come and holds its limit against what is left: the sum is kept here.
  if (!had_head) impl_->head_bytes += used;
  const bool long_head = impl_->head_bytes + (impl_->head ? 0 : data.size() - used) > impl_->max_header || impl_->long_rest(used, data);
  if (!ec && !long_head) return used;
  if (ec == stop()) return fail(impl_->failure);
  if (ec == http::error::header_limit || long_head) {
    impl_->failed_status = 431;
    return fail(ErrorCode::kTooLarge, "the request line and header fields exceed the limit");
  }
  return fail(ErrorCode::kInvalidArgument, "malformed HTTP request: {}", ec.message());
}

int RequestParser::status() const { return impl_->failed_status; }
bool RequestParser::head_done() const { return impl_->head; }
bool RequestParser::done() const { return impl_->is_done(); }
bool RequestParser::keep_alive() const { return impl_->keep_alive(); }
bool RequestParser::http_1_0() const { return impl_->http_version == 10; }
bool RequestParser::expects_continue() const { return impl_->expects && impl_->http_version == 11; }
void RequestParser::set_max_body(std::uint64_t bytes) { impl_->max_body = bytes; }
std::size_t RequestParser::body_size() const { return impl_->request.body.size(); }
HttpRequest& RequestParser::request() { return impl_->request; }
std::optional<std::uint64_t> RequestParser::content_length() const {
  const auto length = impl_->content_length();
  return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}

struct ResponseParser::Impl final : http::basic_parser<false> {
  Impl(std::size_t max_header, std::uint64_t max_body, bool no_body, Sink sink)
      : max_header(max_header), max_body(max_body), no_body(no_body), sink(std::move(sink)) {
    header_limit(static_cast<std::uint32_t>(max_header));
    body_limit(boost::none);
    skip(no_body);
  }

  const std::size_t max_header;
  const std::uint64_t max_body;
  const bool no_body;
  const Sink sink;
  std::uint64_t received = 0, chunk_left = 0;
  std::size_t head_bytes = 0;
  int status = 0;
  bool head = false, stopped = false;
  HttpHeaders headers;
  std::optional<Error> failure;

  void on_request_impl(http::verb, BeastView, BeastView, int, error_code&) override {}
  void on_response_impl(int code, BeastView, int, error_code&) override { status = code; }
  void on_field_impl(http::field, BeastView name, BeastView value, error_code&) override {
    if (!head) headers.add(std::string(view(name)), std::string(view(value)));
  }
  void on_header_impl(error_code& ec) override {
    head = true;
    if (!no_body && status >= 200 && content_length() && *content_length() > max_body) return too_large(ec);
    if (status < 200 || !sink.on_head) return;
    if (Status accepted = sink.on_head(status, headers); !accepted) {
      failure = accepted.error();
      ec = stop();
    }
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(BeastView body, error_code& ec) override {
    received += body.size();
    if (received > max_body) {
      too_large(ec);
      return 0;
    }
    if (sink.on_data && !sink.on_data(view(body))) {
      stopped = true;
      ec = stop();
    }
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, BeastView, error_code&) override { chunk_left = size; }
  std::size_t on_chunk_body_impl(std::uint64_t remain, BeastView body, error_code& ec) override {
    chunk_left = remain - body.size();
    return on_body_impl(body, ec);
  }
  void on_finish_impl(error_code&) override {}

  // Chunk extensions and trailer fields are taken only when they are whole: what waits for its end has the head's limit.
  bool long_rest(std::size_t used, std::string_view data) const { return head && used == 0 && !is_done() && data.size() > max_header; }

  void too_large(error_code& ec) {
    failure = error(ErrorCode::kTooLarge, "the response body exceeds the limit of {} bytes", max_body);
    ec = stop();
  }
};

ResponseParser::ResponseParser(std::size_t max_header, std::uint64_t max_body, bool no_body, Sink sink)
    : impl_(std::make_unique<Impl>(max_header, max_body, no_body, std::move(sink))) {}
ResponseParser::~ResponseParser() = default;

Result<std::size_t> ResponseParser::feed(std::string_view data) {
  error_code ec;
  const bool had_head = impl_->head;
  const std::size_t used = put_all(*impl_, data, ec, [&] { return impl_->head && !had_head; });
  if (!had_head) impl_->head_bytes += used;
  const bool long_head = impl_->head_bytes + (impl_->head ? 0 : data.size() - used) > impl_->max_header || impl_->long_rest(used, data);
  if (impl_->failure) return fail(*impl_->failure);
  if ((!ec && !long_head) || impl_->stopped) return used;
  if (ec == http::error::header_limit || long_head) return fail(ErrorCode::kTooLarge, "the response's header exceeds the limit");
  return fail(ErrorCode::kUnavailable, "malformed HTTP response: {}", ec.message());
}

Status ResponseParser::feed_end() {
  if (impl_->is_done()) return {};
  error_code ec;
  if (impl_->head) impl_->put_eof(ec);
  if (!impl_->head || ec) return fail(ErrorCode::kUnavailable, "the server closed the connection before the end of its reply");
  return {};
}

bool ResponseParser::head_done() const { return impl_->head; }
bool ResponseParser::done() const { return impl_->is_done(); }
bool ResponseParser::stopped() const { return impl_->stopped; }
bool ResponseParser::keep_alive() const { return impl_->is_done() && impl_->keep_alive(); }
int ResponseParser::status() const { return impl_->status; }
HttpHeaders& ResponseParser::headers() { return impl_->headers; }

}  // namespace stoa::infra
