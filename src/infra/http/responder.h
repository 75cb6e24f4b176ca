// The answering side of one request: what a handler writes to. The server implements it over a socket; MemoryResponder
// keeps everything, so that handlers are tested without a server.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "infra/http/message.h"

namespace stoa::infra {

// Usable from any thread while the handler runs; the handler returns only when no other thread uses it any more.
// Exactly one of: send(), or start() then write()* then finish() or abort(). Calls out of order do nothing. A handler that
// returns without an answer gets a 500 sent for it, and a stream left open is aborted.
class Responder {
 public:
  virtual ~Responder() = default;

  // The whole response at once. Does not wait for the client to read it.
  virtual void send(HttpResponse response) = 0;

  // Begins a response of unknown length (chunked in HTTP/1.1).
  virtual void start(int status, HttpHeaders headers) = 0;
  // Queues a piece; waits while the connection's send buffer is full. False when the client has gone: stop producing.
  virtual bool write(std::string_view piece) = 0;
  virtual void finish() = 0;
  // Closes the connection without a proper end, so that the client cannot take what it has for the whole.
  virtual void abort() = 0;

  // Set as soon as the client disconnects, even while nothing is being written. The flag may be handed to workers.
  virtual CancelToken cancelled() const = 0;
  bool client_gone() const { return cancelled().cancelled(); }
  // Calls `callback` once when the client disconnects: at once if it has, never after the handler returned. It runs on an
  // I/O thread and must not block.
  virtual void on_gone(std::function<void()> callback) = 0;

  // True once send() or start() was called.
  virtual bool started() const = 0;
};

// Records a response. `disconnect()` plays a client that goes away.
class MemoryResponder : public Responder {
 public:
  void send(HttpResponse response) override;
  void start(int status, HttpHeaders headers) override;
  bool write(std::string_view piece) override;
  void finish() override;
  void abort() override;
  CancelToken cancelled() const override { return cancelled_; }
  void on_gone(std::function<void()> callback) override;
  bool started() const override;

  void disconnect();
  HttpResponse response() const;               // pieces of a stream joined
  std::vector<std::string> pieces() const;     // what write() was given, one entry a call
  bool finished() const;                       // send() or finish() was called
  bool aborted() const;

 private:
  enum class State { kIdle, kStreaming, kFinished, kAborted };
  mutable std::mutex mutex_;
  State state_ = State::kIdle;
  HttpResponse response_;
  std::vector<std::string> pieces_;
  CancelToken cancelled_;
  std::vector<std::function<void()>> callbacks_;
};

}  // namespace stoa::infra
