#include "models/registry/pull.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "infra/crypto/hash.h"
#include "infra/http/client.h"
#include "infra/http/server.h"

namespace stoa::models {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A package index and file server whose downloads can be made to break off and to lie.
class PullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stoa-pull-XXXXXX").string();
    home_ = ::mkdtemp(name.data());
    for (int i = 0; i < 200'000; ++i) content_ += static_cast<char>('a' + (i * 7 + i / 1000) % 26);
    digest_ = infra::sha256_hex(content_);
    fs::create_directories(home_ / "wheel/pkg");
    std::ofstream(home_ / "wheel/pkg/weights.gguf") << content_;
    ASSERT_EQ(std::system(("cd " + (home_ / "wheel").string() + " && tar cf ../my_model-1.2.3-py3-none-any.whl pkg").c_str()), 0);
    wheel_ = read(home_ / "my_model-1.2.3-py3-none-any.whl");

    infra::Router router;
    ASSERT_TRUE(router.add("GET", "/simple/my-model/", [this](const auto&, infra::Responder& out) { index(out); }));
    ASSERT_TRUE(router.add("GET", "/files/{name}", [this](const auto& request, infra::Responder& out) { file(request, out); }));
    auto server = infra::HttpServer::start({}, std::move(router));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    options_.package_index = server_->url() + "/simple";
    options_.hugging_face = server_->url() + "/hf";
  }
  void TearDown() override {
    server_.reset();
    fs::remove_all(home_);
  }

  void index(infra::Responder& out) const {
    out.send(infra::HttpResponse::json(200, fmt::format(R"({{"files":[{{"filename":"my_model-1.2.2-py3-none-any.whl","url":"/files/old"}},
        {{"filename":"my_model-1.2.3-py3-none-any.whl","url":"../../files/wheel","hashes":{{"sha256":"{}"}}}}]}})", infra::sha256_hex(wheel_))));
  }
  void file(const infra::HttpRequest& request, infra::Responder& out) {
    ++requests_;
    const std::string& body = request.path_param("name") == "wheel" ? wheel_ : content_;
    std::size_t from = 0;
    const std::string range(request.headers.get("Range"));
    if (range.starts_with("bytes=") && request.headers.get("If-Range") == etag_) from = std::stoul(range.substr(6));
    infra::HttpHeaders headers{{"ETag", etag_}};
    if (from > 0) {
      ++resumed_;
      headers.set("Content-Range", fmt::format("bytes {}-{}/{}", from, body.size() - 1, body.size()));
    }
    out.start(from > 0 ? 206 : 200, headers);
    const std::size_t until = breaks_-- > 0 ? from + (body.size() - from) / 2 : body.size();
    out.write(std::string_view(body).substr(from, until - from));
    if (until < body.size())
      out.abort();
    else
      out.finish();
  }

  CatalogModel model(std::vector<std::string> sources, std::string digest) const {
    return {"tiny", "generator", "", "Apache-2.0", {{"weights.gguf", content_.size(), std::move(digest), std::move(sources)}}};
  }
  Result<StoredModel> pull(const CatalogModel& model) { return pull_model(model, ModelStore(home_), http_, options_); }
  void check(const CatalogModel& model) {
    const auto stored = pull(model);
    ASSERT_TRUE(stored) << stored.error().message;
    EXPECT_EQ(read(home_ / "models/tiny/weights.gguf"), content_);
    EXPECT_TRUE(ModelStore(home_).verify("tiny"));
    EXPECT_EQ(stored->files[0].sha256, digest_);
  }
  void check_fails(const CatalogModel& model, ErrorCode code, std::string_view words) {
    const auto stored = pull(model);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, code) << stored.error().message;
    EXPECT_NE(stored.error().message.find(words), std::string::npos) << stored.error().message;
    EXPECT_FALSE(ModelStore(home_).find("tiny"));
  }
  std::string url(std::string_view name) const { return server_->url() + "/files/" + std::string(name); }

  fs::path home_;
  std::string content_, digest_, wheel_, etag_ = "\"v1\"";
  std::atomic<int> breaks_{0}, requests_{0}, resumed_{0};
  std::unique_ptr<infra::HttpServer> server_;
  infra::HttpClient http_;
  PullOptions options_;
};

