#include "governance/protection/project_keys.h"

#include <algorithm>
#include <array>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {
namespace {

using infra::SecretKey;

constexpr std::byte kFormat{1};
constexpr std::size_t kHeader = kSealedOverhead - infra::kSmallOverhead;  // format, version of the data key (little-endian)

std::array<std::byte, kHeader> header_of(std::uint32_t version) {
  std::array<std::byte, kHeader> header{kFormat};
  for (std::size_t i = 0; i < 4; ++i) header[i + 1] = static_cast<std::byte>(version >> (8 * i));
  return header;
}

void append_length(std::string& out, std::size_t length) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>(length >> (8 * i));
}

// What a value is bound to: its header, project and place. The length keeps the two texts apart.
std::string bound_to(ByteSpan header, std::string_view project, std::string_view context) {
  std::string out;
  out.reserve(header.size() + 4 + project.size() + context.size());
  out += as_text(header);
  append_length(out, project.size());
  out += project;
  out += context;
  return out;
}

constexpr std::array<std::pair<std::string_view, ContentKeep>, 4> kKeeps{{{"none", {false, false}}, {"responses", {true, false}}, {"traces", {false, true}}, {"all", {true, true}}}};

}  // namespace

std::string_view keep_name(ContentKeep keep) { return std::ranges::find(kKeeps, keep, &std::pair<std::string_view, ContentKeep>::second)->first; }

Result<ContentKeep> parse_keep(std::string_view name) {
  const auto found = std::ranges::find(kKeeps, name, &std::pair<std::string_view, ContentKeep>::first);
  if (found != kKeeps.end()) return found->second;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' says nothing about what is kept", name.substr(0, 40)).with_hint("none, responses, traces, or all").with_param("keep"));
}

struct ProjectKeys::Material {
  struct Version {
    SecretKey values, blobs;
  };
  std::string project;
  std::uint32_t current = 0;
  ContentKeep keep;
  SecretKey lookup;
  std::map<std::uint32_t, Version> versions;

  Result<const Version*> version(std::uint32_t number) const {
    const auto found = versions.find(number);
    if (found != versions.end()) return &found->second;
    return fail(error(ErrorCode::kPermissionDenied, "the data key {} of project {} is gone", number, project)
                    .with_hint("restore the database together with its keys"));
  }
};

ProjectKeys::ProjectKeys(std::string project, const SecretKey& lookup, const Versions& data, std::uint32_t current, ContentKeep keep) {
  auto material = std::make_shared<Material>();
  material->project = std::move(project);
  material->current = current;
  material->keep = keep;
  material->lookup = infra::hkdf(lookup.bytes(), {}, "stoa.lookup.v1");
  for (const auto& [version, key] : data)
    material->versions.emplace(version, Material::Version{infra::hkdf(key.bytes(), {}, "stoa.values.v1"), infra::hkdf(key.bytes(), {}, "stoa.blobs.v1")});
  material_ = std::move(material);
}

const std::string& ProjectKeys::project() const { return material_->project; }
std::uint32_t ProjectKeys::current() const { return material_->current; }
ContentKeep ProjectKeys::keep() const { return material_->keep; }

Result<Bytes> ProjectKeys::seal(std::string_view context, ByteSpan plain) const {
  STOA_TRY(keys, material_->version(material_->current));
  const auto header = header_of(material_->current);
  STOA_TRY(sealed, infra::seal_small(keys->values, as_bytes(bound_to(header, material_->project, context)), plain));
  sealed.insert(sealed.begin(), header.begin(), header.end());
  return std::move(sealed);
}

Result<Bytes> ProjectKeys::open(std::string_view context, ByteSpan sealed) const {
  Bytes plain(sealed.size() - std::min(sealed.size(), kSealedOverhead));
  STOA_CHECK(open(context, sealed, plain));
  return plain;
}

Status ProjectKeys::open(std::string_view context, ByteSpan sealed, std::span<std::byte> plain) const {
  STOA_TRY(version, sealed_version(sealed));
  STOA_TRY(keys, material_->version(version));
  const Status opened = infra::open_small(keys->values, as_bytes(bound_to(sealed.first(kHeader), material_->project, context)), sealed.subspan(kHeader), plain);
  if (!opened) return fail(Error(opened.error()).in(context));
  return {};
}

std::string ProjectKeys::tag(std::string_view context, std::string_view text) const {
  std::string message;
  append_length(message, context.size());
  message += context;
  message += text;
  return infra::to_hex(infra::hmac_sha256(material_->lookup.bytes(), as_bytes(message)));
}

Result<SecretKey> ProjectKeys::blob_key(std::uint32_t version, ByteSpan salt) const {
  STOA_TRY(keys, material_->version(version));
  return infra::hkdf(keys->blobs.bytes(), salt, "stoa.blob.v1");
}

Result<std::uint32_t> sealed_version(ByteSpan sealed) {
  if (sealed.size() < kHeader || sealed.front() != kFormat) return fail(ErrorCode::kDataLoss, "this is no sealed value");
  std::uint32_t version = 0;
  for (std::size_t i = 0; i < 4; ++i) version |= std::to_integer<std::uint32_t>(sealed[i + 1]) << (8 * i);
  return version;
}

}  // namespace stoa::governance
