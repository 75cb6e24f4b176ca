// Markdown, as far as retrieval needs it: front matter, headings, lists, fences, tables, paragraphs; inline marks are taken off.
#include <algorithm>
#include <array>
#include <cctype>

#include "data/parse/formats.h"

namespace stoa::data {
namespace {

// The fragment GitHub gives a heading: lower case, spaces to hyphens, other ASCII punctuation dropped.
std::string slug(std::string_view heading) {
  std::string out;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || byte >= 0x80) {
      out += static_cast<char>(byte < 0x80 ? std::tolower(byte) : byte);
    } else if (c == ' ') {
      out += '-';
    }
  }
  return out;
}

// "[text](target)" and "![text](target)" become their text, emphasis and code marks go, escapes are resolved.
std::string plain(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size() && std::ispunct(static_cast<unsigned char>(text[i + 1])) != 0) {
      out += text[++i];
    } else if (c == '!' && i + 1 < text.size() && text[i + 1] == '[') {
      continue;
    } else if (c == '[') {
      const std::size_t close = text.find(']', i);
      const bool link = close != std::string_view::npos && close + 1 < text.size() && text[close + 1] == '(';
      const std::size_t end = link ? text.find(')', close) : std::string_view::npos;
      if (end == std::string_view::npos || end - i > 4096) {
        out += c;
        continue;
      }
      out += text.substr(i + 1, close - i - 1);
      i = end;
    } else if (c == '`' || (c == '*' && (i + 1 < text.size() && text[i + 1] != ' ')) || (c == '*' && !out.empty() && out.back() != ' ')) {
      continue;
    } else if (c == '_' && i + 1 < text.size() && text[i + 1] == '_') {
      ++i;
    } else {
      out += c;
    }
  }
  return collapse_space(out);
}

int heading_level(std::string_view line) {
  const std::size_t marks = line.find_first_not_of('#');
  if (marks == 0 || (marks == std::string_view::npos ? line.size() : marks) > 6) return 0;
  if (marks == std::string_view::npos) return static_cast<int>(line.size());
  return line[marks] == ' ' || line[marks] == '\t' ? static_cast<int>(marks) : 0;
}

// Bytes of a list marker with its blanks ("- ", "12. "), 0 when there is none.
std::size_t list_marker(std::string_view line) {
  std::size_t i = 0;
  if (line.size() >= 2 && std::string_view("-*+").contains(line[0])) {
    i = 1;
  } else {
    while (i < line.size() && i < 9 && std::isdigit(static_cast<unsigned char>(line[i])) != 0) ++i;
    if (i == 0 || i >= line.size() || (line[i] != '.' && line[i] != ')')) return 0;
    ++i;
  }
  return i < line.size() && (line[i] == ' ' || line[i] == '\t') ? i + 1 : 0;
}

bool is_underline(std::string_view line, char mark) {
  return line.size() >= 2 && line.find_first_not_of(mark) == std::string_view::npos;
}

bool is_rule(std::string_view line) {
  return line.size() >= 3 && std::string_view("-*_").contains(line[0]) &&
         std::ranges::all_of(line, [&](char c) { return c == line[0] || c == ' '; });
}

class MarkdownReader {
 public:
  MarkdownReader(ParsedDocument& document, const ParseLimits& limits) : document_(document), writer_(document, limits) {}

