#include "infra/http/sse.h"

#include <algorithm>
#include <utility>

namespace stoa::infra {
namespace {

constexpr std::size_t kKept = 16u << 10;  // bytes of memory for an event between two

// Of the line that `text` begins with: where its CR or LF is. Two searches for one character are many times faster than one for either.
std::size_t end_of_line(std::string_view text) {
  const auto lf = text.find('\n');
  return std::min(lf, text.substr(0, lf).find('\r'));
}

// Appends "field: value\n" for each line of the value; CR, LF and CRLF end lines, as the parser of any client sees them.
void append_lines(std::string& out, std::string_view field, std::string_view value) {
  while (true) {
    const auto end = end_of_line(value);
    out += field;
    out += value.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) return;
    value.remove_prefix(value.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
}

std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\r' || c == '\n' || c == '\0') c = ' ';
  return out;
}

}  // namespace

std::string format_sse(std::string_view data, std::string_view event, std::string_view id) {
  std::string out;
  out.reserve(data.size() + event.size() + id.size() + 32);
  if (!id.empty()) out += "id: " + one_line(id) + "\n";
  if (!event.empty()) out += "event: " + one_line(event) + "\n";
  append_lines(out, "data: ", data);
  out += '\n';
  return out;
}

std::string format_sse_comment(std::string_view text) {
  std::string out;
  append_lines(out, ": ", text);
  out += '\n';
  return out;
}

Status SseParser::feed(std::string_view piece) {
  while (!piece.empty() && !stopped_) {
    if (skip_lf_ && piece.front() == '\n') piece.remove_prefix(1);  // the second half of a CRLF that was split
    skip_lf_ = false;
    const auto end = end_of_line(piece);
    const auto part = piece.substr(0, end);
    if (buffer_.size() + part.size() + event_.data.size() > max_event_) {
      stopped_ = true;
      return fail(ErrorCode::kTooLarge, "server-sent event exceeds {} bytes", max_event_);
    }
    if (end == std::string_view::npos) {
      buffer_ += part;
      break;
    }
    skip_lf_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    if (buffer_.empty()) {
      line(part);
    } else {
      buffer_ += part;
      line(std::exchange(buffer_, {}));
    }
  }
  return {};
}

void SseParser::line(std::string_view text) {
  if (std::exchange(first_, false) && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.empty()) return dispatch();
  if (text.front() == ':') return;
  const auto colon = text.find(':');
  const auto field = text.substr(0, colon);
  auto value = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (field == "event") {
    event_.event = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
}

void SseParser::dispatch() {
  if (has_data_) {
    event_.id = last_id_;
    stopped_ = !callback_(event_);
  }
  // Most events of a stream are alike, so the memory of one serves the next; that of a large one is given back.
  if (event_.data.capacity() > kKept) event_.data = {};
  event_.event.clear();
  event_.data.clear();
  has_data_ = false;
}

}  // namespace stoa::infra
