// Signatures against AWS's published vectors, and event streams against bytes that botocore makes and reads.
#include <gtest/gtest.h>

#include "infra/aws/event_stream.h"
#include "infra/aws/sigv4.h"
#include "infra/crypto/encoding.h"

namespace stoa::infra {
namespace {

const AwsCredentials kExample{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

// AWS's test suite for signature version 4: get-vanilla and post-vanilla.
TEST(SigV4, PublishedVectors) {
  const SigningScope scope{"us-east-1", "service", "20150830T123600Z"};
  const HttpHeaders headers{{"Host", "example.amazonaws.com"}, {"X-Amz-Date", "20150830T123600Z"}};
  const std::string begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
  EXPECT_EQ(sign_v4(kExample, scope, "GET", "/", headers, ""), begin + "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  EXPECT_EQ(sign_v4(kExample, scope, "POST", "/", headers, ""), begin + "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
}

// As botocore signs it: the path is encoded once more than it is sent, and temporary credentials have a token.
TEST(SigV4, SignsWholeRequests) {
  HttpClientRequest request{.method = "POST", .url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-v1%3A0/converse-stream", .body = R"({"messages":[]})"};
  request.headers.add("Content-Type", "application/json");
  AwsCredentials temporary = kExample;
  temporary.session_token = "session";
  const Micros time = *parse_rfc3339("2015-08-30T12:36:00Z");
  ASSERT_TRUE(sign_request(request, temporary, "us-east-1", "bedrock", time));
  EXPECT_EQ(request.headers.get("x-amz-date"), "20150830T123600Z");
  EXPECT_EQ(request.headers.get("x-amz-security-token"), "session");
  EXPECT_EQ(request.headers.get("authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
            "Signature=7dccaf9528d868244b605d9823b385e363f3d4801bb07094b6eaa294e8bc0801");
  request.url += "?a=b";
  EXPECT_EQ(sign_request(request, temporary, "us-east-1", "bedrock", time).error().code, ErrorCode::kInvalidArgument);
  request.url = "nowhere";
  EXPECT_EQ(sign_request(request, temporary, "us-east-1", "bedrock", time).error().code, ErrorCode::kInvalidArgument);
}

std::string bytes_of(std::string_view hex) {
  const Bytes bytes = *from_hex(hex);
  return std::string(as_text(bytes));
}

// One of AWS's published vectors, and one with every type of header that botocore reads the same way.
const std::string kPlain = bytes_of("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936");
const std::string kEveryType = bytes_of(
    "000000a000000077db64a4600b3a6576656e742d7479706507000b6d65737361676553746f70016100016201016302050164030007016504000000070166050000000000000000016706000378797a01680800000000"
    "00000000016909010101010101010101010101010101010d3a6d6573736167652d747970650700056576656e747b2273746f70526561736f6e223a22656e645f7475726e227d8066c6b5");

std::uint32_t crc(std::string_view bytes) {
  std::uint32_t value = 0xffffffff;
  for (const char byte : bytes) {
    value ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value;
}

// A message of these lengths, whatever it holds, with checksums that are right.
std::string framed(std::uint32_t total, std::uint32_t headers, std::string_view bytes) {
  std::string out;
  const auto put = [&](std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
  };
  put(total);
  put(headers);
  put(crc(out));
  out += bytes;
  put(crc(out));
  return out;
}

// What was read, a line each; then the error, if there was one.
std::string read(std::string_view bytes, std::size_t piece = 1 << 20, std::size_t most = 1 << 20) {
  std::string out;
  EventStreamParser parser(
      [&](EventMessage&& message) {
        for (const auto& [name, value] : message.headers) out += name + "=" + value + " ";
        out += message.payload + "\n";
        return true;
      },
      most);
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    if (const Status fed = parser.feed(bytes.substr(at, piece)); !fed) {
      EXPECT_FALSE(parser.feed("x"));
      return out + fed.error().message;
    }
  return out + (parser.idle() ? "" : "unfinished");
}

TEST(EventStream, ReadsWhateverThePieces) {
  const std::string both = kPlain + kEveryType;
  for (const std::size_t piece : {1, 2, 7, 64, 4096})
    EXPECT_EQ(read(both, piece), "{'foo':'bar'}\n:event-type=messageStop :message-type=event {\"stopReason\":\"end_turn\"}\n") << piece;
  for (std::size_t cut = 1; cut < kEveryType.size(); ++cut) EXPECT_EQ(read(std::string_view(kEveryType).substr(0, cut)), "unfinished") << cut;
  EXPECT_EQ(read(""), "");
}

TEST(EventStream, WritesWhatItReads) {
  EXPECT_EQ(format_event_message({{}, "{'foo':'bar'}"}), kPlain);
  const EventMessage message{{{":message-type", "event"}, {":event-type", "metadata"}}, "{}"};
  EXPECT_EQ(read(format_event_message(message)), ":message-type=event :event-type=metadata {}\n");
  const EventMessage wide{{{std::string(300, 'n'), std::string(70'000, 'v')}}, ""};
  EXPECT_EQ(read(format_event_message(wide)), std::string(255, 'n') + "=" + std::string(65'535, 'v') + " \n");
}

TEST(EventStream, EveryFlippedByteIsSeen) {
  for (std::size_t at = 0; at < kEveryType.size(); ++at) {
    std::string bytes = kEveryType;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    EXPECT_TRUE(read(bytes).starts_with("a message of the event stream is damaged")) << at;
  }
}

TEST(EventStream, IsBounded) {
  EXPECT_EQ(read(format_event_message({{}, std::string(2000, 'x')}), 64, 1000), "a message of the event stream has 2016 bytes, of at most 1000");
  EXPECT_TRUE(read(framed(15, 0, "")).contains("lengths cannot be"));
  EXPECT_TRUE(read(framed(16, 1, "")).contains("lengths cannot be"));
  EXPECT_TRUE(read(framed(0xffffffff, 0, "")).contains("of at most"));
  EXPECT_TRUE(read(framed(400'000, 300'000, ""), 64, 1 << 20).contains("of at most"));
  bool seen = false;
  EventStreamParser once([&](EventMessage&&) { return std::exchange(seen, true); });
  EXPECT_TRUE(once.feed(kPlain + kPlain));  // the first says that it is enough
  EXPECT_TRUE(once.feed("anything"));
}

TEST(EventStream, HeadersThatCannotBe) {
  const struct {
    std::string headers;
    std::string_view expected;
  } table[] = {
      {bytes_of("00"), "a header has no name"},
      {bytes_of("0561"), "a header has no name"},
      {bytes_of("01610a"), "a header has a type that does not exist"},
      {bytes_of("016107"), "a header is cut off"},
      {bytes_of("0161070009"), "a header is cut off"},
      {bytes_of("01610900"), "a header is cut off"},
  };
  for (const auto& [headers, expected] : table) {
    const std::string said = read(framed(static_cast<std::uint32_t>(16 + headers.size()), static_cast<std::uint32_t>(headers.size()), headers));
    EXPECT_TRUE(said.contains(expected)) << said;
  }
}

}  // namespace
}  // namespace stoa::infra
