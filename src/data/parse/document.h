// Text, Markdown, HTML and PDF files read into one shape: a title and a list of blocks in reading order, each of which
// knows the headings above it and the place it can be opened at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace stoa::data {

enum class BlockKind : std::uint8_t { kHeading, kParagraph, kListItem, kCode, kTableRow };

struct Block {
  BlockKind kind = BlockKind::kParagraph;
  std::string text;                  // valid UTF-8, never empty; white space collapsed except in kCode
  std::vector<std::string> section;  // headings from the outermost inwards; a heading's own text comes last in its own path
  std::string anchor;                // fragment the section can be opened at, without '#'; may be empty
  int page = 0;                      // 1-based for paginated documents, else 0
};

struct ParsedDocument {
  std::string title;                // from the document itself, else its first heading, else the name of the file
  bool titled_by_name = false;      // the last of these
  std::string content_type;         // what it was read as: text/plain, text/markdown, text/html, application/pdf
  std::vector<Block> blocks;
  int pages = 0;                    // of paginated documents
  std::vector<std::string> notes;   // what had to be mended, for example bytes that were not UTF-8
};

struct ParseLimits {
  std::size_t max_bytes = 64u << 20;
  std::size_t max_text = 32u << 20;    // bytes of text taken out of a document
  std::size_t max_blocks = 200'000;
  std::size_t max_depth = 1'000;       // of nested HTML elements
  int max_pages = 5'000;
  std::size_t reader_memory = 0;       // bytes that the reader of PDF may take; it then runs in a process of its own. 0: in this one, as many as it likes
  Deadline deadline;
};

// The type to read a file as: from its first bytes where they tell (PDF, binary), then from `declared` (a MIME type, parameters
// ignored) where that says more than "unknown", then from the ending of its name. Empty when no parser reads it.
std::string detect_content_type(ByteSpan bytes, std::string_view filename, std::string_view declared = {});

// Reads a document. Never throws, never recurses along the input. Errors name the file: kUnsupported (binary or unknown type,
// encrypted PDF), kInvalidArgument (broken, or no text in it), kTooLarge (a limit), kDeadlineExceeded. Thread-safe.
Result<ParsedDocument> parse_document(ByteSpan bytes, std::string_view filename, std::string_view declared_type = {},
                                      const ParseLimits& limits = {});

}  // namespace stoa::data
