#include "governance/protection/server_secrets.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

namespace fs = std::filesystem;

template <class T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result);
  return result ? ErrorCode::kInternal : result.error().code;
}

class ServerSecretsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "stoa-secret-XXXXXX").string();
    home_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(home_); }

  // As a process that starts now has it.
  Result<infra::SecretKey> load(ServerSecret secret = ServerSecret::kApiKeys) { return ServerSecrets(home_, *keys_).load(secret); }
  std::string hex(ServerSecret secret = ServerSecret::kApiKeys) {
    const auto key = load(secret);
    EXPECT_TRUE(key) << key.error().message;
    return key ? infra::to_hex(key->bytes()) : "";
  }
  fs::path file(std::string_view name = "api-keys") const { return home_ / "secrets" / name; }
  std::string text() const {
    std::ifstream in(file());
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(std::string_view text, std::string_view name = "api-keys") {
    fs::create_directories(home_ / "secrets");
    fs::permissions(home_ / "secrets", fs::perms::owner_all);
    std::ofstream(file(name), std::ios::trunc) << text;
    fs::permissions(file(name), fs::perms::owner_read | fs::perms::owner_write);
  }
  static unsigned mode(const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 07777u;
  }
  auto files() const { return std::distance(fs::directory_iterator(home_ / "secrets"), fs::directory_iterator()); }

  fs::path home_;
  std::unique_ptr<infra::KeyManagement> keys_ = infra::open_memory_keys();
};

TEST_F(ServerSecretsTest, AreMadeOnceForTheirOwnerOnly) {
  EXPECT_FALSE(*ServerSecrets::any_wrapped(home_));
  const std::string first = hex();
  EXPECT_EQ(hex(), first);
  EXPECT_EQ(mode(file()), 0600u);
  EXPECT_EQ(mode(home_ / "secrets"), 0700u);
  EXPECT_EQ(files(), 1) << "nothing is left beside it";
  EXPECT_NE(hex(ServerSecret::kAuditSigning), first);
  EXPECT_TRUE(*ServerSecrets::any_wrapped(home_));
  fs::remove(file());
  EXPECT_NE(hex(), first);
}

TEST_F(ServerSecretsTest, DoNotStandInTheirFiles) {
  const Bytes secret = *infra::from_hex(hex());
  const std::string kept = text();
  for (const std::string& spelling : {std::string(as_text(secret)), infra::to_hex(secret), infra::to_base64(secret)}) EXPECT_EQ(kept.find(spelling), std::string::npos);
  EXPECT_TRUE(kept.starts_with("stoa-wrapped-secret 1\nprovider memory\nmaster 1\nwrapped ")) << kept;
}

TEST_F(ServerSecretsTest, OnesOfEarlierReleasesAreWrappedInPlace) {
  const std::string plain(64, 'a');
  for (const std::string& before : {plain, plain + "\n"}) {
    write(before);
    write(plain, "api-keys.0123456789abcdef");  // left by a process that was killed
    EXPECT_EQ(hex(), plain);
    EXPECT_EQ(text().find(plain), std::string::npos);
    EXPECT_EQ(files(), 1);
    EXPECT_EQ(hex(), plain);
  }
  write(plain);
  ServerSecrets secrets(home_, *keys_);
  EXPECT_EQ(*secrets.rewrap(*keys_->describe()), 1) << "one that nothing has asked for yet";
  EXPECT_EQ(text().find(plain), std::string::npos);
}

TEST_F(ServerSecretsTest, FollowTheMasterKey) {
  const std::string api = hex(), audit = hex(ServerSecret::kAuditSigning);
  ServerSecrets secrets(home_, *keys_);
  EXPECT_EQ(*secrets.rewrap(*keys_->describe()), 0);
  ASSERT_TRUE(keys_->rotate());
  EXPECT_EQ(*secrets.rewrap(*keys_->describe()), 2);
  const auto status = *secrets.status();
  for (const auto& each : status) EXPECT_EQ(each.master, "2") << each.name;
  EXPECT_EQ(hex(), api);
  EXPECT_EQ(hex(ServerSecret::kAuditSigning), audit);
}

TEST_F(ServerSecretsTest, OpenUnderTheirNameAndMasterKeyAlone) {
  hex();
  const std::string wrapped = text();
  write(wrapped, "audit-signing");
  EXPECT_EQ(code_of(load(ServerSecret::kAuditSigning)), ErrorCode::kDataLoss) << "one secret in another's place";
  keys_ = infra::open_memory_keys();
  EXPECT_EQ(code_of(ServerSecrets(home_, *keys_).load(ServerSecret::kApiKeys)), ErrorCode::kNotFound) << "no such master key";
  ASSERT_TRUE(keys_->wrap(infra::SecretKey(), "anything"));
  const auto refused = load();
  ASSERT_EQ(code_of(refused), ErrorCode::kDataLoss) << "another master key of that version";
  EXPECT_NE(refused.error().message.find(file().string()), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().hint.find("bring back the master key"), std::string::npos) << refused.error().hint;
  EXPECT_EQ(text(), wrapped) << "what cannot be opened stays as it is";
}

TEST_F(ServerSecretsTest, RefuseWhatOthersCouldHaveSeenOrDamaged) {
  hex();
  const struct { unsigned file, folder; bool works; } modes[] = {
      {0600, 0700, true}, {0400, 0700, true}, {0640, 0700, false}, {0604, 0700, false}, {0620, 0700, false}, {0600, 0755, true}, {0600, 0777, false}, {0600, 0770, false}};
  for (const auto& [of_file, of_folder, works] : modes) {
    ASSERT_EQ(::chmod(file().c_str(), of_file), 0);
    ASSERT_EQ(::chmod((home_ / "secrets").c_str(), of_folder), 0);
    const auto loaded = load();
    ASSERT_EQ(loaded.has_value(), works) << fmt::format("{:o} {:o}", of_file, of_folder);
    if (!works) {
      EXPECT_EQ(loaded.error().code, ErrorCode::kUnavailable);
    }
  }
  ASSERT_EQ(::chmod((home_ / "secrets").c_str(), 0700), 0);
  ASSERT_EQ(::chmod(file().c_str(), 0600), 0);
  const std::string good = text(), magic = "stoa-wrapped-secret ";
  for (const std::string& damaged : {std::string(), std::string("abc"), std::string(62, 'a'), std::string(66, 'a'), std::string(50'000, 'a'), std::string(64, 'g'), magic, magic + "1", magic + "1\n",
                                     magic + "2\nanything\n", good.substr(0, good.size() - 1), good + "more\n", good + std::string(50'000, '\n'), magic + "1\nprovider memory\nmaster 1\nwrapped \n",
                                     magic + "1\nprovider memory\nmaster 1\nwrapped ???\n", magic + "1\nmaster 1\nprovider memory\nwrapped YWJj\n"}) {
    write(damaged);
    EXPECT_EQ(code_of(load()), ErrorCode::kUnavailable) << damaged.substr(0, 80);
  }
  EXPECT_EQ(code_of(ServerSecrets(home_ / "nowhere", *keys_).load(ServerSecret::kApiKeys)), ErrorCode::kUnavailable);
  fs::remove(file());
  fs::create_directory(file());
  EXPECT_EQ(code_of(load()), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace stoa::governance
