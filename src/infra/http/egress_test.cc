#include "infra/http/egress.h"

#include <gtest/gtest.h>

#include <mutex>
#include <random>

#include "infra/http/server.h"

namespace stoa::infra {
namespace {

// "" when the URL may be asked for (as far as can be said before its name is looked up), else the error's message.
std::string refusal(const std::string& rule, const std::string& url) {
  const auto parsed = EgressRule::parse(rule, "egress.test");
  EXPECT_TRUE(parsed) << rule << ": " << (parsed ? "" : parsed.error().message);
  const auto target = parse_url(url);
  if (!target) return target.error().message;
  const Status allowed = parsed->check_url(*target);
  if (!allowed && allowed.error().code == ErrorCode::kPermissionDenied) { EXPECT_FALSE(allowed.error().hint.empty()) << url; }
  return allowed ? "" : allowed.error().message;
}

TEST(EgressRule, AllowsWhatItNames) {
  const struct { const char* rule; const char* url; bool allowed; } cases[] = {
      {"", "https://example.com/", false},
      {"*", "https://example.com/", true}, {"*", "https://example.com:8443/", false}, {"*", "http://example.com/", false}, {"*", "https://8.8.8.8/", true},
      {"*:*", "https://example.com:8443/", true}, {"http://*", "http://example.com/", true}, {"http://*", "https://example.com/", false},
      {"api.example.com", "https://api.example.com/v1", true}, {"api.example.com", "https://API.Example.com/v1", true}, {"API.example.com", "https://api.example.com/", true},
      {"api.example.com", "https://example.com/", false}, {"api.example.com", "https://xapi.example.com/", false}, {"api.example.com", "https://api.example.com.evil.test/", false},
      {"api.example.com", "https://evil.test/api.example.com", false}, {"api.example.com", "https://api.example.com@evil.test/", false},
      {"api.example.com", "https://evil.test#@api.example.com/", false}, {"api.example.com", "https://evil.test\\@api.example.com/", false},
      {"api.example.com", "https://user:secret@api.example.com/", false}, {"api.example.com", "https://api.example.com./", false},
      {"*.example.com", "https://a.b.example.com/", true}, {"*.example.com", "https://example.com/", false}, {"*.example.com", "https://badexample.com/", false},
      {"a.test:8443, b.test", "https://b.test/", true}, {"a.test:8443, b.test", "https://a.test:8443/", true}, {"a.test:8443, b.test", "https://a.test/", false},
      // Addresses, and names of inside networks, only where they are written out.
      {"*", "https://127.0.0.1/", false}, {"*", "https://10.0.0.1/", false}, {"*", "https://169.254.169.254/", false}, {"*", "https://[::1]/", false},
      {"*", "https://[::ffff:8.8.8.8]/", false}, {"*", "https://[64:ff9b::808:808]/", false}, {"*", "https://[2606:4700::1111]/", true}, {"*", "https://localhost/", false},
      {"*", "https://metadata.google.internal/", false}, {"*", "https://printer/", false}, {"*", "https://nas.local/", false}, {"*@*", "https://10.0.0.1/", true},
      {"*", "https://2130706433/", false}, {"*", "https://0x7f000001/", false}, {"*", "https://017700000001/", false}, {"*", "https://127.1/", false}, {"*", "https://%31.1.1.1/", false},
      {"http://127.0.0.1:9000", "http://127.0.0.1:9000/", true}, {"http://127.0.0.1:9000", "http://127.0.0.1:9001/", false}, {"http://127.0.0.1:9000", "http://127.0.0.2:9000/", false},
      {"http://127.0.0.1:9000", "http://localhost:9000/", false}, {"10.0.0.0/8", "https://10.20.30.40/", true}, {"10.0.0.0/8", "https://11.0.0.1/", false},
      {"[fd00::/8]:8200", "https://[fd00::7]:8200/", true}, {"[fd00::/8]:8200", "https://[fd00::7]/", false}, {"fd00::/8", "https://[fd00::7]/", true},
      {"localhost:8200@127.0.0.0/8", "https://localhost:8200/", true}, {"*", "ftp://example.com/", false}, {"*", "file:///etc/passwd", false},
  };
  for (const auto& [rule, url, allowed] : cases) EXPECT_EQ(refusal(rule, url).empty(), allowed) << rule << " " << url << ": " << refusal(rule, url);
  EXPECT_NE(refusal("*", "https://169.254.169.254/").find("link-local"), std::string::npos);
  EXPECT_NE(refusal("a.test", "https://b.test/").find("egress.test allows 'a.test'"), std::string::npos);
  for (const auto* bad : {"ftp://a.test", "a.test:0", "a.test:99999", "a.test:x", "a.test@b.test", "[::1", "a b", "127.1", "a.test:80:81", "http://"})
    EXPECT_FALSE(EgressRule::parse(bad, "egress.test")) << bad;
}

TEST(EgressRule, LooksAtWhereANameLeads) {
  const struct { const char* rule; const char* url; const char* address; bool allowed; } cases[] = {
      {"*", "https://example.com/", "93.184.216.34", true}, {"*", "https://example.com/", "127.0.0.1", false}, {"*", "https://example.com/", "169.254.169.254", false},
      {"*", "https://example.com/", "::ffff:93.184.216.34", false}, {"*", "https://example.com/", "fe80::1", false}, {"*", "https://example.com/", "not an address", false},
      {"vault.corp:8200@10.0.0.0/8", "https://vault.corp:8200/", "10.1.1.1", true}, {"vault.corp:8200@10.0.0.0/8", "https://vault.corp:8200/", "192.168.1.1", false},
      {"vault.corp:8200@10.0.0.0/8", "https://vault.corp:8200/", "93.184.216.34", true}, {"*, vault.corp@*", "https://vault.corp/", "10.1.1.1", true},
      {"*, vault.corp@*", "https://other.corp/", "10.1.1.1", false}, {"10.0.0.0/8", "https://10.1.1.1/", "10.1.1.1", true},
  };
  for (const auto& [rule, url, address, allowed] : cases)
    EXPECT_EQ(EgressRule::parse(rule, "egress.test")->check_address(*parse_url(url), address).has_value(), allowed) << rule << " " << url << " " << address;
}

// A random rule of one entry lets a random URL through exactly where a plain reading of the two says so.
TEST(EgressRule, AgreesWithAPlainReading) {
  std::mt19937 random(11);
  const auto pick = [&](std::size_t n) { return random() % n; };
  const std::vector<std::string> hosts{"a.test", "b.a.test", "c.b.a.test", "ba.test", "test", "93.184.216.34", "10.0.0.1", "127.0.0.1"};
  const std::vector<std::string> patterns{"*", "a.test", "*.a.test", "10.0.0.0/8", "93.184.216.34"};
  const std::vector<std::string> schemes{"http", "https"};
  const std::vector<int> ports{80, 443, 8080};
  for (int round = 0; round < 3000; ++round) {
    const std::string host = hosts[pick(8)], pattern = patterns[pick(5)], scheme = schemes[pick(2)], url_scheme = schemes[pick(2)];
    const int port = ports[pick(3)], url_port = ports[pick(3)];
    const bool literal = host.find_first_not_of("0123456789.") == std::string::npos, inside = host == "10.0.0.1" || host == "127.0.0.1";
    bool named = pattern == host || (pattern == "10.0.0.0/8" && host == "10.0.0.1") || (pattern == "*.a.test" && host.ends_with(".a.test"));
    if (pattern == "*") named = literal ? !inside : host != "test";
    const bool expected = named && scheme == url_scheme && port == url_port;
    const std::string rule = fmt::format("{}://{}:{}", scheme, pattern.contains('/') ? "[" + pattern + "]" : pattern, port), url = fmt::format("{}://{}:{}/x", url_scheme, host, url_port);
    ASSERT_EQ(refusal(rule, url).empty(), expected) << rule << " " << url;
  }
}

struct House {
  std::mutex mutex;
  std::vector<std::string> seen;  // "path|secrets"
  std::unique_ptr<HttpServer> server;

