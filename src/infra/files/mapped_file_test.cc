#include "infra/files/mapped_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/bytes.h"

namespace stoa::infra {
namespace {

TEST(MappedFile, IsTheFileOrACopyOfIt) {
  const auto path = std::filesystem::path(testing::TempDir()) / "stoa_mapped_file_test";
  const std::string text = "what is in it";
  std::ofstream(path, std::ios::binary) << text;
  const auto mapped = MappedFile::open(path), copied = MappedFile::copy(path);
  ASSERT_TRUE(mapped && copied);
  EXPECT_TRUE(read_pages(mapped->bytes().subspan(5)));
  EXPECT_EQ(as_text(mapped->bytes()), text);
  std::filesystem::resize_file(path, 0);  // what is mapped would fault now
  const Status read = read_pages(mapped->bytes());
  EXPECT_TRUE(read || read.error().code == ErrorCode::kUnavailable);  // an old Linux cannot tell
  EXPECT_EQ(as_text(copied->bytes()), text);
  EXPECT_TRUE(MappedFile::open(path)->bytes().empty());
  EXPECT_TRUE(MappedFile::copy(path)->bytes().empty());
  std::filesystem::remove(path);
  for (const auto open : {MappedFile::open, MappedFile::copy}) {
    EXPECT_EQ(open(path).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(open(testing::TempDir()).error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace stoa::infra
