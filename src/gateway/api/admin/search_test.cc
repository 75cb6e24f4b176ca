#include "gateway/api/admin/test_admin.h"

namespace stoa::gateway::admin {
namespace {

using SearchAttacks = AdminTest;

TEST_F(AdminTest, ExplainsAWholeSearch) {
  const std::string store = bring_in(ann_key_, "lunch.html", "<html><body><h1>Lunch</h1><p>Lunch is served in the canteen.</p></body></html>", "public");
  const JsonObject query{{"query", "canteen"}, {"queries", JsonArray{Json("supper")}}, {"vector_store_ids", JsonArray{Json(store)}}, {"explain", true}, {"context", "section"},
                         {"decay", JsonObject{{"half_life", "30d"}, {"attribute", "published"}}}, {"filters", JsonObject{{"type", "ne"}, {"key", "kind"}, {"value", "draft"}}}};
  const auto found = json("POST", "/v1/stoa/search", ann_key_, query);
  EXPECT_EQ(dump_json(found.at("explain")), R"({"queries":[{"query":"canteen","by":"caller"},{"query":"supper","by":"caller"}],"mode":"hybrid"})");
  const auto& hit = found.at("data").as_array().at(0).as_object();
  EXPECT_TRUE(hit.contains("context"));
  const auto& why = hit.at("explain").as_object();
  EXPECT_EQ(dump_json(why.at("by_query")), "[4.545454545454546E-1,0E0]");
  EXPECT_EQ(why.at("query"), 0);
  EXPECT_EQ(text(why.at("decay").as_object(), "by"), "created");
  EXPECT_GT(why.at("decay").as_object().at("factor").to_number<double>(), 0.99);
  EXPECT_EQ(dump_json(why.at("filter")), R"j(["kind != draft (not said)"])j");
  EXPECT_EQ(text(why, "readers"), "public");
  EXPECT_TRUE(why.at("diversity").is_null());
  EXPECT_EQ(dump_json(found.at("filter_problems")), R"(["no document that you may read has an attribute 'kind'"])");
  EXPECT_FALSE(json("POST", "/v1/stoa/search", ann_key_, {{"query", "canteen"}, {"vector_store_ids", JsonArray{Json(store)}}}).contains("filter_problems"));
}

TEST_F(SearchAttacks, FindsDocumentsForTheirReadersOnly) {
  const std::string store = bring_in(ann_key_, "lunch.html", "<html><body><h1 id=\"lunch\">Lunch</h1><p>Lunch is served in the canteen.</p></body></html>", "user:ann");
  const JsonObject query{{"query", "canteen"}, {"vector_store_ids", JsonArray{Json(store)}}, {"explain", true}};
  const auto found = json("POST", "/v1/stoa/search", ann_key_, query).at("data").as_array();
  ASSERT_EQ(found.size(), 1u);
  const auto& hit = found[0].as_object();
  EXPECT_EQ(text(hit, "path"), "lunch.html");
  EXPECT_EQ(text(hit, "anchor"), "lunch");
  EXPECT_EQ(hit.at("explain").as_object().at("text").as_object().at("rank"), 1);
  EXPECT_TRUE(hit.at("explain").as_object().at("vector").is_null());
  EXPECT_EQ(json("POST", "/v1/stoa/search", bob_key_, query).at("data").as_array().size(), 0u);
  // What was shown of which document is recorded, and that nothing was.
  const auto shown = json("GET", "/v1/stoa/audit?action=document.retrieve", admin_key_).at("data").as_array();
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_FALSE(shown[1].as_object().contains("documents"));
  for (const Json& entry : shown) {
    EXPECT_EQ(dump_json(entry.at("collections")), dump_json(JsonArray{Json(store)}));
    EXPECT_EQ(text(entry.as_object(), "mode"), "hybrid");
    EXPECT_EQ(text(entry.as_object(), "query").find("canteen"), std::string::npos);
  }
  EXPECT_NE(text(shown[0].as_object(), "query"), text(shown[1].as_object(), "query")) << "the same query: salted";
  const auto& document_shown = shown[0].as_object().at("documents").as_array().at(0).as_object();
  EXPECT_EQ(text(document_shown, "id"), text(hit, "document_id"));
  EXPECT_TRUE(text(document_shown, "version").starts_with("sha256:")) << text(document_shown, "version");
  EXPECT_EQ(text(document_shown, "readers"), "user:ann");
  EXPECT_EQ(document_shown.at("chunks"), 1);
  EXPECT_EQ(json("GET", "/v1/stoa/status", ann_key_).at("documents").as_object().at("documents"), 1);
  EXPECT_EQ(json("GET", "/v1/stoa/status", bob_key_).at("documents").as_object().at("documents"), 0);

  const std::string document = "/v1/stoa/documents/" + text(hit, "document_id");
  EXPECT_EQ(text(json("GET", document, ann_key_), "access"), "user:ann");
  json("GET", document, bob_key_, {}, 404);

  const std::string url = text(hit, "url").substr(parts_.public_url.size());
  EXPECT_TRUE(url.ends_with("#lunch")) << url;
  const auto opened = call("GET", url);
  EXPECT_EQ(opened.status, 200) << opened.body;
  EXPECT_NE(opened.body.find("canteen"), std::string::npos);
  EXPECT_TRUE(opened.headers.get("content-security-policy").starts_with("sandbox")) << "scripts of a document must not run";
  EXPECT_EQ(opened.headers.get("x-content-type-options"), "nosniff");
  EXPECT_EQ(opened.headers.get("content-type").substr(0, 9), "text/html");
  EXPECT_EQ(call("GET", document + "/content").status, 401);
  EXPECT_EQ(call("GET", document + "/content?token=x.y").status, 401);
  EXPECT_EQ(call("GET", document + "/content", ann_key_).status, 401) << "a key is not a token";

  // It ends with the key that asked for it.
  const std::string short_lived = key("ann", "developer");
  const auto again = json("POST", "/v1/stoa/search", short_lived, query).at("data").as_array();
  const std::string other = text(again.at(0).as_object(), "url").substr(parts_.public_url.size());
  EXPECT_EQ(call("GET", other).status, 200);
  ASSERT_TRUE(identity_->revoke_key(operator_, must(identity_->authenticate(short_lived)).key));
  EXPECT_EQ(call("GET", other).status, 401);
  EXPECT_EQ(call("GET", url).status, 200) << "the user's other key works";

  // A link ends with the right to read.
  Call ann;
  ann.principal = must(identity_->authenticate(ann_key_));
  ASSERT_TRUE(catalog_.remove_document(ann, text(hit, "document_id")));
  EXPECT_EQ(call("GET", url).status, 404);
}

TEST_F(AdminTest, ACollectionSaysHowItIsSearched) {
  const std::string store = bring_in(ann_key_, "lunch.txt", "Lunch is served in the canteen.", "user:ann"), url = "/v1/stoa/collections/" + store + "/search";
  const auto explained = [&](JsonObject more) {
    more["query"] = "canteen";
    more["vector_store_ids"] = JsonArray{Json(store)};
    more["explain"] = true;
    const auto found = json("POST", "/v1/stoa/search", ann_key_, more).at("data").as_array();
    return found.empty() ? JsonObject() : found[0].as_object();
  };
  EXPECT_TRUE(explained({}).at("explain").as_object().at("decay").is_null());
  EXPECT_FALSE(explained({}).contains("context"));
  const JsonObject defaults{{"decay", JsonObject{{"half_life", "1d"}}}, {"context", "section"}, {"min_score", 0.1}};
  EXPECT_EQ(dump_json(json("PUT", url, ann_key_, defaults).at("search")), dump_json(defaults));
  Call ann;
  ann.principal = must(identity_->authenticate(ann_key_));
  EXPECT_EQ(must(catalog_.collection(ann, store)).settings.search, dump_json(defaults));
  EXPECT_FALSE(explained({}).at("explain").as_object().at("decay").is_null());
  EXPECT_TRUE(explained({}).contains("context"));
  EXPECT_FALSE(explained({{"context", "none"}}).contains("context")) << "what a search says counts";
  for (const auto& [body, param] : std::vector<std::pair<JsonObject, std::string>>{
           {{{"mode", "psychic"}}, "mode"},
           {{{"query", "x"}}, "query"},
           {{{"rerank", 10}}, "rerank"},        // no model
           {{{"diversity", 0.5}}, "diversity"},  // no vectors
           {{{"text_weight", 2}}, "text_weight"},
           {{{"decay", JsonObject{{"half_life", "soon"}}}}, "decay.half_life"}})
    EXPECT_EQ(json("PUT", url, ann_key_, body, 400).at("error").as_object().at("param"), Json(param)) << dump_json(body);
  json("PUT", "/v1/stoa/collections/vs_none/search", ann_key_, JsonObject{{"mode", "text"}}, 404);
  json("PUT", url, viewer_key_, JsonObject{{"mode", "text"}}, 403);
  EXPECT_EQ(call("PUT", url, ann_key_, "{}").status, 200);
  EXPECT_TRUE(must(catalog_.collection(ann, store)).settings.search.empty());
  EXPECT_TRUE(explained({}).at("explain").as_object().at("decay").is_null());
}

TEST_F(AdminTest, RefusesSearchesThatMakeNoSense) {
  const std::string store = bring_in(ann_key_, "lunch.txt", "Lunch is served in the canteen.", "user:ann");
  for (const auto& [body, param] : std::vector<std::pair<JsonObject, std::string>>{
           {{{"vector_store_ids", JsonArray{Json("vs_1")}}}, "query"},
           {{{"query", "x"}}, "vector_store_ids"},
           {{{"query", "x"}, {"vector_store_ids", JsonArray{Json("vs_1")}}, {"mode", "psychic"}}, "mode"},
           {{{"query", "x"}, {"vector_store_ids", JsonArray{Json("vs_1")}}, {"max_num_results", 0}}, "max_num_results"}}) {
    const auto error = json("POST", "/v1/stoa/search", ann_key_, body, 400).at("error").as_object();
    EXPECT_EQ(error.at("param"), Json(param));
  }
  for (const auto& [key, value, param] : std::vector<std::tuple<std::string, Json, std::string>>{
           {"queries", JsonArray(8, Json("x")), "queries"},
           {"queries", JsonArray{Json("")}, "queries"},
           {"rewrite", 8, "rewrite"},
           {"rewrite", 1, "rewrite"},      // no model
           {"diversity", -0.1, "diversity"},
           {"diversity", 0.5, "diversity"},  // no vectors
           {"decay", JsonObject{}, "decay.half_life"},
           {"decay", JsonObject{{"half_life", "soon"}}, "decay.half_life"},
           {"decay", JsonObject{{"half_life", "1d"}, {"weight", 1.5}}, "decay.weight"},
           {"decay", JsonObject{{"half_life", "1d"}, {"attribute", std::string(65, 'a')}}, "decay.attribute"},
           {"context", "page", "context"},
           {"syntax", "lucene", "syntax"},
           {"fusion", "mean", "fusion"},
           {"min_score", 2, "min_score"}}) {
    const auto error = json("POST", "/v1/stoa/search", ann_key_, {{"query", "x"}, {"vector_store_ids", JsonArray{Json(store)}}, {key, value}}, 400).at("error").as_object();
    EXPECT_EQ(error.at("param"), Json(param)) << key;
  }
  const auto error = json("POST", "/v1/stoa/search", ann_key_, {{"query", "\"open"}, {"vector_store_ids", JsonArray{Json("vs_1")}}, {"syntax", "operators"}}, 400).at("error").as_object();
  EXPECT_EQ(error.at("param"), Json("query"));
  json("POST", "/v1/stoa/search", ann_key_, {{"query", "x"}, {"vector_store_ids", JsonArray{Json("vs_none")}}}, 404);
}

}  // namespace
}  // namespace stoa::gateway::admin
