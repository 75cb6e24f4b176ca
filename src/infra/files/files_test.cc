#include "infra/files/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("stoa-files-test-{}-{}", ::getpid(), next++);
  static inline int next = 0;
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  auto entries() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

std::string text_of(const fs::path& path) { return std::string(as_text(*File(path, O_RDONLY).read_at(0, 1 << 20))); }

TEST(Files, WriteReadAndTruncate) {
  const Folder folder;
  File file(folder.path / "a", O_RDWR | O_CREAT | O_EXCL);
  ASSERT_TRUE(file.is_open());
  EXPECT_TRUE(file.write(as_bytes("hello, ")) && file.write(as_bytes("world")) && file.write_at(as_bytes("W"), 7) && file.sync());
  const struct { std::size_t offset, length; std::string_view expected; } table[] = {{0, 100, "hello, World"}, {7, 5, "World"}, {11, 9, "d"}, {12, 1, ""}, {99, 1, ""}, {3, 0, ""}};
  for (const auto& [offset, length, expected] : table) EXPECT_EQ(as_text(*file.read_at(offset, length)), expected) << offset;
  EXPECT_TRUE(file.truncate(5));
  EXPECT_TRUE(file.close());
  EXPECT_FALSE(file.is_open());
  EXPECT_EQ(text_of(folder.path / "a"), "hello");
  EXPECT_FALSE(File(folder.path / "a", O_RDWR | O_CREAT | O_EXCL).is_open()) << "there is one";
}

TEST(Files, ErrorsNameTheFileAndTheReason) {
  const Folder folder;
  const fs::path absent = folder.path / "absent" / "file";
  const File closed(absent, O_RDWR | O_CREAT);
  EXPECT_FALSE(closed.is_open());
  errno = ENOSPC;
  EXPECT_EQ(file_error(absent, "write").code, ErrorCode::kResourceExhausted);
  const Error errors[] = {closed.write(as_bytes("x")).error(), closed.write_at(as_bytes("x"), 3).error(), closed.read_at(0, 1).error(), closed.truncate(0).error(),
                          closed.sync().error(), sync_folder(absent).error(), write_whole(absent, {}, IfExists::kKeep).error()};
  for (const Error& problem : errors) {
    EXPECT_EQ(problem.code, ErrorCode::kUnavailable);
    EXPECT_TRUE(problem.message.starts_with(absent.string())) << problem.message;
    EXPECT_FALSE(problem.hint.empty());
  }
}

TEST(Files, AreWrittenWholeAndPrivate) {
  const Folder folder;
  const fs::path file = folder.path / "secret";
  EXPECT_TRUE(*write_whole(file, as_bytes("one"), IfExists::kKeep));
  EXPECT_FALSE(*write_whole(file, as_bytes("two"), IfExists::kKeep));
  EXPECT_EQ(text_of(file), "one");
  EXPECT_TRUE(*write_whole(file, as_bytes("three"), IfExists::kReplace));
  EXPECT_EQ(text_of(file), "three");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(folder.entries(), 1) << "nothing stays aside";
  fs::create_directory(folder.path / "taken");
  EXPECT_FALSE(write_whole(folder.path / "taken", as_bytes("x"), IfExists::kReplace));
  EXPECT_EQ(folder.entries(), 2);
}

TEST(Files, OneOfManyMakesAFile) {
  const Folder folder;
  std::atomic<int> made = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] { made += *write_whole(folder.path / "one", as_bytes("x"), IfExists::kKeep) ? 1 : 0; });
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(folder.entries(), 1);
}

}  // namespace
}  // namespace stoa::infra
