#include "infra/blob/disk/disk.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <set>

#include "infra/crypto/hash.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("stoa-blob-test-{}-{}", ::getpid(), next++);
  static inline int next = 0;
  ~Folder() { fs::remove_all(path); }
};

std::string digest_of(std::string_view text) { return "sha256:" + sha256_hex(text); }
const std::string kAbsent = "sha256:" + std::string(64, '0');

class BlobContract : public testing::TestWithParam<bool> {
 protected:
  Folder folder_;
  std::unique_ptr<BlobStore> store_ = GetParam() ? open_memory_blobs(1 << 20) : std::move(*open_disk_blobs(folder_.path));
};
INSTANTIATE_TEST_SUITE_P(, BlobContract, testing::Bool(), [](const auto& info) { return info.param ? "memory" : "disk"; });

TEST_P(BlobContract, WhatIsPutCanBeRead) {
  for (const std::string& text : {std::string(), std::string("hello"), std::string("\0\xff", 2), std::string(300'000, 'x')}) {
    const std::string digest = *store_->put(as_bytes(text));
    EXPECT_EQ(digest, digest_of(text));
    EXPECT_EQ(*store_->put(as_bytes(text)), digest) << "again";
    EXPECT_EQ(as_text(*store_->get(digest, text.size())), text);
    EXPECT_EQ(*store_->size(digest), text.size());
    EXPECT_TRUE(*store_->exists(digest));
  }
}

TEST_P(BlobContract, WriterShowsNothingBeforeItCommits) {
  {
    const auto abandoned = *store_->writer();
    EXPECT_TRUE(abandoned->write(as_bytes("abc")));
  }
  EXPECT_FALSE(*store_->exists(digest_of("abc")));
  const auto writer = *store_->writer();
  EXPECT_TRUE(writer->write(as_bytes("ab")));
  EXPECT_FALSE(*store_->exists(digest_of("ab")));
  EXPECT_TRUE(writer->write(as_bytes("c")));
  EXPECT_EQ(*writer->commit(), digest_of("abc"));
  EXPECT_EQ(as_text(*store_->get(digest_of("abc"), 3)), "abc");
}

TEST_P(BlobContract, ReadsRanges) {
  const std::string digest = *store_->put(as_bytes("0123456789"));
  const struct { std::uint64_t offset; std::size_t length; std::string expected; } table[] = {
      {0, 4, "0123"}, {8, 10, "89"}, {10, 1, ""}, {1000, 5, ""}, {UINT64_MAX, SIZE_MAX, ""}, {3, 0, ""}, {0, SIZE_MAX, "0123456789"}};
  for (const auto& [offset, length, expected] : table) EXPECT_EQ(as_text(*store_->read(digest, offset, length)), expected) << offset;
}

TEST_P(BlobContract, ErrorsHaveTheirKind) {
  const std::string digest = *store_->put(as_bytes("four"));
  EXPECT_EQ(store_->get(digest, 3).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(store_->get(kAbsent, 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->read(kAbsent, 0, 9).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->size(kAbsent).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(*store_->exists(kAbsent));
  for (const std::string& bad : {std::string(), std::string("sha256:"), std::string(64, 'a'), "sha256:../../" + std::string(58, 'a'),
                                 "sha256:" + std::string(64, 'A'), "md5:" + std::string(64, 'a'), kAbsent + "0"}) {
    EXPECT_FALSE(is_digest(bad)) << bad;
    EXPECT_EQ(store_->get(bad, 9).error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_EQ(store_->read(bad, 0, 9).error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_EQ(store_->exists(bad).error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_EQ(store_->remove(bad).error().code, ErrorCode::kInvalidArgument) << bad;
  }
}

TEST_P(BlobContract, TakesANameForBytesThatVouchForThemselves) {
  const std::string name = "sha256:" + std::string(64, 'b');
  for (const std::string_view text : {"first", "second, longer"}) {
    auto writer = *store_->writer();
    ASSERT_TRUE(writer->write(as_bytes(text)));
    ASSERT_TRUE(writer->commit_as(name));
    EXPECT_EQ(as_text(*store_->read(name, 0, 100)), text);
    EXPECT_EQ(*store_->size(name), text.size());
  }
  EXPECT_EQ((*store_->writer())->commit_as("../x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store_->remove(name));
}

TEST_P(BlobContract, RemovesAndLists) {
  std::set<std::string> expected;
  for (int i = 0; i < 20; ++i) expected.insert(*store_->put(as_bytes(std::to_string(i))));
  const std::string gone = *expected.begin();
  expected.erase(gone);
  EXPECT_TRUE(store_->remove(gone));
  EXPECT_TRUE(store_->remove(gone)) << "again";
  std::set<std::string> seen;
  EXPECT_TRUE(store_->for_each([&](const std::string& digest, std::uint64_t size) -> Result<bool> {
    EXPECT_EQ(size, *store_->size(digest));
    return seen.insert(digest).second;
  }));
  EXPECT_EQ(seen, expected);
  int visits = 0;
  EXPECT_TRUE(store_->for_each([&](const std::string&, std::uint64_t) -> Result<bool> { return ++visits < 3; }));
  EXPECT_EQ(visits, 3);
}

TEST(MemoryBlobs, RefuseMoreThanTheyHold) {
  const auto store = open_memory_blobs(10);
  EXPECT_TRUE(store->put(as_bytes("123456")));
  EXPECT_EQ(store->put(as_bytes("abcdef")).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(store->put(as_bytes("12345678901")).error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store->remove(digest_of("123456")));
  EXPECT_TRUE(store->put(as_bytes("abcdef")));
}

TEST(DiskBlobs, SurvivesReopeningAndCleansUp) {
  const Folder folder;
  { ASSERT_TRUE((*open_disk_blobs(folder.path))->put(as_bytes("kept"))); }
  std::ofstream(folder.path / "tmp" / "blob_unfinished") << "half";
  const auto store = *open_disk_blobs(folder.path);
  EXPECT_EQ(as_text(*store->get(digest_of("kept"), 10)), "kept");
  EXPECT_TRUE(fs::is_empty(folder.path / "tmp"));
}

TEST(DiskBlobs, NoticesAndMendsDamage) {
  const Folder folder;
  const auto store = *open_disk_blobs(folder.path);
  const std::string digest = *store->put(as_bytes("original")), hex = digest.substr(7);
  const fs::path file = folder.path / hex.substr(0, 2) / hex.substr(2);
  std::ofstream(file) << "0riginal";
  const auto damaged = store->get(digest, 100);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(damaged.error().message.find(file.string()), std::string::npos);
  std::ofstream(file, std::ios::trunc) << "orig";
  EXPECT_EQ(store->get(digest, 100).error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(store->put(as_bytes("original")));
  EXPECT_EQ(as_text(*store->get(digest, 100)), "original");
}

TEST(DiskBlobs, UnusableRootIsNamed) {
  const Folder folder;
  std::ofstream(folder.path) << "a file";
  const auto opened = open_disk_blobs(folder.path / "blobs");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(opened.error().message.find(folder.path.string()), std::string::npos);
}

// A write that the system refuses in the middle, as on a full disk. In a child, because the limit cannot be raised again.
TEST(DiskBlobs, RefusedWriteLeavesNothing) {
  const Folder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto store = open_disk_blobs(folder.path);
    if (!store || !(*store)->put(as_bytes("small"))) ::_exit(10);
    const auto large = (*store)->put(as_bytes(std::string(1 << 17, 'x')));
    if (large || large.error().code != ErrorCode::kResourceExhausted) ::_exit(11);
    const auto writer = (*store)->writer();
    (void)(*writer)->write(as_bytes(std::string(1 << 17, 'y')));
    if ((*writer)->commit()) ::_exit(12);
    ::_exit((*store)->put(as_bytes("small too")) ? 0 : 13);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const auto store = *open_disk_blobs(folder.path);
  int blobs = 0;
  EXPECT_TRUE(store->for_each([&](const std::string& digest, std::uint64_t) -> Result<bool> {
    EXPECT_TRUE(store->get(digest, 100));
    return ++blobs > 0;
  }));
  EXPECT_EQ(blobs, 2);
}

}  // namespace
}  // namespace stoa::infra
