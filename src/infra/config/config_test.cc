#include "infra/config/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <sstream>

#include "infra/config/yaml.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

Env env_of(Variables variables) {
  variables.emplace("HOME", "/home/ann");
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    if (at == variables.end()) return std::nullopt;
    return at->second;
  };
}

Result<Config> load(const std::string& yaml, Variables variables = {}) {
  const fs::path file = fs::temp_directory_path() / fmt::format("stoa-config-test-{}.yaml", ::getpid());
  std::ofstream(file) << yaml;
  auto config = load_config(file, env_of(std::move(variables)));
  fs::remove(file);
  return config;
}

TEST(Config, DefaultsThenFileThenEnvironment) {
  const Config defaults = *load_config({}, env_of({}));
  EXPECT_EQ(defaults.server.port, 8080);
  EXPECT_EQ(defaults.home, "/home/ann/.local/share/stoa");
  const Config config = *load("server:\n  port: 9000\n  tls: {cert: a.pem, key: b.pem}\nlimits:\n  body_bytes: 2 MiB\ntrace:\n  content: true\nlog:\n",
                              {{"STOA_SERVER_PORT", "9001"}, {"STOA_HOME", "/data"}, {"STOA_LIMITS_UPLOAD_BYTES", "1GiB"}, {"STOA_LOG_FORMAT", "json"}});
  EXPECT_EQ(config.server.port, 9001);
  EXPECT_EQ(config.server.tls.key, "b.pem");
  EXPECT_EQ(config.limits.body_bytes, 2 << 20);
  EXPECT_EQ(config.limits.upload_bytes, 1 << 30);
  EXPECT_TRUE(config.trace.content);
  EXPECT_EQ(config.home, "/data");
  EXPECT_EQ(config.log.format, "json");
  EXPECT_EQ(config.log.level, "info");
}

TEST(Config, ErrorsSayWhereAndWhatInstead) {
  const struct { std::string yaml; Variables variables; std::string message, hint; } table[] = {
      {"server:\n  prot: 1\n", {}, ".yaml:2: unknown key 'server.prot'", "did you mean 'server.port'?"},
      {"sever: {}\n", {}, "unknown key 'sever'", ""},
      {"zzzzzzzzzzzzzzzzzzzz: 1\n", {}, "unknown key", "see docs/operating/configuration.md for the keys"},
      {"server: 1\n", {}, ":1: 'server' is a section", ""},
      {"\nserver:\n  port: many\n", {}, ":3: server.port: a whole number is expected, not 'many'", ""},
      {"server:\n  port: 70000\n", {}, ":2: server.port: 70000 is out of range: 0 to 65535", ""},
      {"server:\n  port: [1]\n", {}, ":2: a text is expected", ""},
      {"limits:\n  body_bytes: 8 MB\n", {}, "a number of bytes (8388608, 8 MiB) is expected, not '8 MB'", ""},
      {"limits:\n  body_bytes: 9999999999999 GiB\n", {}, "a number of bytes (8388608, 8 MiB) is expected", ""},
      {"trace:\n  content: maybe\n", {}, "true or false is expected, not 'maybe'", ""},
      {"log:\n  level: loud\n", {}, "'loud' is not one of: debug | info", ""},
      {"server:\n  tls: {cert: a}\n", {}, "go together", ""},
      {"chunk: {tokens: 50, overlap: 10}\n", {}, "unknown key 'chunk.overlap'", ""},
      {"- a\n- b\n", {}, ":1: the configuration is a map", ""},
      {"server:\n  port: 1\n  port: 2\n", {}, ":3: key 'port' appears twice", ""},
      {"server: {port: 1\n", {}, ".yaml:2: ", ""},
      {"", {{"STOA_SERVER_PORT", "x"}}, "environment variable STOA_SERVER_PORT: a whole number is expected, not 'x'", ""},
      {"", {{"HOME", ""}}, "there is no data folder", "set STOA_HOME, or home in the configuration file"},
  };
  for (const auto& [yaml, variables, message, hint] : table) {
    const auto config = load(yaml, variables);
    ASSERT_FALSE(config) << yaml;
    EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(config.error().message.find(message), std::string::npos) << config.error().message;
    if (!hint.empty()) {
      EXPECT_EQ(config.error().hint, hint);
    }
  }
  EXPECT_EQ(load_config("/nowhere/stoa.yaml", env_of({})).error().code, ErrorCode::kNotFound);
}

