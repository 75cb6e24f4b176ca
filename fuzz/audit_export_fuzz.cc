// Exports of the audit log, checkpoints and keys: what an auditor is handed.
#include <cstdint>
#include <sstream>
#include <string>

#include "governance/audit/entry_line.h"
#include "governance/audit/export.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::governance;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto kKey = CheckpointKey::of(stoa::infra::SigningKey::from_seed(stoa::Bytes(32, std::byte{7}))->public_key());
  std::istringstream lines{std::string(text)};
  if (const auto checked = verify_export(lines, kKey)) require(checked->last == 0 || checked->first <= checked->last);
  if (const auto point = open_checkpoint(text, kKey)) require(point->log == kKey.name);
  if (const auto key = CheckpointKey::parse(text)) require(CheckpointKey::parse(key->text()).has_value());
  if (const auto entry = parse_audit_line(text)) require(audit_line(*entry) == text);
  return 0;
}
