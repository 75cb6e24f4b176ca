// Internal to the client: one connection to a server, driven by the calling thread with a time limit for every step.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "infra/http/client.h"

namespace stoa::infra {

// Trust settings shared by connections; made once.
class TlsTrust {
 public:
  // From the options' files and minimum. kInvalidArgument names the file.
  static Result<std::shared_ptr<TlsTrust>> load(const HttpClientOptions& options);
  ~TlsTrust();
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  TlsTrust();
  std::unique_ptr<Impl> impl_;
};

// How long a step may take. `what` appears in the error: "connecting", "waiting for the first byte".
struct StepLimit {
  Deadline deadline;
  std::string_view what;
  CancelToken cancel;
};

// Says of a numeric address whether it may be connected to; empty: any.
using AddressCheck = std::function<Status(const std::string& address)>;

// Used by one thread at a time. After an error only destruction is allowed.
class Transport {
 public:
  // Name lookup and TCP, to exactly the addresses that were looked up and checked: a name that means something else a moment later
  // changes nothing. Errors: those of `check`, kUnavailable, kDeadlineExceeded, kCancelled.
  static Result<std::unique_ptr<Transport>> connect(const std::string& host, std::uint16_t port, const AddressCheck& check, const StepLimit& limit);
  ~Transport();

  // Upgrades the connection, checking the certificate against `host`.
  Status start_tls(const std::string& host, const std::shared_ptr<TlsTrust>& trust, const StepLimit& limit);
  Status write(std::string_view bytes, const StepLimit& limit);
  // Appends what has arrived to `into`; 0 when the peer closed the connection.
  Result<std::size_t> read(std::string& into, const StepLimit& limit);
  // True when an idle connection is still of use: open, and nothing unexpected has arrived.
  bool still_idle();

 private:
  Transport();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stoa::infra
