#include "models/registry/catalog.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "models/registry/package_index.h"

namespace stoa::models {
namespace {

TEST(Catalog, TheShippedOneIsRead) {
  std::ifstream in(STOA_SOURCE_DIR "/share/models.yaml");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto catalog = parse_catalog(text, "models.yaml");
  ASSERT_TRUE(catalog) << catalog.error().message;
  ASSERT_NE(catalog->find("smollm2-135m-instruct"), nullptr);
  EXPECT_EQ(catalog->find("all-minilm-l6-v2")->files.size(), 3u);
  EXPECT_EQ(catalog->find("other"), nullptr);
}

void check_refused(std::string_view yaml, std::string_view words) {
  const auto catalog = parse_catalog(yaml, "c.yaml");
  ASSERT_FALSE(catalog) << yaml;
  EXPECT_NE(catalog.error().message.find(words), std::string::npos) << catalog.error().message;
}

TEST(Catalog, MistakesAreNamed) {
  const std::string head = "models:\n  m:\n    kind: generator\n    about: a\n    license: l\n    files:\n      f:\n";
  const std::string digest(64, 'a');
  check_refused("modles: {}\n", "modles");
  check_refused("models:\n  m:\n    kind: painter\n    about: a\n    license: l\n    files: {}\n", "c.yaml:3");
  check_refused("models:\n  '../m':\n    kind: generator\n", "../m");
  check_refused(head + "        bytes: 1\n        sha256: xyz\n        sources: [hf://a/b/c]\n", "sha256");
  check_refused(head + "        bytes: 1\n        sha256: " + digest + "\n        sources: []\n", "sources");
  check_refused(head + "        bytes: 1\n        sha256: " + digest + "\n        sources: [ftp://x]\n", "ftp://x");
}

void check_source(std::string_view uri, std::optional<Source> expected) {
  const auto source = parse_source(uri);
  ASSERT_EQ(source.has_value(), expected.has_value()) << uri;
  if (!expected) return;
  EXPECT_EQ(source->kind, expected->kind) << uri;
  EXPECT_EQ(source->url, expected->url);
  EXPECT_EQ(source->repository, expected->repository);
  EXPECT_EQ(source->revision, expected->revision);
  EXPECT_EQ(source->package, expected->package);
  EXPECT_EQ(source->version, expected->version);
  EXPECT_EQ(source->file, expected->file);
}

TEST(Source, IsTakenApart) {
  using Kind = Source::Kind;
  check_source("hf://org/repo/a/b.gguf", Source{Kind::kHuggingFace, "", "org/repo", "main", "", "", "a/b.gguf"});
  check_source("hf://org/repo/b.gguf@v2", Source{Kind::kHuggingFace, "", "org/repo", "v2", "", "", "b.gguf"});
  check_source("pypi://p-q/1.0?member=x/y.gguf", Source{Kind::kPyPi, "", "", "", "p-q", "1.0", "x/y.gguf"});
  check_source("https://h/x", Source{Kind::kHttp, "https://h/x", "", "", "", "", ""});
  check_source("file:///x/y", Source{Kind::kFile, "/x/y", "", "", "", "", ""});
  for (const char* bad : {"", "x", "hf://org/repo", "hf://org//x", "hf://o/r/f@", "pypi://p", "pypi://p/1", "pypi://p/?member=x", "pypi:///1?member=x", "file://rel", "ftp://h/x"})
    check_source(bad, std::nullopt);
}

TEST(Source, MakesAModelByItself) {
  const auto file = model_of_source("https://h/x/Some-Model.Q4.gguf?download=1", "");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->name, "some-model.q4");
  ASSERT_EQ(file->files.size(), 1u);
  const auto folder = model_of_source("hf://org/Cross-Encoder/", "");
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_EQ(folder->name, "cross-encoder");
  ASSERT_EQ(folder->files.size(), 4u);
  EXPECT_TRUE(folder->files[3].optional && !folder->files[0].optional);
  EXPECT_EQ(folder->files[0].sources, std::vector<std::string>{"hf://org/Cross-Encoder/config.json"});
  for (const char* bad : {"hf://org/", "file:///", "ftp://h/x/", "https://h/../"}) EXPECT_FALSE(model_of_source(bad, "")) << bad;
  EXPECT_FALSE(model_of_source("file:///models/m/", std::string(64, 'a')));
}

void check_wheel(std::string_view page, std::string_view expected) {
  const auto wheel = find_wheel(page, "http://h/simple/my-pkg/", "My.Pkg", "1.0");
  ASSERT_EQ(wheel.has_value(), !expected.empty()) << page;
  if (wheel) {
    EXPECT_EQ(wheel->url, expected);
  }
}

TEST(PackageIndex, FindsTheWheelOfAVersion) {
  check_wheel(R"(<a href="../../f/my_pkg-1.0-py3-none-any.whl#sha256=ab">x</a>)", "http://h/f/my_pkg-1.0-py3-none-any.whl");
  check_wheel(R"(<a href="my_pkg-1.0-py3-none-any.whl">x</a>)", "http://h/simple/my-pkg/my_pkg-1.0-py3-none-any.whl");
  check_wheel(R"(<a href="/r/my_pkg-1.0-py3-none-any.whl">)", "http://h/r/my_pkg-1.0-py3-none-any.whl");
  check_wheel(R"({"files":[{"filename":"my_pkg-1.0-py3-none-any.whl","url":"http://x/y"}]})", "http://x/y");
  check_wheel(R"(<a href="my_pkg-1.0.1-py3-none-any.whl">)", "");
  check_wheel(R"(<a href="my_pkg-1.0.tar.gz">)", "");
  check_wheel(R"(<a href="my_pkg-1.0-py3-none-any.whl)", "");
  check_wheel(R"({"files":7})", "");
  check_wheel("{", "");
  check_wheel("", "");
}

}  // namespace
}  // namespace stoa::models
