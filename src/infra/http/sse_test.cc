#include "infra/http/sse.h"

#include <gtest/gtest.h>

#include <vector>

namespace stoa::infra {
namespace {

std::string show(const SseEvent& event) { return event.event + "|" + event.data + "|" + event.id; }

std::vector<std::string> parse(std::string_view text, std::size_t step) {
  std::vector<std::string> events;
  SseParser parser([&](const SseEvent& event) {
    events.push_back(show(event));
    return true;
  });
  for (std::size_t i = 0; i < text.size(); i += step) EXPECT_TRUE(parser.feed(text.substr(i, step)));
  return events;
}

TEST(Sse, FormatsAndParsesBack) {
  EXPECT_EQ(format_sse("{}"), "data: {}\n\n");
  EXPECT_EQ(format_sse("a\r\nb\rc", "error", "7"), "id: 7\nevent: error\ndata: a\ndata: b\ndata: c\n\n");
  EXPECT_EQ(format_sse("x", "bad\nevent: y"), "event: bad event: y\ndata: x\n\n");
  EXPECT_EQ(format_sse_comment("ping"), ": ping\n\n");
  const std::vector<std::string> expected = {"error|a\nb\nc|7"};
  EXPECT_EQ(parse(format_sse("a\nb\nc", "error", "7"), 1), expected);
}

TEST(Sse, ParsesEveryLineEndingInEverySplit) {
  const std::string text = "\xEF\xBB\xBF: hello\ndata: one\r\n\r\ndata:two\rdata\r\revent: e\nid: 3\ndata: x\nunknown: y\n\nevent: lost\n\ndata: cut";
  const std::vector<std::string> expected = {"|one|", "|two\n|", "e|x|3"};
  for (std::size_t step = 1; step <= text.size(); ++step) EXPECT_EQ(parse(text, step), expected) << "pieces of " << step;
}

TEST(Sse, StopsAndLimits) {
  int seen = 0;
  SseParser stopping([&](const SseEvent&) { return ++seen < 2; });
  EXPECT_TRUE(stopping.feed("data: 1\n\ndata: 2\n\ndata: 3\n\n"));
  EXPECT_EQ(seen, 2);
  EXPECT_TRUE(stopping.stopped());

  const auto never = [](const SseEvent&) { return true; };
  SseParser one_line(never, 100);
  EXPECT_EQ(one_line.feed("data: " + std::string(200, 'x')).error().code, ErrorCode::kTooLarge);
  SseParser many_lines(never, 100);
  Status status;
  for (int i = 0; i < 50 && status; ++i) status = many_lines.feed("data: xxxxxxxx\n");
  EXPECT_EQ(status.error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace stoa::infra
