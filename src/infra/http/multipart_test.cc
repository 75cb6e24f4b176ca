#include "infra/http/multipart.h"

#include <gtest/gtest.h>

namespace stoa::infra {
namespace {

constexpr const char* kType = "multipart/form-data; boundary=XX";

TEST(Multipart, ReadsFieldsAndFiles) {
  const std::string body =
      "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n"
      "--XX \r\ncontent-disposition: form-data; name=\"file\"; filename=\"C:\\dir\\..\\a \\\"b\\\".txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n--XY\r\n\r\n"
      "--XX\r\nContent-Disposition: form-data; name=empty; filename=\"\"\r\n\r\n\r\n--XX--\r\n";
  const auto parts = parse_form("Multipart/Form-Data; charset=x; boundary=\"XX\"", body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 3u);
  EXPECT_EQ((*parts)[0].name, "purpose");
  EXPECT_EQ((*parts)[0].data, "assistants");
  EXPECT_FALSE((*parts)[0].is_file);
  EXPECT_EQ((*parts)[1].filename, "a \"b\".txt");
  EXPECT_EQ((*parts)[1].content_type, "text/plain");
  EXPECT_EQ((*parts)[1].data, "line\r\n--XY\r\n");
  EXPECT_TRUE((*parts)[2].is_file);
  EXPECT_EQ((*parts)[2].data, "");
  EXPECT_EQ(find_part(*parts, "file"), &(*parts)[1]);
  EXPECT_EQ(find_part(*parts, "none"), nullptr);
}

TEST(Multipart, StripsPathsFromFilenames) {
  const std::pair<std::string, std::string> cases[] = {
      {"../../etc/passwd", "passwd"}, {"/abs/x", "x"}, {"..", ""}, {".", ""}, {"a/", ""}, {"..\\..\\w.ini", "w.ini"}, {"ok.pdf", "ok.pdf"}};
  for (const auto& [given, expected] : cases) {
    const std::string body = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + given + "\"\r\n\r\nx\r\n--XX--";
    const auto parts = parse_form(kType, body);
    ASSERT_TRUE(parts) << given;
    EXPECT_EQ(parts->front().filename, expected) << given;
  }
}

TEST(Multipart, RefusesWhatIsMalformed) {
  const std::string head = "--XX\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
  const std::tuple<std::string, std::string, ErrorCode> cases[] = {
      {"application/json", head + "x\r\n--XX--", ErrorCode::kInvalidArgument},
      {"multipart/form-data", head + "x\r\n--XX--", ErrorCode::kInvalidArgument},
      {"multipart/form-data; boundary=" + std::string(80, 'b'), head + "x\r\n--XX--", ErrorCode::kInvalidArgument},
      {kType, "", ErrorCode::kInvalidArgument},
      {kType, "nothing here", ErrorCode::kInvalidArgument},
      {kType, "--XX", ErrorCode::kInvalidArgument},
      {kType, "--XX\r\n", ErrorCode::kInvalidArgument},
      {kType, "--XXjunk\r\n\r\n", ErrorCode::kInvalidArgument},
      {kType, head + "cut off", ErrorCode::kInvalidArgument},
      {kType, "--XX\r\nno colon\r\n\r\nx\r\n--XX--", ErrorCode::kInvalidArgument},
      {kType, "--XX\r\nX: y\r\n\r\nx\r\n--XX--", ErrorCode::kInvalidArgument},
      {kType, "--XX\r\n\r\nx\r\n--XX--", ErrorCode::kInvalidArgument},
      {kType, "--XX\r\nX: " + std::string(10000, 'y') + "\r\n\r\nx\r\n--XX--", ErrorCode::kTooLarge},
  };
  for (const auto& [type, body, code] : cases) {
    const auto parts = parse_form(type, body);
    ASSERT_FALSE(parts) << body.substr(0, 60);
    EXPECT_EQ(parts.error().code, code) << body.substr(0, 60);
  }
  std::string many;
  for (int i = 0; i < 200; ++i) many += head + "x\r\n";
  EXPECT_EQ(parse_form(kType, many + "--XX--").error().code, ErrorCode::kTooLarge);
  // Cut at every byte: an error or parts, never a crash.
  const std::string whole = head + "data\r\n" + head + "more\r\n--XX--";
  for (std::size_t n = 0; n < whole.size() - 2; ++n) EXPECT_FALSE(parse_form(kType, whole.substr(0, n))) << n;
}

}  // namespace
}  // namespace stoa::infra
