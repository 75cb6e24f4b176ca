// The server's Responder: turns what a handler says into bytes for one connection, with a bounded buffer in between. Knows
// nothing of sockets: the connection takes bytes out and reports what became of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/time.h"
#include "infra/http/responder.h"

namespace stoa::infra {

struct ExchangeOptions {
  bool head_only = false;   // a HEAD request: no body goes out
  bool http_1_0 = false;    // no chunks: a stream ends with the connection
  bool keep_alive = true;   // what the request asked for
  bool on_io_thread = false;  // write() must not wait there
  std::size_t send_buffer = 256u << 10;
  const std::atomic<bool>* draining = nullptr;  // true: this is the connection's last answer
};

class Exchange final : public Responder {
 public:
  // `wake` tells the connection that there is something to take; called from any thread, once until take(). Not that an answer is complete which was
  // written as a whole, as long as the connection reads and will take then.
  Exchange(ExchangeOptions options, std::function<void()> wake) : options_(options), wake_(std::move(wake)) {}

  void send(HttpResponse response) override;
  void start(int status, HttpHeaders headers) override;
  bool write(std::string_view piece) override;
  void finish() override;
  void abort() override;
  CancelToken cancelled() const override { return cancelled_; }
  void on_gone(std::function<void()> callback) override;
  bool started() const override;

  // The connection's side, on its I/O thread.
  // Where pieces may be written to at once, by the thread that has them: to wake this one for each would cost more than the piece. What the socket does
  // not take, and what comes in a burst, goes the usual way. Until detach(), after which nothing touches the socket.
  void attach(int socket) { socket_ = socket; }
  void detach();
  enum class Next { kWait, kData, kDone, kAbort };
  Next take(std::string& out);       // kData: `out` holds the bytes to send
  void sent();                       // what take() gave is with the kernel
  void reading(bool reading);        // what comes next of the client makes the connection take; after false it takes once
  void gone();                       // the client disconnected
  bool keep_alive() const;           // after kDone
  // The handler has returned: no callback runs from here on.
  void handler_returned();

 private:
  enum class State { kIdle, kStreaming, kFinished, kAborted };
  void append_head(int status, const HttpHeaders& headers, const std::string& framing);
  void notify(std::unique_lock<std::mutex>& lock);  // unlocks
  void push();

  const ExchangeOptions options_;
  const std::function<void()> wake_;
  const CancelToken cancelled_;

  mutable std::mutex mutex_;
  std::condition_variable room_;
  State state_ = State::kIdle;
  bool keep_alive_ = true, chunked_ = false, bodiless_ = false, wake_pending_ = false, reading_ = false;
  std::string out_;
  std::size_t in_flight_ = 0;
  int socket_ = -1;  // -1: none that others than the connection may write to
  SteadyTime pushed_{};

  std::mutex callback_mutex_;  // held while callbacks run, so that handler_returned() waits for them
  bool returned_ = false;
  std::vector<std::function<void()>> callbacks_;
};

}  // namespace stoa::infra
