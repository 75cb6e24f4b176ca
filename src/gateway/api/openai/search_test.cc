#include "base/id.h"
#include "gateway/api/openai/test_house.h"

namespace stoa::gateway::openai {
namespace {

TEST_F(House, SearchesAreRewordedAndPaid) {
  const std::string store = indexed_store(upload("zebra.txt", "A zebra crossing.")), url = "/v1/vector_stores/" + store + "/search";
  const Answer plain = ask("POST", url, R"({"query":"apples","max_num_results":1})");
  EXPECT_EQ(plain.at("search_query"), R"(["apples"])");
  const Answer reworded = ask("POST", url, R"({"query":"apples","max_num_results":1,"rewrite_query":true})");
  ASSERT_EQ(reworded.status, 200) << reworded.body;
  EXPECT_EQ(reworded.at("search_query"), R"(["apples","zebra crossing"])");
  EXPECT_EQ(reworded.at("data.0.filename"), "zebra.txt");
  const auto rows = must(ledger->rows(finished.back().request_id));
  ASSERT_EQ(rows.size(), 2u);
  const auto model = std::ranges::find(rows, "search.rewrite1", &governance::UsageRow::kind);
  ASSERT_NE(model, rows.end()) << rows[0].kind << " " << rows[1].kind;
  EXPECT_EQ(model->cost, 2'000) << "what the model did is paid besides";
  EXPECT_EQ(finished.back().cost, rows[0].cost + rows[1].cost);
  // A model that fails costs nothing, and the query is searched for alone.
  other_words.refuse = error(ErrorCode::kResourceExhausted, "the queue is full");
  EXPECT_EQ(ask("POST", url, R"({"query":"apples","rewrite_query":true})").at("search_query"), R"(["apples"])");
  data::Retriever without(catalog, index, &letters);
  Dependencies poorer{pipeline, models, catalog, ingest, without, &letters, files, responses, links, settings(), "http://stoa"};
  infra::Router other;
  ASSERT_TRUE(register_openai(other, poorer));
  std::swap(router, other);
  const Answer refused = ask("POST", url, R"({"query":"apples","rewrite_query":true})");
  std::swap(router, other);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.at("error.param"), "rewrite_query");
}

TEST_F(House, EverySearchIsInTheAuditLog) {
  const std::string file = upload("keys.txt", "An access key is rotated every ninety days by the security team.");
  const std::string store = indexed_store(file), url = "/v1/vector_stores/" + store + "/search";
  const auto respond = [&](const std::string& where) { return ask("POST", "/v1/responses", R"({"model":"talk","input":"How often is a key rotated?","tools":[{"type":"file_search","vector_store_ids":[")" + where + R"("]}]})"); };
  ask("POST", url, R"({"query":["key","keys of doors"]})");
  ask("POST", url, R"({"query":"key","filters":{"type":"eq","key":"kind","value":"none"}})");
  const std::string other = new_id("vs");
  EXPECT_EQ(ask("POST", "/v1/vector_stores/" + other + "/search", R"({"query":"key"})").status, 404);
  EXPECT_EQ(respond(store).status, 200);
  EXPECT_EQ(respond("what is no id").status, 404);  // and is not written down
  settle_events();
  governance::AuditQuery query;
  query.tenant = finished[0].principal.tenant;
  query.action = "document.retrieve";
  const auto entries = must(audit->query(query));
  struct Case {
    std::string store, asked;
    std::size_t documents;
    governance::Outcome outcome;
    std::string reason;
  };
  const std::vector<Case> cases{{store, "key\nkeys of doors", 1, governance::Outcome::kAllowed, ""},
                                {store, "key", 0, governance::Outcome::kAllowed, ""},
                                {other, "key", 0, governance::Outcome::kDenied, "not_found"},
                                {store, "How often is a key rotated?", 1, governance::Outcome::kAllowed, ""},
                                {"", "How often is a key rotated?", 0, governance::Outcome::kDenied, "not_found"}};
  ASSERT_EQ(entries.size(), cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& entry = entries[i];
    EXPECT_EQ(entry.collections, cases[i].store.empty() ? std::vector<std::string>() : std::vector{cases[i].store}) << i;
    EXPECT_EQ(entry.documents.size(), cases[i].documents) << i;
    EXPECT_EQ(entry.outcome, cases[i].outcome) << i;
    EXPECT_EQ(entry.reason, cases[i].reason) << i;
    EXPECT_EQ(entry.mode, "hybrid");
    EXPECT_FALSE(entry.principal.empty());
    EXPECT_FALSE(entry.rule.empty());
    const auto colon = entry.query.find(':');
    ASSERT_NE(colon, std::string::npos);
    EXPECT_EQ(entry.query.substr(colon + 1), governance::salted_digest(entry.query.substr(0, colon), cases[i].asked)) << i;
  }
}

}  // namespace
}  // namespace stoa::gateway::openai
