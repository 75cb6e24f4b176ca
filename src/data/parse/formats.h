// The readers of single formats, and what they share. Internal to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/parse/document.h"

namespace stoa::data {

// Each takes valid UTF-8 (PDF: bytes) and fills title and blocks. `filename` is for messages.
Result<ParsedDocument> parse_text(std::string_view text, const ParseLimits& limits);
Result<ParsedDocument> parse_markdown(std::string_view text, const ParseLimits& limits);
Result<ParsedDocument> parse_html(std::string_view text, const ParseLimits& limits);
Result<ParsedDocument> parse_pdf(ByteSpan bytes, const ParseLimits& limits);

// Appends blocks within the limits.
class BlockWriter {
 public:
  BlockWriter(ParsedDocument& document, const ParseLimits& limits) : document_(document), limits_(limits) {}
  // Nothing happens for an empty text. kTooLarge beyond the limits, kDeadlineExceeded.
  Status add(Block block);

 private:
  ParsedDocument& document_;
  const ParseLimits& limits_;
  std::size_t text_ = 0;
};

// Headings that enclose the current place: a heading of level n ends those of level n and below.
class SectionPath {
 public:
  void enter(int level, std::string heading);
  std::vector<std::string> path() const;
  std::size_t depth() const { return headings_.size(); }
  void cut(std::size_t depth) {
    if (depth < headings_.size()) headings_.resize(depth);
  }

 private:
  std::vector<std::pair<int, std::string>> headings_;
};

// Runs of white space (also no-break spaces) become one space; none at the ends.
std::string collapse_space(std::string_view text);
std::string_view trim(std::string_view text);
// Trailing blanks of lines and blank lines at both ends go, inner structure stays.
std::string trim_code(std::string_view text);
bool is_blank(std::string_view text);

}  // namespace stoa::data
