// The unwrapped keys of one project, and what is done with them: sealing values, opening them, and looking up without showing.
// Formats: docs/formats/sealed.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "infra/crypto/aead.h"
#include "infra/crypto/secret.h"

namespace stoa::governance {

// What a project keeps of prompts and answers: the responses that clients ask to be stored, and their text in traces.
struct ContentKeep {
  bool responses = true, traces = false;
  bool operator==(const ContentKeep&) const = default;
};
std::string_view keep_name(ContentKeep keep);  // none responses traces all
Result<ContentKeep> parse_keep(std::string_view name);

// A handle: copies share the keys, which are wiped when the last one goes. Hold it for one piece of work, not longer: what it opens stays
// open to its holder after the project's key was revoked, and what it seals is sealed under the key that was newest when it was given out.
// Needs neither the database nor the key management, so it may be used inside transactions. Thread-safe.
class ProjectKeys {
 public:
  using Versions = std::map<std::uint32_t, infra::SecretKey>;  // data keys, from 1
  // `lookup` and `data` are the unwrapped keys; `current` is among them.
  ProjectKeys(std::string project, const infra::SecretKey& lookup, const Versions& data, std::uint32_t current, ContentKeep keep = {});

  const std::string& project() const;
  std::uint32_t current() const;  // version that seals
  ContentKeep keep() const;       // the project's policy

  // `context` says which value it is ("documents:doc_1"); it opens in the same context of the same project only.
  Result<Bytes> seal(std::string_view context, ByteSpan plain) const;
  Result<Bytes> seal(std::string_view context, std::string_view plain) const { return seal(context, as_bytes(plain)); }
  // kDataLoss for what was changed or sealed for another place; kPermissionDenied when its key version is gone.
  Result<Bytes> open(std::string_view context, ByteSpan sealed) const;
  // The same into memory of the caller's: kSealedOverhead bytes less than `sealed`, and of no meaning after an error.
  Status open(std::string_view context, ByteSpan sealed, std::span<std::byte> plain) const;

  // The same text in the same context always has the same tag, and nobody without the keys can tell which text: what equality is looked up
  // by. 64 hexadecimal digits. Not changed by rotation.
  std::string tag(std::string_view context, std::string_view text) const;

  // The key of one blob: of `version`, derived with the blob's own `salt`.
  Result<infra::SecretKey> blob_key(std::uint32_t version, ByteSpan salt) const;

 private:
  struct Material;
  std::shared_ptr<const Material> material_;
};

// How many bytes a sealed value has more than what is in it.
inline constexpr std::size_t kSealedOverhead = 5 + infra::kSmallOverhead;

// Version of the data key that a value was sealed under. kDataLoss when it is no sealed value.
Result<std::uint32_t> sealed_version(ByteSpan sealed);

}  // namespace stoa::governance
