#include "gateway/providers/alike_events.h"

#include "base/utf8.h"

namespace stoa::gateway {
namespace {

constexpr int kMostLearnt = 8;
constexpr std::string_view kEscaped = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";

// What stands between the quotes of a string of JSON; nothing for what is none, and for \u, which is rare.
std::optional<std::string> unquoted(std::string_view inner) {
  std::string text;
  text.reserve(inner.size());
  bool ascii = true;
  for (std::size_t at = 0; at < inner.size(); ++at) {
    const auto c = static_cast<unsigned char>(inner[at]);
    if (c < 0x20 || c == '"') return std::nullopt;
    if (c >= 0x80) ascii = false;
    if (c != '\\') {
      text += inner[at];
      continue;
    }
    const auto found = ++at < inner.size() ? kEscaped.find(inner[at]) : std::string_view::npos;
    if (found == std::string_view::npos) return std::nullopt;
    text += kMeant[found];
  }
  if (!ascii && !is_valid_utf8(text)) return std::nullopt;
  return text;
}

// The end of the string whose first character is at `begin`: where its closing quote is.
std::size_t end_of_string(std::string_view data, std::size_t begin) {
  while (begin < data.size() && data[begin] != '"') begin += data[begin] == '\\' ? 2 : 1;
  return begin;
}

}  // namespace

std::optional<std::string> AlikeEvents::text_of(std::string_view data) const {
  if (before_.empty() || data.size() < before_.size() + after_.size() || !data.starts_with(before_) || !data.ends_with(after_)) return std::nullopt;
  return unquoted(data.substr(before_.size(), data.size() - before_.size() - after_.size()));
}

void AlikeEvents::learn(std::string_view data, std::string_view member, std::string_view text) {
  before_.clear();
  if (learnt_ >= kMostLearnt) return;
  ++learnt_;
  const std::string name = '"' + std::string(member) + "\":";
  const auto found = data.find(name);
  if (found == std::string_view::npos || found == 0 || data[found - 1] == '\\' || data.find(name, found + 1) != std::string_view::npos) return;
  std::size_t begin = found + name.size();
  while (begin < data.size() && data[begin] == ' ') ++begin;
  if (begin >= data.size() || data[begin] != '"') return;
  const std::size_t end = end_of_string(data, ++begin);
  if (end >= data.size() || unquoted(data.substr(begin, end - begin)) != text) return;
  before_ = data.substr(0, begin);
  after_ = data.substr(end);
}

}  // namespace stoa::gateway
