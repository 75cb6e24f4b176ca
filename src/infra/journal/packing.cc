#include "infra/journal/packing.h"

namespace stoa::infra {
namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
}

std::uint64_t get(ByteSpan bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

}  // namespace

Packer& Packer::add(std::int64_t value) {
  put(text_, static_cast<std::uint64_t>(value), 8);
  return *this;
}

Packer& Packer::add(std::string_view text) {
  put(text_, text.size(), 4);
  text_ += text;
  return *this;
}

ByteSpan Unpacker::cut(std::size_t size) {
  if (rest_.size() < size) {
    good_ = false;
    rest_ = {};
    return {};
  }
  const ByteSpan piece = rest_.first(size);
  rest_ = rest_.subspan(size);
  return piece;
}

Unpacker& Unpacker::take(std::int64_t& value) {
  value = static_cast<std::int64_t>(get(cut(8)));
  return *this;
}

Unpacker& Unpacker::take(std::string& text) {
  text = as_text(cut(static_cast<std::size_t>(get(cut(4)))));
  return *this;
}

Status Unpacker::finish(std::string_view what) const {
  if (good_ && rest_.empty()) return {};
  return fail(ErrorCode::kDataLoss, "a record of the journal is no {}", what);
}

}  // namespace stoa::infra
