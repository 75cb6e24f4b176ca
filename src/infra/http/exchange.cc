#include "infra/http/exchange.h"

#include <charconv>
#include <ctime>
#include <iterator>

#include <sys/socket.h>

namespace stoa::infra {
namespace {

// IMF-fixdate (RFC 9110, 5.6.7), made once a second for each thread.
const std::string& http_date() {
  thread_local std::time_t second = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != second) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm utc{};
    gmtime_r(&now, &utc);
    text = fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon],
                       utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    second = now;
  }
  return text;
}

// A line break in a header would let its author write headers or a body of his own: it becomes a space.
void append_clean(std::string& out, std::string_view text) {
  for (const char c : text) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
}

bool is_framing(std::string_view name) {
  return equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "transfer-encoding") ||
         equals_ignoring_case(name, "connection") || equals_ignoring_case(name, "date");
}

}  // namespace

void Exchange::append_head(int status, const HttpHeaders& headers, const std::string& framing) {
  keep_alive_ = keep_alive_ && options_.keep_alive && !(options_.draining != nullptr && options_.draining->load(std::memory_order_relaxed)) &&
                !headers.lists("Connection", "close");
  bodiless_ = options_.head_only || status == 204 || status == 304;
  out_ += fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status, http_reason(status), http_date());
  for (const auto& [name, value] : headers.all()) {
    if (is_framing(name)) continue;
    append_clean(out_, name);
    out_ += ": ";
    append_clean(out_, value);
    out_ += "\r\n";
  }
  if (status != 204 && status != 304) out_ += framing;
  if (!keep_alive_) out_ += "Connection: close\r\n";
  else if (options_.http_1_0) out_ += "Connection: keep-alive\r\n";
  out_ += "\r\n";
}

// From the thread that has the bytes. An error shows again when the connection writes, which is prepared for it.
void Exchange::push() {
  constexpr auto kBurst = std::chrono::microseconds(100);  // pieces closer together are better sent as one
  if (socket_ < 0 || in_flight_ > 0 || out_.empty()) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - std::exchange(pushed_, now) < kBurst) return;
  const ssize_t sent = ::send(socket_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) out_.erase(0, static_cast<std::size_t>(sent));
}

void Exchange::notify(std::unique_lock<std::mutex>& lock) {
  const bool nothing_left = state_ == State::kFinished && keep_alive_ && out_.empty() && in_flight_ == 0;
  const bool wake = wake_ && !(nothing_left && reading_) && !std::exchange(wake_pending_, true);
  lock.unlock();
  if (wake) wake_();
}

void Exchange::send(HttpResponse response) {
  std::unique_lock lock(mutex_);
  if (state_ != State::kIdle) return;
  out_.reserve(response.body.size() + 512);
  append_head(response.status, response.headers, fmt::format("Content-Length: {}\r\n", response.body.size()));
  if (!bodiless_) out_ += response.body;
  state_ = State::kFinished;
  push();
  notify(lock);
}

void Exchange::start(int status, HttpHeaders headers) {
  std::unique_lock lock(mutex_);
  if (state_ != State::kIdle) return;
  chunked_ = !options_.http_1_0;
  if (!chunked_) keep_alive_ = false;
  append_head(status, headers, chunked_ ? "Transfer-Encoding: chunked\r\n" : "");
  state_ = State::kStreaming;
  push();
  pushed_ = {};  // the first piece is no burst
  if (!out_.empty()) notify(lock);
}

bool Exchange::write(std::string_view piece) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return state_ != State::kStreaming || cancelled_.cancelled() || out_.size() + in_flight_ < options_.send_buffer; };
  if (options_.on_io_thread && !ready()) return false;
  // Ends when the client reads or, at the latest, when the connection's write timeout closes it.
  room_.wait(lock, ready);
  if (state_ != State::kStreaming || cancelled_.cancelled()) return false;
  if (piece.empty() || bodiless_) return true;
  if (chunked_) {
    char digits[16];
    out_.append(digits, std::to_chars(digits, std::end(digits), piece.size(), 16).ptr);
    out_ += "\r\n";
  }
  out_ += piece;
  if (chunked_) out_ += "\r\n";
  push();
  if (!out_.empty()) notify(lock);
  return true;
}

void Exchange::finish() {
  std::unique_lock lock(mutex_);
  if (state_ != State::kStreaming) return;
  if (chunked_ && !bodiless_) out_ += "0\r\n\r\n";
  state_ = State::kFinished;
  push();
  notify(lock);
}

void Exchange::abort() {
  std::unique_lock lock(mutex_);
  if (state_ == State::kFinished) return;
  state_ = State::kAborted;
  room_.notify_all();
  notify(lock);
}

void Exchange::on_gone(std::function<void()> callback) {
  std::lock_guard lock(callback_mutex_);
  if (returned_) return;
  if (cancelled_.cancelled()) return callback();
  callbacks_.push_back(std::move(callback));
}

bool Exchange::started() const {
  std::lock_guard lock(mutex_);
  return state_ != State::kIdle;
}

Exchange::Next Exchange::take(std::string& out) {
  std::lock_guard lock(mutex_);
  wake_pending_ = false;
  if (!out_.empty()) {
    in_flight_ = out_.size();
    out.swap(out_);
    out_.clear();
    return Next::kData;
  }
  if (state_ == State::kAborted) return Next::kAbort;
  return state_ == State::kFinished ? Next::kDone : Next::kWait;
}

void Exchange::sent() {
  {
    std::lock_guard lock(mutex_);
    in_flight_ = 0;
  }
  room_.notify_all();
}

void Exchange::reading(bool reading) {
  std::lock_guard lock(mutex_);
  reading_ = reading;
}

void Exchange::detach() {
  std::lock_guard lock(mutex_);
  socket_ = -1;
}

void Exchange::gone() {
  {
    std::lock_guard lock(mutex_);
    const bool delivered = state_ == State::kFinished && out_.empty() && in_flight_ == 0;
    if (delivered || cancelled_.cancelled()) return;
    cancelled_.cancel();
  }
  room_.notify_all();
  std::lock_guard lock(callback_mutex_);
  for (auto& callback : callbacks_) callback();
  callbacks_.clear();
}

bool Exchange::keep_alive() const {
  std::lock_guard lock(mutex_);
  return keep_alive_;
}

void Exchange::handler_returned() {
  std::lock_guard lock(callback_mutex_);
  returned_ = true;
  callbacks_.clear();
}

}  // namespace stoa::infra
