// Files of the journal as a disk may give them back, and the records in them.
#include <cstdint>
#include <string>

#include "infra/journal/group.h"
#include "infra/journal/packing.h"
#include "infra/journal/segment.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool torn : {false, true}) {
    std::string again = infra::segment_header(1);
    std::uint64_t next = 1;
    const auto read = infra::read_segment(as_bytes(text), "fuzz", 1, 1000, torn, [&](std::uint64_t position, ByteSpan record) -> Status {
      require(position == next++ && record.size() <= 1000);
      again += infra::segment_record(position, record);
      return {};
    });
    if (!read) continue;
    require(read->next == next && read->offset <= size);
    require(read->offset == 0 || text.substr(0, read->offset) == again);  // what is read is what was written
    require(torn || read->offset == size);
  }
  infra::JournalGroup group;
  const auto whole = infra::JournalGroup::read(as_bytes(text), [&](std::uint8_t kind, ByteSpan record) -> Status {
    group.add(kind, as_text(record));
    return {};
  });
  require(text.starts_with(group.bytes()) && (!whole || group.bytes() == text));
  std::int64_t number = 0;
  std::string word;
  infra::Unpacker unpacker(as_bytes(text));
  if (unpacker.take(word).take(number).take(word).finish("test")) require(size >= 16);
  return 0;
}
