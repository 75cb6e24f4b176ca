// Passports of answers: what an auditor is handed.
#include <cstdint>
#include <string_view>

#include "governance/passport/passport.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::governance;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto kKey = CheckpointKey::of(stoa::infra::SigningKey::from_seed(stoa::Bytes(32, std::byte{7}))->public_key());
  if (const auto checked = verify_passport(text, kKey)) require(checked->entry.sequence <= checked->checkpoint.size);
  return 0;
}