  Status read(std::string_view text) {
    front_matter(text);
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
      STOA_CHECK(take(line));
    }
    if (!fence_.empty()) {
      fence_.clear();
      STOA_CHECK(emit(BlockKind::kCode, trim_code(code_)));
    }
    return flush();
  }

 private:
  void front_matter(std::string_view& text) {
    if (!text.starts_with("---\n") && !text.starts_with("---\r\n")) return;
    const std::size_t end = text.find("\n---", 3);
    if (end == std::string_view::npos) return;
    std::string_view head = text.substr(4, end - 4 + 1);
    while (!head.empty()) {
      const std::size_t stop = head.find('\n');
      const std::string_view line = trim(head.substr(0, stop));
      head.remove_prefix(stop == std::string_view::npos ? head.size() : stop + 1);
      if (!line.starts_with("title:")) continue;
      std::string_view title = trim(line.substr(6));
      if (title.size() >= 2 && (title.front() == '"' || title.front() == '\'') && title.back() == title.front()) title = title.substr(1, title.size() - 2);
      document_.title = collapse_space(title);
    }
    const std::size_t after = text.find('\n', end + 1);
    text.remove_prefix(after == std::string_view::npos ? text.size() : after + 1);
  }

  Status take(std::string_view raw) {
    const std::string_view line = trim(raw);
    const std::size_t indent = std::min(raw.find_first_not_of(" \t"), raw.size());
    if (!fence_.empty()) {
      if (line.starts_with(fence_) && line.find_first_not_of(fence_[0]) == std::string_view::npos) {
        fence_.clear();
        return emit(BlockKind::kCode, trim_code(std::exchange(code_, {})));
      }
      code_.append(raw).append(1, '\n');
      return {};
    }
    if (line.starts_with("```") || line.starts_with("~~~")) {
      STOA_CHECK(flush());
      fence_ = line.substr(0, std::min(line.find_first_not_of(line[0]), line.size()));
      return {};
    }
    if (line.empty()) return flush();
    if (const int level = heading_level(line); level > 0 && indent < 4) {
      STOA_CHECK(flush());
      return heading(level, line.substr(static_cast<std::size_t>(level)));
    }
    if (kind_ == BlockKind::kParagraph && !text_.empty() && (is_underline(line, '=') || is_underline(line, '-'))) {
      const std::string text = std::exchange(text_, {});
      return heading(line[0] == '=' ? 1 : 2, text);
    }
    if (is_rule(line)) return flush();
    if (line.starts_with('|')) return table_row(line);
    if (const std::size_t marker = list_marker(line); marker > 0) {
      STOA_CHECK(flush());
      kind_ = BlockKind::kListItem;
      text_ = line.substr(marker);
      return {};
    }
    text_.append(text_.empty() ? "" : " ").append(line.starts_with("> ") ? line.substr(2) : line);
    return {};
  }

  Status heading(int level, std::string_view text) {
    text = trim(text);
    while (text.ends_with('#')) text.remove_suffix(1);
    std::string own;
    if (const std::size_t mark = text.rfind("{#"); mark != std::string_view::npos && text.ends_with('}')) {
      own = text.substr(mark + 2, text.size() - mark - 3);
      text = text.substr(0, mark);
    }
    const std::string name = plain(text);
    if (name.empty()) return {};
    anchor_ = own.empty() ? slug(name) : own;
    path_.enter(level, name);
    return emit(BlockKind::kHeading, name);
  }

  Status table_row(std::string_view line) {
    STOA_CHECK(flush());
    if (line.find_first_not_of("|-: \t") == std::string_view::npos) return {};
    std::string row;
    line.remove_prefix(1);
    while (!line.empty()) {
      const std::size_t end = line.find('|');
      const std::string cell = plain(line.substr(0, end));
      if (!cell.empty()) row += (row.empty() ? "" : " | ") + cell;
      line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
    }
    return emit(BlockKind::kTableRow, std::move(row));
  }

  Status flush() {
    const BlockKind kind = std::exchange(kind_, BlockKind::kParagraph);
    const std::string text = std::exchange(text_, {});
    if (text.starts_with("<!--")) return {};
    return emit(kind, plain(text));
  }

  Status emit(BlockKind kind, std::string text) { return writer_.add({kind, std::move(text), path_.path(), anchor_, 0}); }

  ParsedDocument& document_;
  BlockWriter writer_;
  SectionPath path_;
  std::string anchor_, fence_, code_, text_;
  BlockKind kind_ = BlockKind::kParagraph;
};

}  // namespace

Result<ParsedDocument> parse_markdown(std::string_view text, const ParseLimits& limits) {
  ParsedDocument document;
  STOA_CHECK(MarkdownReader(document, limits).read(text));
  return document;
}

}  // namespace stoa::data