TEST(Config, ShownConfigurationReadsBack) {
  Config config = *load("home: \"it's: here\"\nserver: {port: 1234}\nlimits: {body_bytes: 5000}\n");
  const std::string yaml = config_as_yaml(config);
  const Config again = *load(yaml);
  EXPECT_EQ(config_as_yaml(again), yaml);
  EXPECT_EQ(again.home, "it's: here");
  EXPECT_EQ(again.limits.body_bytes, 5000);
}

// The documentation holds exactly the table that the code describes.
TEST(Config, EveryKeyIsDocumented) {
  std::ifstream file(fs::path(STOA_SOURCE_DIR) / "docs/operating/configuration.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string table = config_table_markdown();
  EXPECT_NE(text.str().find(table), std::string::npos) << "put this table into docs/operating/configuration.md:\n" << table;
}

TEST(Yaml, ReadsTypedValuesWithTheirLines) {
  const YamlNode root = *parse_yaml("name: Stoa\nports: [80, 443]\nquoted: \"80\"\nempty:\nratio: 0.5\nblock: |\n  two\n  lines\n", "f.yaml");
  EXPECT_EQ(*root.find("name")->text(), "Stoa");
  EXPECT_EQ(*root.find("ports")->items()[1].integer(), 443);
  EXPECT_EQ(root.find("ports")->line(), 2);
  EXPECT_EQ(root.find("quoted")->integer().error().message, "f.yaml:3: a whole number is expected, not '80'");
  EXPECT_TRUE(root.find("empty")->is_null());
  EXPECT_EQ(*root.find("ratio")->number(), 0.5);
  EXPECT_EQ(*root.find("block")->text(), "two\nlines\n");
  EXPECT_EQ(root.find("ports")->items()[0].integer(100, 200).error().message, "f.yaml:2: 80 is out of range: 100 to 200");
  EXPECT_EQ(root.at("nmae").error().message, "f.yaml:1: the key 'nmae' is missing");
  const std::string_view known[] = {"name", "ports", "quote", "empty", "ratio", "block"};
  const auto unknown = root.only(known);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "f.yaml:3: unknown key 'quoted'");
  EXPECT_EQ(unknown.error().hint, "did you mean 'quote'?");
}

TEST(Yaml, BoundsAndRefusals) {
  std::string deep, wide = "[";
  for (int i = 0; i < 100; ++i) deep += "[";
  for (int i = 0; i < 300'000; ++i) wide += "1,";
  const struct { std::string text; ErrorCode code; } table[] = {
      {deep + std::string(100, ']'), ErrorCode::kInvalidArgument},
      {std::string(100'000, '['), ErrorCode::kInvalidArgument},
      {wide + "1]", ErrorCode::kInvalidArgument},
      {std::string(5 << 20, ' '), ErrorCode::kTooLarge},
      {"a: &x 1\nb: *x\n", ErrorCode::kInvalidArgument},
      {"a: *x\n", ErrorCode::kInvalidArgument},
      {"a: !!binary Zm9v\n", ErrorCode::kInvalidArgument},
      {"? [a]\n: b\n", ErrorCode::kInvalidArgument},
      {"{a: 1, a: 2}", ErrorCode::kInvalidArgument},
      {"a: 1\n---\nb: 2\n", ErrorCode::kInvalidArgument},
      {"a: \xff\n", ErrorCode::kInvalidArgument},
      {"a: [1\n", ErrorCode::kInvalidArgument},
      {"a:\n\t- 1\n", ErrorCode::kInvalidArgument},
  };
  for (const auto& [text, code] : table) {
    const auto parsed = parse_yaml(text, "f.yaml");
    ASSERT_FALSE(parsed) << text.substr(0, 50);
    EXPECT_EQ(parsed.error().code, code) << parsed.error().message;
    EXPECT_TRUE(parsed.error().message.starts_with("f.yaml")) << parsed.error().message;
  }
  for (const auto* text : {"", "# only a comment\n", "---\n"}) EXPECT_TRUE(parse_yaml(text, "f.yaml")->is_null()) << text;
}

}  // namespace
}  // namespace stoa::infra
