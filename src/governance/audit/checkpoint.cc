#include "governance/audit/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kMaxNote = 4096, kKeyIdBytes = 4;
constexpr std::byte kEd25519{1};
constexpr std::string_view kDash = "\u2014 ";

Bytes tagged(const infra::PublicKey& key) {
  Bytes bytes{kEd25519};
  bytes.insert(bytes.end(), key.begin(), key.end());
  return bytes;
}

// The first bytes of SHA-256(name || LF || 0x01 || key).
Bytes key_id(std::string_view name, const infra::PublicKey& key) {
  infra::Sha256 hash;
  hash.update(name);
  hash.update("\n");
  hash.update(ByteSpan(tagged(key)));
  const auto digest = hash.finish();
  return {digest.begin(), digest.begin() + kKeyIdBytes};
}

std::unexpected<Error> no_checkpoint(std::string_view why) { return fail(ErrorCode::kInvalidArgument, "this is no checkpoint of an audit log: {}", why); }

// Takes a line off the front.
std::string_view take_line(std::string_view& text) {
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

}  // namespace

CheckpointKey CheckpointKey::of(const infra::PublicKey& key) {
  return {"stoa-audit-" + infra::to_hex(ByteSpan(infra::sha256(ByteSpan(key))).first(kKeyIdBytes)), key};
}

Result<CheckpointKey> CheckpointKey::parse(std::string_view text) {
  const auto wrong = [] { return fail(ErrorCode::kInvalidArgument, "a key of an audit log has the form NAME+KEYID+BASE64, as `stoa audit checkpoint` prints it"); };
  while (text.ends_with('\n')) text.remove_suffix(1);
  const auto first = text.find('+');
  const auto second = first == std::string_view::npos ? first : text.find('+', first + 1);
  if (first == 0 || second == std::string_view::npos || text.size() > kMaxNote) return wrong();
  const auto bytes = infra::from_base64(text.substr(second + 1));
  CheckpointKey out;
  if (!bytes || bytes->size() != out.key.size() + 1 || bytes->front() != kEd25519) return wrong();
  out.name = text.substr(0, first);
  std::copy(bytes->begin() + 1, bytes->end(), out.key.begin());
  if (infra::to_hex(key_id(out.name, out.key)) != text.substr(first + 1, second - first - 1)) return wrong();
  return out;
}

std::string CheckpointKey::text() const { return fmt::format("{}+{}+{}", name, infra::to_hex(key_id(name, key)), infra::to_base64(tagged(key))); }

std::string sign_checkpoint(std::int64_t size, const MerkleHash& root, const infra::SigningKey& key) {
  const auto checked_with = CheckpointKey::of(key.public_key());
  const std::string body = fmt::format("{}\n{}\n{}\n", checked_with.name, size, infra::to_base64(root));
  Bytes signature = key_id(checked_with.name, checked_with.key);
  const auto made = key.sign(as_bytes(body));
  signature.insert(signature.end(), made.begin(), made.end());
  return fmt::format("{}\n{}{} {}\n", body, kDash, checked_with.name, infra::to_base64(signature));
}

Result<Checkpoint> open_checkpoint(std::string_view note, const CheckpointKey& key) {
  if (note.size() > kMaxNote) return no_checkpoint("it is too long");
  const auto gap = note.find("\n\n");
  if (gap == std::string_view::npos) return no_checkpoint("it has no signature");
  const std::string_view body = note.substr(0, gap + 1);
  std::string_view rest = body, signatures = note.substr(gap + 2);
  Checkpoint out;
  out.log = take_line(rest);
  const auto size = take_line(rest);
  const auto [end, problem] = std::from_chars(size.data(), size.data() + size.size(), out.size);
  if (problem != std::errc() || end != size.data() + size.size() || out.size < 0) return no_checkpoint("its second line is no number of entries");
  const auto root = infra::from_base64(take_line(rest));
  if (!root || root->size() != out.root.size()) return no_checkpoint("its third line is no root");
  std::ranges::copy(*root, out.root.begin());
  // Others, such as witnesses, may have signed as well.
  const std::string mine = fmt::format("{}{} ", kDash, key.name);
  while (!signatures.empty()) {
    const auto line = take_line(signatures);
    if (!line.starts_with(mine)) continue;
    const auto bytes = infra::from_base64(line.substr(mine.size()));
    if (!bytes || bytes->size() != kKeyIdBytes + sizeof(infra::Signature)) continue;
    const ByteSpan all(*bytes);
    if (std::ranges::equal(all.first(kKeyIdBytes), key_id(key.name, key.key)) && infra::verify_signature(key.key, as_bytes(body), all.subspan(kKeyIdBytes))) {
      if (out.log != key.name) return fail(ErrorCode::kDataLoss, "the checkpoint is of the log '{}', not of '{}'", out.log, key.name);
      return out;
    }
  }
  return fail(ErrorCode::kDataLoss, "the checkpoint is not signed by {}", key.name);
}

}  // namespace stoa::governance
