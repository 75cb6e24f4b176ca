#include "infra/http/tls.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <mutex>

#include <boost/asio/ssl/context.hpp>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/time.h"

namespace stoa::infra {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kWarnBefore = 30 * kDay;
constexpr std::size_t kMaxNames = 100;  // taken from a certificate
constexpr int kMaxChain = 8;

std::int64_t now_seconds() { return Clock::system().now() / 1'000'000; }

std::int64_t not_after(SSL_CTX* context) {
  const X509* certificate = SSL_CTX_get0_certificate(context);
  std::tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) return 0;
  return timegm(&end);
}

Status wrong(std::string_view what, const std::string& file, const error_code& ec) {
  return fail(error(ErrorCode::kInvalidArgument, "{} {}: {}", what, file, ec.message()).with_hint("it has to be a readable PEM file"));
}

Result<std::shared_ptr<asio::ssl::context>> make_context(const TlsOptions& options) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* const native = context->native_handle();
  error_code ec;
  SSL_CTX_set_min_proto_version(native, options.minimum == TlsVersion::k1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Without it OpenSSL would ask for an encrypted key's password on the terminal.
  context->set_password_callback([](std::size_t, asio::ssl::context::password_purpose) { return std::string(); }, ec);
  context->use_certificate_chain_file(options.certificate, ec);
  if (ec) return fail(wrong("TLS certificate", options.certificate, ec).error());
  context->use_private_key_file(options.key, asio::ssl::context::pem, ec);
  if (ec) return fail(wrong("TLS key", options.key, ec).error());
  if (SSL_CTX_check_private_key(native) != 1)
    return fail(error(ErrorCode::kInvalidArgument, "TLS key {} does not belong to the certificate {}", options.key, options.certificate)
                    .with_hint("replace both files"));
  if (options.client_ca.empty()) return context;
  context->load_verify_file(options.client_ca, ec);
  if (ec) return fail(wrong("certificates of client authorities", options.client_ca, ec).error());
  if (auto* names = SSL_load_client_CA_file(options.client_ca.c_str()); names != nullptr) SSL_CTX_set_client_CA_list(native, names);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER | (options.client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_CTX_set_verify_depth(native, kMaxChain);
  // A resumed session would bring a certificate that was verified in another time, perhaps under other authorities.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(native, 0);
  return context;
}

void warn_of_open_key(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && (status.st_mode & (S_IRGRP | S_IROTH)) != 0)
    log(LogLevel::kWarning, "the TLS key can be read by other users", {{"file", file}, {"hint", "chmod 600 " + file}});
}

}  // namespace

struct ListenerTls::Impl {
  TlsOptions options;
  CertificateObserver observer;
  mutable std::mutex mutex;
  std::shared_ptr<asio::ssl::context> context;
  std::int64_t ends = 0;
  std::string loaded, seen;  // signatures of the files: of the latest attempt, and when last looked at
  std::int64_t warned = 0;

  std::string signature() const { return file_signature({&options.certificate, &options.key, &options.client_ca}); }

  // With the mutex held.
  Status load() {
    loaded = seen = signature();
    auto made = make_context(options);
    const std::int64_t fresh = made ? not_after((*made)->native_handle()) : 0;
    if (made && context && fresh < now_seconds() && ends >= now_seconds())
      made = fail(error(ErrorCode::kInvalidArgument, "TLS certificate {} ended at {}", options.certificate, to_rfc3339(fresh * 1'000'000))
                      .with_hint("replace it by one that is in force"));
    if (made) {
      context = std::move(*made);
      ends = fresh;
      warned = 0;
    }
    if (observer) observer({ends, made.has_value()});
    return made ? Status{} : fail(std::move(made).error());
  }

  void warn_of_end() {
    const std::int64_t now = now_seconds();
    if (ends - now > kWarnBefore || now - warned < kDay) return;
    warned = now;
    log(LogLevel::kWarning, ends < now ? "the TLS certificate has ended: clients refuse it" : "the TLS certificate ends soon",
        {{"file", options.certificate}, {"ends", to_rfc3339(ends * 1'000'000)}, {"hint", "put a new pair in its place: it is taken up without a restart"}});
  }
};

ListenerTls::ListenerTls(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ListenerTls::~ListenerTls() = default;

Result<std::unique_ptr<ListenerTls>> ListenerTls::load(TlsOptions options, CertificateObserver observer) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->observer = std::move(observer);
  STOA_CHECK(impl->load());
  warn_of_open_key(impl->options.key);
  impl->warn_of_end();
  return std::unique_ptr<ListenerTls>(new ListenerTls(std::move(impl)));
}

std::shared_ptr<asio::ssl::context> ListenerTls::current() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->context;
}

Status ListenerTls::reload() {
  std::lock_guard lock(impl_->mutex);
  const Status status = impl_->load();
  if (!status) {
    log_error("the TLS certificate was not reloaded, the one before stays in use", status.error());
    return status;
  }
  log(LogLevel::kInfo, "TLS certificate reloaded", {{"file", impl_->options.certificate}, {"ends", to_rfc3339(impl_->ends * 1'000'000)}});
  impl_->warn_of_end();
  return {};
}

void ListenerTls::watch() {
  {
    std::lock_guard lock(impl_->mutex);
    std::string now = impl_->signature();
    const bool settled = now == impl_->seen, changed = now != impl_->loaded;
    impl_->seen = std::move(now);
    if (!settled || !changed) return impl_->warn_of_end();
  }
  (void)reload();  // logged there
}

std::shared_ptr<const PeerCertificate> verified_peer(void* handle) {
  auto* const ssl = static_cast<SSL*>(handle);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK) return nullptr;
  auto peer = std::make_shared<PeerCertificate>();
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest, &size) != 1) return nullptr;
  for (unsigned i = 0; i < size; ++i) peer->sha256 += fmt::format("{:02x}", digest[i]);
  auto* const names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> owner(names, GENERAL_NAMES_free);
  const int count = names == nullptr ? 0 : std::min<int>(sk_GENERAL_NAME_num(names), kMaxNames);
  for (int i = 0; i < count; ++i) {
    int kind = 0;
    const auto* text = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &kind));
    if (kind != GEN_DNS && kind != GEN_URI) continue;
    std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<std::size_t>(ASN1_STRING_length(text)));
    // "good.test\0.evil.test" and the like: what is no plain text names nobody.
    if (name.empty() || std::ranges::any_of(name, [](char c) { return c <= ' ' || c > '~'; })) continue;
    (kind == GEN_DNS ? peer->dns_names : peer->uris).push_back(std::move(name));
  }
  return peer;
}

std::string file_signature(std::initializer_list<const std::string*> paths) {
  std::string signature;
  for (const std::string* path : paths) {
    struct stat status {};
    if (path->empty() || ::stat(path->c_str(), &status) != 0) {
      signature += "-;";
      continue;
    }
    signature += fmt::format("{}:{}:{}:{}.{};", status.st_dev, status.st_ino, status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  }
  return signature;
}

}  // namespace stoa::infra