  explicit House(std::string location = "") {
    Router router;
    EXPECT_TRUE(router.add("GET", "/{what}", [this, location](const HttpRequest& q, Responder& r) {
      std::lock_guard lock(mutex);
      seen.push_back(q.path + "|" + std::string(q.headers.get("authorization")) + std::string(q.headers.get("x-api-key")) + "|" + std::string(q.headers.get("range")));
      if (location.empty()) r.send(HttpResponse::text(200, "ok"));
      else r.send({302, {{"Location", location}}, ""});
    }));
    auto started = HttpServer::start({}, std::move(router));
    EXPECT_TRUE(started);
    server = std::move(*started);
  }
  std::string at(const std::string& path) const { return server->url() + path; }
};

TEST(Egress, GoesWhereItMayAndTellsOfTheRest) {
  House inside, redirects(inside.at("/there")), lures("http://169.254.169.254/latest/meta-data"), localhost;
  const std::string by_name = fmt::format("http://localhost:{}", localhost.server->port());
  std::vector<std::string> told;
  EgressOptions options;
  options.rules[static_cast<std::size_t>(EgressPurpose::kWebhooks)] = redirects.server->url() + ", " + lures.server->url() + ", " + by_name;
  options.rules[static_cast<std::size_t>(EgressPurpose::kTools)] =
      redirects.server->url() + "," + inside.server->url() + "," + by_name + "@127.0.0.0/8," + by_name + "@::1";
  options.on_refused = [&](const EgressRefusal& refused) { told.push_back(fmt::format("{} {}", egress_purpose_name(refused.purpose), refused.origin)); };
  const auto egress = Egress::open(options);
  ASSERT_TRUE(egress) << egress.error().message;
  const auto ask = [&](EgressPurpose purpose, const std::string& url) -> std::string {
    HttpClientRequest request;
    request.url = url;
    request.headers = {{"Authorization", "Bearer a"}, {"X-Api-Key", "b"}, {"Range", "bytes=0-"}};
    request.max_redirects = 3;
    const auto reply = (*egress)->sender(purpose).send(request);
    return reply ? reply->body : reply.error().code == ErrorCode::kPermissionDenied ? "refused" : reply.error().message;
  };
  using enum EgressPurpose;
  EXPECT_EQ(ask(kTools, inside.at("/direct")), "ok");
  EXPECT_EQ(ask(kTools, redirects.at("/on")), "ok");
  EXPECT_EQ(ask(kTools, by_name + "/named"), "ok");
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(ask(kWebhooks, inside.at("/direct")), "refused");
  EXPECT_EQ(ask(kWebhooks, redirects.at("/on")), "refused") << "the redirect leads out of the rule";
  EXPECT_EQ(ask(kWebhooks, lures.at("/on")), "refused");
  EXPECT_EQ(ask(kWebhooks, by_name + "/named"), "refused") << "the name leads to the loopback";
  EXPECT_EQ(ask(kCrawls, inside.at("/direct")), "refused") << "an empty rule allows nothing";
  EXPECT_EQ(told, (std::vector<std::string>{"webhooks " + inside.server->url(), "webhooks " + redirects.server->url(), "webhooks " + lures.server->url(), "webhooks " + by_name,
                                            "crawls " + inside.server->url()}));
  EXPECT_EQ(inside.seen, (std::vector<std::string>{"/direct|Bearer ab|bytes=0-", "/there||bytes=0-"})) << "another origin gets no credentials";
  EXPECT_EQ(localhost.seen.size(), 1u);
  EXPECT_TRUE(EgressRule::parse(egress_entry_of(*parse_url(inside.server->url())), "k")->check_url(*parse_url(inside.at("/x"))));
}

// Behind a proxy the rule holds for what is written; where names lead is the proxy's business.
TEST(Egress, KeepsTheRuleBehindAProxy) {
  House proxy;
  EgressOptions options;
  options.rules[0] = "http://*.example.test";
  options.client.http_proxy = proxy.server->url();
  const auto egress = Egress::open(options);
  const auto ask = [&](const std::string& url) {
    HttpClientRequest request;
    request.url = url;
    const auto reply = (*egress)->sender(EgressPurpose::kProviders).send(request);
    return reply ? reply->status : 0;
  };
  EXPECT_EQ(ask("http://a.example.test/x"), 200);
  EXPECT_EQ(ask("http://b.other.test/x"), 0);
  EXPECT_EQ(ask("http://10.0.0.1/x"), 0);
  EXPECT_EQ(proxy.seen.size(), 1u);
}

}  // namespace
}  // namespace stoa::infra
