#include "base/json_writer.h"

#include <array>
#include <charconv>
#include <iterator>

#include "base/json.h"
#include "base/utf8.h"

namespace stoa {
namespace {

// Bytes that stand for themselves in a text of JSON, whatever stands around them.
constexpr std::array<bool, 256> plain_bytes() {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x7f; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}
constexpr std::array<bool, 256> kPlain = plain_bytes();

void append_control(std::string& out, unsigned char c) {
  constexpr char kHex[] = "0123456789abcdef", kLetters[] = {'b', 't', 'n', 0, 'f', 'r'};  // letters from 8 to 13
  if (c >= 8 && c <= 13 && c != 11) {
    out += '\\';
    out += kLetters[c - 8];
  } else {
    out += "\\u00";
    out += kHex[c >> 4];
    out += kHex[c & 15];
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  std::size_t written = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (kPlain[c]) {
      ++at;
      continue;
    }
    out.append(text, written, at - written);
    std::size_t size = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20) {
      append_control(out, c);
    } else {
      const auto rune = decode_rune(text.substr(at));
      append_rune(out, rune.rune);  // U+FFFD for what is not valid
      size = rune.size;
    }
    written = at += size;
  }
  out.append(text, written);
  out += '"';
}

}  // namespace

JsonWriter& JsonWriter::key(std::string_view name) {
  before();
  append_quoted(out_, name);
  out_ += ':';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::text(std::string_view text) {
  before();
  append_quoted(out_, text);
  return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
  before();
  char digits[20];
  out_.append(digits, std::to_chars(digits, std::end(digits), value).ptr);
  return *this;
}

JsonWriter& JsonWriter::real(double value) { return raw(dump_json(Json(value))); }

JsonWriter& JsonWriter::raw(std::string_view json) {
  before();
  out_ += json;
  return *this;
}

}  // namespace stoa
