#include "gateway/passport/page.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

std::string page_template() {
  std::ifstream in("share/passport.html", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr std::string_view kRecord = R"({"id":"resp_1<script>","kind":"response","time":"2026-01-31T10:00:00.000000Z","request_id":"req_1","trace_id":"t",
  "asked_by":{"principal":"user_1","tenant":"tenant_1","project":"proj_1","user":"ann","role":"developer","groups":["hr & law"],"key":"key_1","address":"10.0.0.1","purpose":"\"><img src=x>",
    "decisions":[{"action":"model.use","resource":"model m","outcome":"allowed","rule":"role \"developer\"","place":"roles.policy:5"}]},
  "model":{"name":"m","artifact":"sha256:ab","adapter":{"base":"m-base","artifact":"sha256:lora"},"parameters":{"temperature":"0.7"},"prompt":{"template":"grounding","version":"sha256:cd"}},
  "grounds":{"mode":"generative","sources":[{"document":"doc_1","version":"sha256:1","chunk":"chunk_1","page":3,"readers":"group:hr"},
                                            {"document":"doc_2","version":"sha256:2","chunk":"chunk_2","page":0,"readers":"public"}],
             "citations":[{"begin":0,"end":9,"source":0,"from":12,"to":21,"quote":"sha256:q"}]},
  "guardrails":{"sentences_without_source_left_out":2,"error":""},"cache":{"prompt_tokens_reused":7},
  "usage":{"prompt_tokens":12,"completion_tokens":5,"reasoning_tokens":0},"cost":{"micros":34,"currency":"USD"},
  "duration":{"total_micros":1240000,"queue_micros":10000,"first_token_micros":310000,"compute_micros":900000},
  "content":{"salt":"00","question":"sha256:x","answer":"sha256:y"}})";

Result<std::string> page(std::string_view record) {
  governance::PassportCheck check;
  check.record = parse_json(record).value().as_object();
  check.entry.sequence = 6;
  check.entry.reason = "sha256:digest";
  check.checkpoint = {"stoa-audit-1a2b3c4d", 9, {}};
  return passport_page(page_template(), check);
}

TEST(PassportPage, ShowsWhatTheRecordSays) {
  const auto made = page(kRecord);
  ASSERT_TRUE(made) << made.error().message;
  for (const char* part : {"ann, developer", "hr &amp; law", "role &quot;developer&quot;", "roles.policy:5", "sha256:ab", "m-base", "sha256:lora", "temperature 0.7", ", page 3", "let through by group:hr",
                           "its characters 12 to 21 support 0 to 9 of the answer", "read, and not cited", "2 sentences", "7 of 12 prompt tokens", "reading 300.0 ms", "writing 930.0 ms", "1.24 s", "0.000034",
                           "signed at 9 entries", "entry 6"})
    EXPECT_NE(made->find(part), std::string::npos) << part;
  EXPECT_EQ(made->find("{{"), std::string::npos);
  EXPECT_EQ(made->find("{%"), std::string::npos);
}

TEST(PassportPage, KeepsTextsTexts) {
  const auto made = page(kRecord);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->find("<script"), std::string::npos);
  EXPECT_EQ(made->find("<img"), std::string::npos);
}

TEST(PassportPage, AnEmptyRecordIsNoCrash) { EXPECT_FALSE(page("{}")); }

}  // namespace
}  // namespace stoa::gateway
