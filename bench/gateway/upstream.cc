// An upstream for the gateway's bench: OpenAI's Chat Completions, plain and streamed, answered at once and the same for the same request, with usage.
// The name of the model says how:
//   answer-N           N tokens at once
//   paced-N-MICROS     streams N tokens, one each MICROS; the text of each says when it was sent ("t=<nanoseconds>")
//   flaky-N-PERMILLE   N tokens that count themselves in each event, as vLLM's continuous_usage_stats does; so many of a thousand requests fail: with a
//                      status, a connection that ends, a stream that breaks. Which and how hangs on the request's id.
// Anything else is answer-16. The request's id is what follows "id=" in its body. GET /account tells what was served, a line for each request:
// "<id> <model> <outcome> <prompt tokens> <completion tokens>", where outcome is whole, refused (nothing was begun) or broken.
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

namespace stoa::bench {
namespace {

enum class Fault { kNone, kServerError, kTooMany, kSilent, kBetweenEvents, kInEvent, kGarbage, kNoEnd, kErrorEvent, kCount };

struct Asked {
  std::string id, model, kind = "answer";
  long tokens = 16, second = 0;  // numbers behind the kind
  bool stream = false;
  std::size_t prompt_tokens = 0;
};

std::string_view text_after(std::string_view body, std::string_view name) {
  auto at = body.find(name);
  if (at == std::string_view::npos) return {};
  body.remove_prefix(at + name.size());
  while (body.starts_with(' ') || body.starts_with(':')) body.remove_prefix(1);
  if (body.starts_with('"')) body.remove_prefix(1);
  return body.substr(0, body.find_first_of("\",} "));
}

Asked read_request(std::string_view body) {
  Asked asked;
  asked.model = text_after(body, "\"model\"");
  asked.stream = text_after(body, "\"stream\"") == "true";
  if (const auto at = body.find("id="); at != std::string_view::npos) asked.id = body.substr(at + 3, 12);
  asked.prompt_tokens = body.size() / 4;
  std::vector<std::string_view> parts;
  for (std::string_view rest = asked.model; !rest.empty();) {
    const auto part = rest.substr(0, rest.find('-'));
    parts.push_back(part);
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  }
  const auto number = [&](std::size_t at, long usual) {
    if (parts.size() > at) std::from_chars(parts[at].data(), parts[at].data() + parts[at].size(), usual);
    return usual;
  };
  if (!parts.empty()) asked.kind = parts[0];
  asked.tokens = number(1, 16);
  asked.second = number(2, 0);
  return asked;
}

std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  return hash ^ (hash >> 31);
}

Fault fault_of(const Asked& asked) {
  if (asked.kind != "flaky") return Fault::kNone;
  const auto hash = hash_of(asked.id + asked.model);
  if (static_cast<long>(hash % 1000) >= asked.second) return Fault::kNone;
  return static_cast<Fault>(1 + hash / 1000 % (static_cast<int>(Fault::kCount) - 1));
}

std::string response(int status, std::string_view type, std::string_view body) {
  return fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", status, status == 200 ? "OK" : "Error", type, body.size(), body);
}

std::string usage(std::size_t prompt, long completion) {
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})", prompt, completion, static_cast<long>(prompt) + completion);
}

std::string in_chunk(std::string_view data) { return fmt::format("{:x}\r\n{}\r\n", data.size(), data); }

class Upstream {
 public:
  explicit Upstream(int port) : listener_(listen_on(port)) {
    loop_.watch(listener_, [this] { accept_all(); });
  }
  void run() { loop_.run(); }

 private:
  struct Peer {
    int fd = -1;
    std::string in, out;
    bool broken = false;
  };
  using PeerPointer = std::shared_ptr<Peer>;

  // A stream under way.
  struct Stream {
    PeerPointer peer;
    Asked asked;
    Fault fault = Fault::kNone;
    long given = 0, breaks_at = 0;
    std::size_t account = 0;
  };

  struct Served {
    std::string id, model;
    std::size_t prompt_tokens;
    const char* outcome = "broken";
    long completion = 0;
  };

