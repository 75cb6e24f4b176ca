// Certificates on both sides of a connection, made by the test.
#include "infra/http/tls.h"

#include <gtest/gtest.h>

#include <openssl/ssl.h>

#include <mutex>
#include <thread>

#include "infra/http/client.h"
#include "infra/http/server.h"
#include "infra/http/test_certificates.h"

namespace stoa::infra {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

std::unique_ptr<HttpServer> serve(const TlsOptions& tls, CertificateObserver observer = {}, RefusalObserver on_refusal = {}) {
  Router router;
  EXPECT_TRUE(router.add("GET", "/who", [](const HttpRequest& q, Responder& r) {
    const auto& peer = q.peer_certificate;
    r.send({200, {{"X-TLS", q.tls ? "1" : "0"}}, peer ? peer->sha256 + " dns=" + joined(peer->dns_names) + " uri=" + joined(peer->uris) : "nobody"});
  }));
  EXPECT_TRUE(router.add("POST", "/echo", [](const HttpRequest& q, Responder& r) { r.send({200, {}, q.body}); }));
  EXPECT_TRUE(router.add("GET", "/broken", [](const HttpRequest&, Responder& r) {
    r.start(200, {});
    r.write("part");
    r.abort();
  }));
  HttpServerOptions options;
  options.tls = tls;
  options.on_refusal = std::move(on_refusal);
  options.on_certificate = std::move(observer);
  auto server = HttpServer::start(options, std::move(router));
  EXPECT_TRUE(server) << server.error().message;
  return std::move(*server);
}

HttpClientRequest get(std::string url) {
  HttpClientRequest request;
  request.url = std::move(url);
  return request;
}

// A TLS client that shows what was agreed on.
class RawTls {
 public:
  explicit RawTls(std::uint16_t port, int newest = TLS1_3_VERSION) : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), stream_(nullptr, BIO_free_all) {
    SSL_CTX_set_max_proto_version(context_.get(), newest);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    stream_.reset(BIO_new_ssl_connect(context_.get()));
    BIO_get_ssl(stream_.get(), &ssl_);
    const std::string address = "127.0.0.1:" + std::to_string(port);
    BIO_set_conn_hostname(stream_.get(), address.c_str());
    ok_ = BIO_do_connect(stream_.get()) == 1 && BIO_do_handshake(stream_.get()) == 1;
  }
  std::string version() const { return ok_ ? SSL_get_version(ssl_) : "none"; }
  std::string fingerprint() const {
    const std::unique_ptr<X509, decltype(&X509_free)> shown(ok_ ? SSL_get1_peer_certificate(ssl_) : nullptr, X509_free);
    return shown ? TestCertificate::fingerprint(shown.get()) : "none";
  }
  std::string ask(const std::string& path) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n";
    BIO_write(stream_.get(), request.data(), static_cast<int>(request.size()));
    char buffer[4096];
    const int n = BIO_read(stream_.get(), buffer, sizeof buffer);
    return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
  }

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<BIO, decltype(&BIO_free_all)> stream_;
  SSL* ssl_ = nullptr;
  bool ok_ = false;
};

TEST(Tls, ServesAndVerifies) {
  const TestCertificate right("IP:127.0.0.1"), wrong("DNS:other.test");
  const auto server = serve({right.certificate(), right.key()});
  HttpClient trusting(HttpClientOptions{.ca_file = right.certificate()});
  for (int i = 0; i < 2; ++i) {
    const auto reply = trusting.send(get(server->url() + "/who"));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->headers.get("X-TLS"), "1");
    EXPECT_EQ(reply->body, "nobody");
  }
  EXPECT_EQ(server->stats().accepted, 1u);
  HttpClientRequest post = get(server->url() + "/echo");
  post.method = "POST";
  post.body.assign(3u << 20, 'x');
  EXPECT_EQ(trusting.send(post)->body, post.body);
  EXPECT_EQ(trusting.send(get(server->url() + "/broken")).error().code, ErrorCode::kUnavailable);

  HttpClient plain;
  const auto distrusted = plain.send(get(server->url() + "/who"));
  ASSERT_FALSE(distrusted);
  EXPECT_NE(distrusted.error().message.find("not trusted"), std::string::npos) << distrusted.error().message;
  const auto impostor = serve({wrong.certificate(), wrong.key()});
  HttpClient other(HttpClientOptions{.ca_file = wrong.certificate()});
  EXPECT_FALSE(other.send(get(impostor->url() + "/who")));
  HttpClient missing(HttpClientOptions{.ca_file = "/nonexistent.pem"});
  EXPECT_EQ(missing.send(get(server->url() + "/who")).error().code, ErrorCode::kInvalidArgument);
}

TEST(Tls, SpeaksOldVersionsOnlyWhenTold) {
  const TestCertificate certificate("IP:127.0.0.1");
  const auto modern = serve({certificate.certificate(), certificate.key()});
  const auto lenient = serve({certificate.certificate(), certificate.key(), {}, false, TlsVersion::k1_2});
  const struct { const HttpServer& server; int newest; std::string version; } cases[] = {
      {*modern, TLS1_3_VERSION, "TLSv1.3"}, {*modern, TLS1_2_VERSION, "none"},
      {*lenient, TLS1_3_VERSION, "TLSv1.3"}, {*lenient, TLS1_2_VERSION, "TLSv1.2"}, {*lenient, TLS1_1_VERSION, "none"},
  };
  for (const auto& [server, newest, version] : cases) EXPECT_EQ(RawTls(server.port(), newest).version(), version) << newest;
}

