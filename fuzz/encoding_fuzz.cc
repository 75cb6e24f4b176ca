// Small readers that requests pass through: base64, hexadecimal, UTF-8, times, access lists. What they accept has one meaning.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "base/utf8.h"
#include "contracts/access_list.h"
#include "infra/crypto/encoding.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto bytes = infra::from_base64(text)) require(infra::to_base64(*bytes) == text);
  if (const auto bytes = infra::from_base64url(text)) require(infra::to_base64url(*bytes) == text);
  if (const auto bytes = infra::from_hex(text)) require(bytes->size() * 2 == text.size());
  require(*infra::from_base64(infra::to_base64(as_bytes(text))) == Bytes(as_bytes(text).begin(), as_bytes(text).end()));

  const std::string mended = to_valid_utf8(text);
  require(is_valid_utf8(mended) && (!is_valid_utf8(text) || mended == text) && complete_utf8_prefix(text) <= text.size());
  if (const auto time = parse_rfc3339(text)) require(parse_rfc3339(to_rfc3339(*time)) == *time);
  if (const auto list = AccessList::parse(text)) require(AccessList::parse(list->key()) == *list);
  return 0;
}
