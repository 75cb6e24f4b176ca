// TLS of a listener: its certificate, which may be exchanged while it serves, and whose clients' certificates it believes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "infra/http/message.h"

namespace boost::asio::ssl {
class context;
}

namespace stoa::infra {

enum class TlsVersion : std::uint8_t { k1_2, k1_3 };

struct TlsOptions {
  std::string certificate{};  // PEM chain; empty = plain HTTP
  std::string key{};          // PEM, not encrypted
  std::string client_ca{};    // PEM certificates whose holders' certificates are believed; empty: clients are not asked for one
  bool client_required = false;  // with client_ca: no handshake without a certificate
  TlsVersion minimum = TlsVersion::k1_3;
};

// How the latest attempt to load a certificate went.
struct CertificateState {
  std::int64_t not_after = 0;  // of the certificate in use: seconds since 1970, UTC
  bool accepted = true;        // false: the new files could not be used, and those from before stay in force
};
using CertificateObserver = std::function<void(const CertificateState&)>;

// Thread-safe. Connections keep the context that they began with.
class ListenerTls {
 public:
  // kInvalidArgument names the file. `observer` (may be empty) is told of every attempt, on the thread that made it.
  static Result<std::unique_ptr<ListenerTls>> load(TlsOptions options, CertificateObserver observer);
  ~ListenerTls();

  std::shared_ptr<boost::asio::ssl::context> current() const;
  // Reads the files again. On an error the certificate in use stays; the error, which is also logged, names file and reason.
  Status reload();
  // Reloads once the files have changed and then stayed the same from one call to the next, so that a pair is not taken while it
  // is being written. Warns once a day of a certificate that ends soon. Meant to be called every second or so.
  void watch();

 private:
  struct Impl;
  explicit ListenerTls(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a verified client showed in the handshake of `ssl` (an OpenSSL SSL*); null when it showed nothing.
std::shared_ptr<const PeerCertificate> verified_peer(void* ssl);

// A text that changes when one of the files does (identity, size, time of change); missing files count as such.
std::string file_signature(std::initializer_list<const std::string*> paths);

}  // namespace stoa::infra
