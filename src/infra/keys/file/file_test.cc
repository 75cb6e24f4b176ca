#include "infra/keys/file/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <thread>

#include "infra/keys/keys_contract.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("stoa-keys-test-{}-{}", ::getpid(), next++);
  static inline int next = 0;
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  ::chmod(path.c_str(), 0600);
}

TEST(FileKeysContract, Holds) {
  const Folder folder;
  check_keys_contract(**open_file_keys(folder.path / "keys", true));
}

TEST(FileKeys, AreMadeOncePrivateAndKept) {
  const Folder folder;
  const fs::path file = folder.path / "keys";
  EXPECT_EQ(open_file_keys(file, false).error().code, ErrorCode::kNotFound);
  const SecretKey key = *SecretKey::random();
  const auto wrapped = (*open_file_keys(file, true))->wrap(key, "c");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()), 1) << "no temporary file stays";
  EXPECT_TRUE(same_key(*(*open_file_keys(file, true))->unwrap(*wrapped, "c"), key));
}

TEST(FileKeys, AnotherProcessMayRotate) {
  const Folder folder;
  const auto a = *open_file_keys(folder.path / "keys", true), b = *open_file_keys(folder.path / "keys", false);
  ASSERT_TRUE(b->rotate());
  const SecretKey key = *SecretKey::random();
  EXPECT_TRUE(same_key(*a->unwrap(*b->wrap(key, "c"), "c"), key));
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] { EXPECT_TRUE((i % 2 == 0 ? a : b)->rotate()); });
  threads.clear();
  EXPECT_EQ(a->describe()->versions.size(), 10u) << "no rotation is lost";
}

TEST(FileKeys, BadFilesAreNamedAndExplained) {
  const Folder folder;
  const fs::path file = folder.path / "keys";
  (void)open_file_keys(file, true);
  const std::string good = text_of(file);
  const std::string row = good.substr(good.rfind("\n1 ") + 1);
  for (const std::string& bad : {std::string(), std::string("hello\n"), std::string("stoa-master-keys 2\n") + row, std::string("stoa-master-keys 1\n"),
                                 good + row, good + "2 x y\n", good + "2 2026-01-01T00:00:00Z AAAA\n", good + "two\n", good.substr(0, good.size() - 9)}) {
    write_text(file, bad);
    const auto refused = open_file_keys(file, true);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss) << bad;
    EXPECT_NE(refused.error().message.find(file.string()), std::string::npos);
    EXPECT_EQ(text_of(file), bad) << "a damaged file is not replaced";
  }
  write_text(file, good);
  ASSERT_TRUE(open_file_keys(file, true));
  ::chmod(file.c_str(), 0640);
  EXPECT_EQ(open_file_keys(file, true).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(open_file_keys(folder.path / "absent" / "keys", true).error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace stoa::infra
