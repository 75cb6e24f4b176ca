// Plain text: paragraphs are what blank lines part.
#include "data/parse/formats.h"

namespace stoa::data {

Result<ParsedDocument> parse_text(std::string_view text, const ParseLimits& limits) {
  ParsedDocument document;
  BlockWriter writer(document, limits);
  std::string paragraph;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!is_blank(line) && !line.starts_with('\f')) {
      paragraph.append(line).append(1, '\n');
      continue;
    }
    STOA_CHECK(writer.add({BlockKind::kParagraph, collapse_space(paragraph), {}, {}, 0}));
    paragraph = line.starts_with('\f') ? std::string(line) + '\n' : std::string();
  }
  STOA_CHECK(writer.add({BlockKind::kParagraph, collapse_space(paragraph), {}, {}, 0}));
  return document;
}

}  // namespace stoa::data
