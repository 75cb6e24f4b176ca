// Against SoftHSM, a token in software: the Debian package softhsm2.
#include "infra/keys/pkcs11/pkcs11.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "infra/keys/keys_contract.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModule = "/usr/lib/softhsm/libsofthsm2.so";

// Tokens in a folder of their own. The module reads its configuration once a process, so all tests share it.
class SoftHsm : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    fs::create_directories(folder() / "tokens");
    std::ofstream(folder() / "softhsm2.conf") << "directories.tokendir = " << (folder() / "tokens").string() << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    ::setenv("SOFTHSM2_CONF", (folder() / "softhsm2.conf").c_str(), 1);
    made_ = fs::exists(kModule) && std::system("softhsm2-util --init-token --free --label stoa-test --so-pin 5678 --pin 1234 > /dev/null 2>&1") == 0;
  }
  static void TearDownTestSuite() { fs::remove_all(folder()); }
  void SetUp() override {
    if (!made_) GTEST_SKIP() << "SoftHSM is not installed (" << kModule << ")";
  }
  static fs::path folder() { return fs::temp_directory_path() / fmt::format("stoa-softhsm-{}", ::getpid()); }
  static Pkcs11Options options(std::string key, std::string pin = "1234", std::string token = "stoa-test") { return {kModule, std::move(token), std::move(key), std::move(pin)}; }

  static inline bool made_ = false;
};

using Pkcs11KeysContract = SoftHsm;
TEST_F(Pkcs11KeysContract, Holds) { check_keys_contract(**open_pkcs11_keys(options("contract"), true)); }

TEST_F(SoftHsm, KeysStayInTheToken) {
  EXPECT_EQ(open_pkcs11_keys(options("kept"), false).error().code, ErrorCode::kNotFound);
  const SecretKey key = *SecretKey::random();
  Result<WrappedKey> wrapped = fail(ErrorCode::kInternal, "not yet");
  {
    const auto keys = *open_pkcs11_keys(options("kept"), true);
    wrapped = keys->wrap(key, "c");
    ASSERT_TRUE(wrapped) << wrapped.error().message;
    ASSERT_TRUE(keys->rotate());
  }
  const auto keys = open_pkcs11_keys(options("kept"), false);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_TRUE(same_key(*(*keys)->unwrap(*wrapped, "c"), key)) << "after another start";
  EXPECT_EQ((*keys)->describe()->current, "2");
  const auto other = *open_pkcs11_keys(options("other"), true);
  EXPECT_EQ(other->unwrap(*wrapped, "c").error().code, ErrorCode::kDataLoss);
}

TEST_F(SoftHsm, SaysWhatIsWrong) {
  EXPECT_EQ(open_pkcs11_keys(options("k", "9999"), true).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(open_pkcs11_keys(options("k", "1234", "no-such-token"), true).error().code, ErrorCode::kNotFound);
  auto bad = options("k");
  bad.module = "/nonexistent/module.so";
  EXPECT_EQ(open_pkcs11_keys(bad, true).error().code, ErrorCode::kNotFound);
  bad.module = "libm.so.6";
  EXPECT_EQ(open_pkcs11_keys(bad, true).error().code, ErrorCode::kInvalidArgument);
  const auto keys = *open_pkcs11_keys(options("k"), true);
  WrappedKey unknown = *keys->wrap(*SecretKey::random(), "c");
  unknown.master = "77";
  EXPECT_EQ(keys->unwrap(unknown, "c").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace stoa::infra