TEST_F(PullTest, FetchesFromEverySource) {
  check(model({"pypi://My_Model/1.2.3?member=pkg/weights.gguf"}, digest_));
  ASSERT_TRUE(ModelStore(home_).remove("tiny"));
  check(model({url("plain")}, digest_));
  ASSERT_TRUE(ModelStore(home_).remove("tiny"));
  check(model({"file://" + (home_ / "wheel/pkg/weights.gguf").string()}, digest_));
}

TEST_F(PullTest, FetchesNothingTwice) {
  check(model({url("plain")}, digest_));
  const int before = requests_;
  check(model({url("plain")}, digest_));
  EXPECT_EQ(requests_, before);
}

TEST_F(PullTest, GoesOnWhereTheTransferBroke) {
  breaks_ = 2;
  check(model({url("plain")}, digest_));
  EXPECT_EQ(resumed_, 2);
}

TEST_F(PullTest, GoesOnInALaterPull) {
  options_.attempts = 1;
  breaks_ = 1;
  check_fails(model({url("plain")}, digest_), ErrorCode::kUnavailable, "plain");
  check(model({url("plain")}, digest_));
  EXPECT_EQ(resumed_, 1);
}

TEST_F(PullTest, StartsAfreshWhenTheContentChanged) {
  options_.attempts = 1;
  breaks_ = 1;
  check_fails(model({url("plain")}, digest_), ErrorCode::kUnavailable, "");
  etag_ = "\"v2\"";
  check(model({url("plain")}, digest_));
  EXPECT_EQ(resumed_, 0);
}

TEST_F(PullTest, TakesTheFirstSourceThatDelivers) {
  check(model({"hf://nobody/nothing/weights.gguf", "https://127.0.0.1:1/x.gguf", url("plain")}, digest_));
}

TEST_F(PullTest, RefusesOtherBytes) {
  const std::string wrong(64, '0');
  check_fails(model({url("plain")}, wrong), ErrorCode::kDataLoss, "digest");
  EXPECT_FALSE(fs::exists(home_ / "models/.downloads/tiny.weights.gguf"));
  check_fails(model({"pypi://my-model/9.9?member=pkg/weights.gguf"}, digest_), ErrorCode::kUnavailable, "no wheel of my-model 9.9");
  check_fails(model({"pypi://my-model/1.2.3?member=pkg/none"}, digest_), ErrorCode::kUnavailable, "no member 'pkg/none'");
  options_.max_bytes = 1000;
  check_fails(model({url("plain")}, digest_), ErrorCode::kUnavailable, "1000");
}

TEST_F(PullTest, StopsWhenAsked) {
  options_.progress = [this](const PullProgress&) { options_.cancel.cancel(); };
  const auto stored = pull(model({url("plain"), url("plain")}, digest_));
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kCancelled);
}

TEST_F(PullTest, AFolderIsOfTheKindItsFilesTell) {
  const auto check = [&](const char* name, const char* config, const char* kind) {
    const fs::path folder = home_ / "source" / name;
    fs::create_directories(folder);
    std::ofstream(folder / "config.json") << config;
    std::ofstream(folder / "tokenizer.json") << "{}";
    std::ofstream(folder / "model.safetensors") << "weights";
    const auto model = model_of_source("file://" + folder.string() + "/", "");
    ASSERT_TRUE(model) << model.error().message;
    const ModelStore store(home_);
    const auto pulled = pull(*model);
    ASSERT_TRUE(pulled) << pulled.error().message;
    EXPECT_EQ(pulled->kind, kind);
    EXPECT_EQ(pulled->files.size(), 3u);
    EXPECT_EQ(store.find(name)->kind, kind);
    std::ofstream(folder / "sentence_bert_config.json") << "{}";
    EXPECT_EQ(pull(*model)->files.size(), 4u);
    fs::remove(pulled->folder / "manifest.json");  // as if put there by hand
    EXPECT_EQ(store.find(name)->kind, kind);
  };
  check("cross", R"({"architectures":["BertForSequenceClassification"]})", "reranker");
  check("plain", R"({"architectures":["BertModel"]})", "embedder");
  check("broken", "{", "embedder");
}

TEST_F(PullTest, VerifyFindsAChangedFile) {
  check(model({url("plain")}, digest_));
  std::fstream(home_ / "models/tiny/weights.gguf", std::ios::in | std::ios::out | std::ios::binary).seekp(777) << '!';
  const Status verified = ModelStore(home_).verify("tiny");
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace stoa::models
