// Event streams of AWS: the first byte says how the rest is cut into pieces. Whatever the pieces are, the same messages are read, and each can be written
// and read again.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "infra/aws/event_stream.h"
#include "require.h"

namespace {

using namespace stoa::infra;

struct Read {
  std::vector<EventMessage> messages;
  bool good = true;
};

Read read(std::string_view bytes, std::size_t piece) {
  Read out;
  EventStreamParser parser([&](EventMessage&& message) {
    out.messages.push_back(std::move(message));
    return true;
  });
  for (std::size_t at = 0; at < bytes.size() && out.good; at += piece) out.good = parser.feed(bytes.substr(at, piece)).has_value();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  constexpr std::array<std::size_t, 4> kPieces{1, 3, 16, 100};
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Read whole = read(bytes, bytes.size() + 1), pieces = read(bytes, kPieces[data[0] % kPieces.size()]);
  require(whole.good == pieces.good && whole.messages.size() == pieces.messages.size());
  for (const EventMessage& message : whole.messages) {
    const Read again = read(format_event_message(message), 1);
    require(again.good && again.messages.size() == 1 && again.messages[0].payload == message.payload && again.messages[0].headers == message.headers);
  }
  // As they stand, bytes hardly ever have the right checksums: as headers and as payload of a message that has.
  const Read framed = read(format_event_message({{{":event-type", std::string(bytes.substr(0, 300))}}, std::string(bytes)}), kPieces[data[0] % kPieces.size()]);
  require(framed.good && framed.messages.size() == 1 && framed.messages[0].payload == bytes && framed.messages[0].header(":event-type") == bytes.substr(0, 300));
  return 0;
}
