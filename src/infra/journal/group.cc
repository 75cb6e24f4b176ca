#include "infra/journal/group.h"

namespace stoa::infra {
namespace {

constexpr std::size_t kHeader = 5;

}  // namespace

void JournalGroup::add(std::uint8_t kind, std::string_view record) {
  bytes_.reserve(bytes_.size() + kHeader + record.size());
  bytes_ += static_cast<char>(kind);
  for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(static_cast<unsigned char>(record.size() >> shift));
  bytes_ += record;
}

Status JournalGroup::read(ByteSpan bytes, const std::function<Status(std::uint8_t kind, ByteSpan record)>& visit) {
  while (!bytes.empty()) {
    if (bytes.size() < kHeader) return fail(ErrorCode::kDataLoss, "a group of the journal ends within the header of a record");
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size |= static_cast<std::size_t>(bytes[1 + i]) << (8 * i);
    if (size > bytes.size() - kHeader) return fail(ErrorCode::kDataLoss, "a group of the journal lacks the end of a record");
    STOA_CHECK(visit(static_cast<std::uint8_t>(bytes[0]), bytes.subspan(kHeader, size)));
    bytes = bytes.subspan(kHeader + size);
  }
  return {};
}

}  // namespace stoa::infra
