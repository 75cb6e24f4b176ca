#include "infra/archive/archive.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

class ArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "stoa-archive-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::ofstream(folder_ / "data.txt") << std::string(300'000, 'x') << "end";
    fs::create_symlink("/etc/passwd", folder_ / "link");
    const std::string make = "cd " + folder_.string() + " && tar cf a.tar data.txt link && tar czf a.tar.gz data.txt";
    ASSERT_EQ(std::system(make.c_str()), 0);
    write("truncated.tar.gz", read("a.tar.gz").substr(0, 200));
    write("noise.zip", "this is no archive at all");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string read(const char* name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const char* name, const std::string& bytes) const { std::ofstream(folder_ / name, std::ios::binary) << bytes; }

  void check(const char* archive, const char* member, std::optional<ErrorCode> expected, ArchiveLimits limits = {}) {
    const auto target = folder_ / "out";
    const Status done = extract_member(folder_ / archive, member, target, limits);
    ASSERT_EQ(done.has_value(), !expected.has_value()) << archive << " " << member << (done ? "" : done.error().message);
    if (expected) {
      EXPECT_EQ(done.error().code, *expected) << done.error().message;
      EXPECT_FALSE(fs::exists(target)) << "a failed extraction left its file";
    } else {
      EXPECT_EQ(read("out"), read("data.txt"));
      fs::remove(target);
    }
  }
  fs::path folder_;
};

TEST_F(ArchiveTest, ExtractsOneMember) {
  check("a.tar", "data.txt", {});
  check("a.tar.gz", "data.txt", {});
}

// Hostile names and links lead nowhere: bytes only ever go to the target.
TEST_F(ArchiveTest, NothingLandsElsewhere) {
  fs::create_directories(folder_ / "in/deep");
  const std::string make = "cd " + folder_.string() + "/in/deep && cp ../../data.txt . && tar cPf ../hostile.tar --transform 's,^,../../escaped/,' data.txt && "
                           "ln -s .. sub && tar cf ../linked.tar sub && rm sub && mkdir sub && cp data.txt sub && tar rf ../linked.tar sub/data.txt";
  ASSERT_EQ(std::system(make.c_str()), 0);
  const auto files = [&] { return std::distance(fs::recursive_directory_iterator(folder_), fs::recursive_directory_iterator()); };
  const auto before = files();
  check("in/hostile.tar", "../../escaped/data.txt", {});
  check("in/linked.tar", "sub/data.txt", {});
  check("in/linked.tar", "sub", ErrorCode::kDataLoss);
  EXPECT_EQ(files(), before);
}

// libarchive would start lrzip, lzop and grzip for what looks like their files; here these stand first in the path and leave a trace.
TEST_F(ArchiveTest, StartsNoPrograms) {
  for (const char* name : {"lrzip", "lzop", "grzip"}) {
    write(name, "#!/bin/sh\necho started >" + (folder_ / "started").string() + "\n");
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (folder_.string() + ":" + path).c_str(), 1);
  write("a.lrz", std::string("LRZI\0\6", 6) + std::string(600, '\0'));
  write("a.lzo", std::string("\x89LZO\0\r\n\x1a\n", 9) + std::string(600, '\0'));
  write("a.grz", std::string("GRZipII\0\2\4:)", 12) + std::string(600, '\0'));
  for (const char* name : {"a.lrz", "a.lzo", "a.grz"}) check(name, "data.txt", ErrorCode::kDataLoss);
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_FALSE(fs::exists(folder_ / "started"));
}

TEST_F(ArchiveTest, RefusesTheRest) {
  check("a.tar", "absent", ErrorCode::kNotFound);
  check("a.tar", "../data.txt", ErrorCode::kNotFound);
  check("a.tar", "link", ErrorCode::kDataLoss);
  check("truncated.tar.gz", "data.txt", ErrorCode::kDataLoss);
  check("noise.zip", "data.txt", ErrorCode::kDataLoss);
  check("missing.zip", "data.txt", ErrorCode::kDataLoss);
  check("a.tar", "data.txt", ErrorCode::kTooLarge, {.max_bytes = 1000});
  check("a.tar", "link", ErrorCode::kTooLarge, {.max_members = 1});
}

}  // namespace
}  // namespace stoa::infra