TEST(Tls, TakesUpANewPairAndKeepsTheOldOneWhenTheNewIsBroken) {
  const TestCertificate first("IP:127.0.0.1"), second("IP:127.0.0.1"), third("IP:127.0.0.1"), ended("IP:127.0.0.1", nullptr, -60);
  const std::string certificate = first.folder() + "/live.pem", key = first.folder() + "/live.key";
  first.write_to(certificate, key);
  std::mutex mutex;
  std::vector<bool> attempts;
  const auto server = serve({certificate, key}, [&](const CertificateState& state) {
    std::lock_guard lock(mutex);
    attempts.push_back(state.accepted);
    EXPECT_GT(state.not_after, 1'700'000'000);
  });
  RawTls before(server->port());
  EXPECT_EQ(before.fingerprint(), first.sha256());

  second.write_to(certificate, key);
  ASSERT_TRUE(server->reload_certificates());
  EXPECT_EQ(RawTls(server->port()).fingerprint(), second.sha256());
  EXPECT_TRUE(before.ask("/who").starts_with("HTTP/1.1 200")) << "a connection outlives the certificate it began with";

  const struct { std::string name; std::function<void()> break_it; std::string says; } broken[] = {
      {"other key", [&] { third.write_to(certificate, first.folder() + "/elsewhere"); }, "key"},
      {"no PEM", [&] { std::ofstream(certificate) << "nonsense"; }, certificate},
      {"no file", [&] { std::filesystem::remove(certificate); }, certificate},
      {"ended", [&] { ended.write_to(certificate, key); }, "ended at"},
  };
  for (const auto& [name, break_it, says] : broken) {
    break_it();
    const Status reloaded = server->reload_certificates();
    ASSERT_FALSE(reloaded) << name;
    EXPECT_NE(reloaded.error().message.find(says), std::string::npos) << reloaded.error().message;
    EXPECT_EQ(RawTls(server->port()).fingerprint(), second.sha256()) << name;
  }

  third.write_to(certificate, key);  // nobody says so: it is noticed
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (RawTls(server->port()).fingerprint() != third.sha256() && std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(RawTls(server->port()).fingerprint(), third.sha256());
  std::lock_guard lock(mutex);
  EXPECT_TRUE(attempts.front());
  EXPECT_EQ(std::count(attempts.begin(), attempts.end(), false), 4);
  EXPECT_TRUE(attempts.back());
}

TEST(Tls, NamesTheClientsThatItsAuthorityVouchesFor) {
  const TestCertificate house("IP:127.0.0.1"), authority("DNS:authority.test"), stranger("DNS:stranger.test");
  const TestCertificate node("DNS:node-a.test,URI:spiffe://house/node/a,IP:10.0.0.1", &authority), impostor("DNS:node-a.test", &stranger),
      late("DNS:node-a.test", &authority, -60);
  const auto ask = [&](const HttpServer& server, const TestCertificate* shown) -> std::string {
    HttpClientOptions options{.ca_file = house.certificate()};
    if (shown != nullptr) options.certificate = shown->certificate(), options.key = shown->key();
    const auto reply = HttpClient(options).send(get(server.url() + "/who"));
    return reply ? reply->body : "refused";
  };
  const std::string known = node.sha256() + " dns=node-a.test uri=spiffe://house/node/a";
  const auto open = serve({house.certificate(), house.key()});
  const auto optional = serve({house.certificate(), house.key(), authority.certificate()});
  std::mutex mutex;
  std::vector<std::string> handshakes;
  const auto required = serve({house.certificate(), house.key(), authority.certificate(), true}, {}, [&](const HttpRefusal& refusal) {
    std::lock_guard lock(mutex);
    handshakes.push_back(fmt::format("{} {}", refusal.status, refusal.reason));
  });
  const struct { const char* name; const HttpServer& server; const TestCertificate* shown; std::string answer; } cases[] = {
      {"not asked", *open, &node, "nobody"},          {"optional, none", *optional, nullptr, "nobody"},
      {"optional, known", *optional, &node, known},   {"optional, impostor", *optional, &impostor, "refused"},
      {"optional, ended", *optional, &late, "refused"}, {"required, none", *required, nullptr, "refused"},
      {"required, known", *required, &node, known},   {"required, impostor", *required, &impostor, "refused"},
      {"required, itself", *required, &authority, authority.sha256() + " dns=authority.test uri="},
  };
  for (const auto& [name, server, shown, answer] : cases) EXPECT_EQ(ask(server, shown), answer) << name;
  std::lock_guard lock(mutex);
  ASSERT_EQ(handshakes.size(), 2u) << "of the one without a certificate and the impostor";
  for (const std::string& told : handshakes) EXPECT_TRUE(told.starts_with("0 TLS handshake: ")) << told;
}

TEST(Tls, NamesTheFileThatIsWrong) {
  const TestCertificate a("IP:127.0.0.1"), b("IP:127.0.0.1");
  const struct { TlsOptions tls; std::string says; } cases[] = {
      {{"/nonexistent.pem", a.key()}, "/nonexistent.pem"},
      {{a.certificate(), "/nonexistent.key"}, "/nonexistent.key"},
      {{a.certificate(), b.key()}, b.key()},
      {{a.certificate(), a.certificate()}, a.certificate()},
      {{a.certificate(), a.key(), "/nonexistent.ca"}, "/nonexistent.ca"},
  };
  for (const auto& [tls, says] : cases) {
    HttpServerOptions options;
    options.tls = tls;
    const auto server = HttpServer::start(options, Router());
    ASSERT_FALSE(server) << says;
    EXPECT_EQ(server.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(server.error().message.find(says), std::string::npos) << server.error().message;
  }
}

}  // namespace
}  // namespace stoa::infra
