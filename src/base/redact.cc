#include "base/redact.h"

#include <algorithm>

namespace stoa {
namespace {

constexpr std::size_t kShortest = 8;  // "Bearer token" is not a secret

bool is_token(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("-._~+/=%").find(c) != std::string_view::npos;
}

bool is_word(char c) { return is_token(c) && c != '.' && c != '/' && c != '~'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) { return a == lower(b); });
}

template <class Belongs>
std::size_t length_of(std::string_view text, Belongs belongs) {
  return static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), belongs) - text.begin());
}

// How many bytes at the beginning of `text` announce a secret, and how many are one.
struct Found {
  std::size_t keep = 0, hide = 0;
};

Found find_secret(std::string_view text) {
  for (const std::string_view word : {"sk-stoa-", "bearer ", "bearer%20", "basic "}) {
    if (!starts_with_word(text, word)) continue;
    const bool key = word == "sk-stoa-";
    const std::size_t length = key ? length_of(text.substr(word.size()), is_word) : length_of(text.substr(word.size()), is_token);
    if (!key && starts_with_word(text.substr(word.size()), "sk-stoa-")) return {};  // found by itself
    if (length >= (key ? 1 : kShortest)) return {word.size(), length};
  }
  if (!text.starts_with("eyJ")) return {};
  const std::size_t length = length_of(text, is_token);
  return std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(length), '.') == 2 ? Found{0, length} : Found{};
}

}  // namespace

std::string redact_secrets(std::string text) {
  // Nearly every text has none of the pairs of letters that a secret begins with: it is not copied.
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = lower(text[at]);
    const char next = at + 1 < text.size() ? lower(text[at + 1]) : ' ';
    if (!(c == 's' && next == 'k') && !(c == 'b' && (next == 'e' || next == 'a')) && !(c == 'e' && next == 'y')) continue;
    const Found found = find_secret(std::string_view(text).substr(at));
    if (found.hide == 0) continue;
    text.replace(at + found.keep, found.hide, "***");
    at += found.keep + 2;
  }
  return text;
}

}  // namespace stoa
