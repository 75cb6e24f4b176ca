#include "base/redact.h"

#include <gtest/gtest.h>

#include "base/trace.h"

namespace stoa {
namespace {

TEST(Redact, HidesSecretsAndNothingElse) {
  const struct { std::string text, shown; } cases[] = {
      {"", ""},
      {"nothing to hide: a basic bearer of good news", "nothing to hide: a basic bearer of good news"},
      {"send it as 'Authorization: Bearer sk-stoa-...'", "send it as 'Authorization: Bearer sk-stoa-...'"},
      {"the model 'sk-stoa-0123456789abcdef-00ff' is not served", "the model 'sk-stoa-***' is not served"},
      {"/v1/files/SK-Stoa-0123-ff/content", "/v1/files/SK-Stoa-***/content"},
      {"sk-stoa-a sk-stoa-b", "sk-stoa-*** sk-stoa-***"},
      {"Authorization: Bearer sk-stoa-0123456789abcdef-00ff", "Authorization: Bearer sk-stoa-***"},
      {"authorization: bearer abcdefgh.ijk", "authorization: bearer ***"},
      {"Authorization: Basic dXNlcjpzZWNyZXQ=", "Authorization: Basic ***"},
      {"token=eyJhbGciOi.eyJzdWIiOi.c2ln rest", "token=*** rest"},
      {"eyJ is no token, nor is eyJhbc.x", "eyJ is no token, nor is eyJhbc.x"},
      {"q=Bearer%20abcdefghij&x", "q=Bearer%20***&x"},
      {"{\"key\":\"sk-stoa-01-02\"}", "{\"key\":\"sk-stoa-***\"}"},
  };
  for (const auto& [text, shown] : cases) {
    EXPECT_EQ(redact_secrets(text), shown);
    EXPECT_EQ(redact_secrets(shown), shown);
  }
}

TEST(Redact, SpansHoldNoKeys) {
  Trace trace("0123");
  Span span = trace.start("find sk-stoa-01-02");
  span.set("resource", std::string("/v1/files/sk-stoa-01-02"));
  span.fail("no file 'sk-stoa-01-02'");
  const auto record = trace.records().front();
  EXPECT_EQ(record.name, "find sk-stoa-***");
  EXPECT_EQ(std::get<std::string>(record.attributes.front().second), "/v1/files/sk-stoa-***");
  EXPECT_EQ(record.error, "no file 'sk-stoa-***'");
}

}  // namespace
}  // namespace stoa