  void accept_all() {
    for (int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); fd >= 0; fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) {
      const auto peer = std::make_shared<Peer>();
      peer->fd = fd;
      loop_.watch(fd, [this, peer] { ready(peer); });
    }
  }

  void end(const PeerPointer& peer) {
    if (std::exchange(peer->broken, true)) return;
    loop_.forget(peer->fd);
    ::close(peer->fd);
  }

  void send(const PeerPointer& peer, std::string_view bytes) {
    if (peer->broken) return;
    peer->out += bytes;
    if (!write_from(peer->fd, peer->out)) end(peer);
  }

  void ready(const PeerPointer& peer) {
    if (peer->broken) return;
    if (!read_into(peer->fd, peer->in)) return end(peer);
    send(peer, {});
    while (!peer->broken) {
      const auto head = read_head(peer->in);
      if (!head || peer->in.size() < head->size + head->content_length.value_or(0)) return;
      const std::string line(head->first_line);
      const std::string body = peer->in.substr(head->size, head->content_length.value_or(0));
      peer->in.erase(0, head->size + body.size());
      answer(peer, line, body);
    }
  }

  void answer(const PeerPointer& peer, std::string_view line, std::string_view body) {
    if (line.starts_with("GET /account")) {
      std::string text;
      for (const Served& served : account_)
        text += fmt::format("{} {} {} {} {}\n", served.id, served.model, served.outcome, served.prompt_tokens, served.completion);
      return send(peer, response(200, "text/plain", text));
    }
    if (line.starts_with("GET ")) return send(peer, response(200, "application/json", R"({"object":"list","data":[{"id":"answer-16","object":"model"}]})"));
    Asked asked = read_request(body);
    const Fault fault = fault_of(asked);
    std::size_t account = account_.size();
    if (asked.kind == "flaky") account_.push_back({asked.id, asked.model, asked.prompt_tokens});
    const auto refuse = [&](int status, std::string_view said) {
      account_[account].outcome = "refused";
      send(peer, response(status, "application/json", said));
    };
    switch (fault) {
      case Fault::kServerError: return refuse(500, R"({"error":{"message":"the engine failed","type":"server_error"}})");
      case Fault::kTooMany: return refuse(429, R"({"error":{"message":"slow down","type":"rate_limit_error"}})");
      case Fault::kSilent: account_[account].outcome = "refused"; return end(peer);
      default: break;
    }
    if (!asked.stream) return send(peer, whole(asked));
    Stream stream{.peer = peer, .asked = asked, .fault = fault, .account = account};
    // A broken one breaks anywhere behind its first event and before its last.
    stream.breaks_at = fault == Fault::kNone ? -1 : 1 + static_cast<long>(hash_of(asked.id) % static_cast<std::uint64_t>(std::max(1L, asked.tokens - 1)));
    begin(std::move(stream));
  }

  static std::string whole(const Asked& asked) {
    std::string text;
    for (long i = 0; i < asked.tokens; ++i) text += "word ";
    return response(200, "application/json",
                    fmt::format(R"({{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"{}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},)"
                                R"("finish_reason":"stop"}}],"usage":{}}})",
                                asked.model, text, usage(asked.prompt_tokens, asked.tokens)));
  }

  static std::string event(const Asked& asked, std::string_view choices, long counted) {
    std::string out = fmt::format(R"(data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"{}","choices":{})", asked.model, choices);
    if (counted >= 0) out += R"(,"usage":)" + usage(asked.prompt_tokens, counted);
    return out + "}\n\n";
  }

  static std::string token(const Asked& asked, long given) {
    const std::string text = asked.kind == "paced" ? fmt::format("t={} ", now_nanos()) : "word ";
    return event(asked, fmt::format(R"([{{"index":0,"delta":{{{}"content":"{}"}},"finish_reason":null}}])", given == 0 ? R"("role":"assistant",)" : "", text),
                 asked.kind == "flaky" ? given + 1 : -1);
  }

  void begin(Stream stream) {
    std::string out = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    if (stream.asked.kind == "paced") {
      send(stream.peer, out);
      // Streams that begin together do not send together.
      const auto phase = static_cast<std::int64_t>(hash_of(stream.asked.id) % static_cast<std::uint64_t>(std::max(1L, stream.asked.second)));
      const auto shared = std::make_shared<Stream>(std::move(stream));
      loop_.at(now_nanos() + phase * 1000, [this, shared] { pace(shared, now_nanos()); });
      return;
    }
    while (stream.given < stream.asked.tokens && stream.given != stream.breaks_at) out += in_chunk(token(stream.asked, stream.given++));
    if (stream.fault != Fault::kNone) return break_off(stream, std::move(out));
    if (stream.asked.kind == "flaky") {
      account_[stream.account].outcome = "whole";
      account_[stream.account].completion = stream.given;
    }
    send(stream.peer, out + last(stream));
  }

  static std::string last(const Stream& stream) {
    return in_chunk(event(stream.asked, R"([{"index":0,"delta":{},"finish_reason":"stop"}])", -1)) + in_chunk(event(stream.asked, "[]", stream.given)) + in_chunk("data: [DONE]\n\n") + "0\r\n\r\n";
  }

  void pace(const std::shared_ptr<Stream>& stream, std::int64_t due) {
    if (stream->peer->broken) return;
    send(stream->peer, in_chunk(token(stream->asked, stream->given++)));
    if (stream->given >= stream->asked.tokens) return send(stream->peer, last(*stream));
    due += stream->asked.second * 1000;
    loop_.at(due, [this, stream, due] { pace(stream, due); });
  }

  void break_off(const Stream& stream, std::string out) {
    account_[stream.account].completion = stream.given;
    const std::string next = token(stream.asked, stream.given);
    switch (stream.fault) {
      case Fault::kInEvent: out += in_chunk(std::string_view(next).substr(0, next.size() / 2)); break;
      case Fault::kGarbage: out += in_chunk("data: {\"choices\":[{\"delta\":\xff\n\n"); break;
      case Fault::kNoEnd: out += "0\r\n\r\n"; break;
      case Fault::kErrorEvent: out += in_chunk("data: {\"error\":{\"message\":\"the engine failed\",\"type\":\"server_error\"}}\n\n") + "0\r\n\r\n"; break;
      default: break;
    }
    send(stream.peer, out);
    if (stream.fault != Fault::kNoEnd && stream.fault != Fault::kErrorEvent) end(stream.peer);
  }

  EventLoop loop_;
  const int listener_;
  std::vector<Served> account_;  // of flaky models
};

}  // namespace
}  // namespace stoa::bench

int main(int argc, char** argv) {
  const stoa::bench::Options options(argc, argv, {"port"});
  stoa::bench::Upstream upstream(static_cast<int>(options.number("port", 0)));
  std::puts("ready");
  std::fflush(stdout);
  upstream.run();
}
