// Checkpoints: a signed statement of how long the audit log is and what its root is. Kept outside, it shows any later change of what it
// covers. The format is that of transparency logs, a signed note (C2SP tlog-checkpoint and signed-note):
//   stoa-audit-1a2b3c4d            the log's name, which is also the key's
//   1234                           entries
//   CsUYapGGPo4dkMgIAUqom/...=     root, base64
//   (empty line)
//   — stoa-audit-1a2b3c4d BASE64   of 4 bytes that name the key, and the Ed25519 signature of the lines above the empty one
// A key is told as NAME+KEYID+BASE64 (of 0x01 and the public key), as other tools for such notes take it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "governance/audit/merkle.h"
#include "infra/crypto/signature.h"

namespace stoa::governance {

struct Checkpoint {
  std::string log;
  std::int64_t size = 0;
  MerkleHash root{};
};

// What checkpoints are checked with.
struct CheckpointKey {
  std::string name;
  infra::PublicKey key{};

  // The log's name follows from its key.
  static CheckpointKey of(const infra::PublicKey& key);
  static Result<CheckpointKey> parse(std::string_view text);
  std::string text() const;
};

std::string sign_checkpoint(std::int64_t size, const MerkleHash& root, const infra::SigningKey& key);

// kInvalidArgument for a text that is no checkpoint, kDataLoss where this key has not signed it.
Result<Checkpoint> open_checkpoint(std::string_view note, const CheckpointKey& key);

}  // namespace stoa::governance
