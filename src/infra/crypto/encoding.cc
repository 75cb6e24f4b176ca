#include "infra/crypto/encoding.h"

#include <cstdint>

namespace stoa::infra {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64_value(char c, char c62, char c63) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == c62) return 62;
  return c == c63 ? 63 : -1;
}

std::string encode(ByteSpan bytes, std::string_view alphabet, bool padded) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const std::byte byte : bytes) {
    buffer = buffer << 8 | std::to_integer<std::uint32_t>(byte);
    for (bits += 8; bits >= 6;) text += alphabet[buffer >> (bits -= 6) & 63];
  }
  if (bits > 0) text += alphabet[buffer << (6 - bits) & 63];
  while (padded && text.size() % 4 != 0) text += '=';
  return text;
}

Result<Bytes> decode(std::string_view text, std::string_view alphabet, std::string_view name) {
  if (text.size() % 4 == 1) return fail(ErrorCode::kInvalidArgument, "{} text of {} characters: no bytes encode to that length", name, text.size());
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t buffer = 0;
  int bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = base64_value(text[i], alphabet[62], alphabet[63]);
    if (value < 0) return fail(ErrorCode::kInvalidArgument, "character {} of the {} text is not in its alphabet", i, name);
    buffer = buffer << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) bytes.push_back(static_cast<std::byte>(buffer >> (bits -= 8) & 255));
  }
  if ((buffer & ((1u << bits) - 1)) != 0) return fail(ErrorCode::kInvalidArgument, "the {} text ends in bits that belong to no byte", name);
  return bytes;
}

}  // namespace

std::string to_hex(ByteSpan bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    text += kHex[std::to_integer<unsigned>(byte) >> 4];
    text += kHex[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return fail(ErrorCode::kInvalidArgument, "hexadecimal text of {} digits: an even number is needed", text.size());
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return fail(ErrorCode::kInvalidArgument, "characters {} and {} are not hexadecimal digits", i, i + 1);
    bytes.push_back(static_cast<std::byte>(high << 4 | low));
  }
  return bytes;
}

std::string to_base64(ByteSpan bytes) { return encode(bytes, kBase64, true); }
std::string to_base64url(ByteSpan bytes) { return encode(bytes, kBase64Url, false); }

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return fail(ErrorCode::kInvalidArgument, "base64 text of {} characters: padding must bring it to a multiple of four", text.size());
  if (text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
  return decode(text, kBase64, "base64");
}

Result<Bytes> from_base64url(std::string_view text) { return decode(text, kBase64Url, "base64url"); }

}  // namespace stoa::infra
