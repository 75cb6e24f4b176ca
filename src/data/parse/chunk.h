// Documents cut into passages of a size an embedding model can take in whole, along their structure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/parse/document.h"

namespace stoa::data {

// Tokens of a text as the embedding model counts them, special tokens included. Must be thread-safe if shared.
using TokenCounter = std::function<Result<int>(const std::string&)>;

struct ChunkOptions {
  int target_tokens = 200;        // neighbours of one section are joined up to here
  int max_tokens = 256;           // with the heading prefix: a chunk is never larger, unless a single word is
  std::size_t max_chunks = 100'000;
};

// A passage. `text` is what a citation quotes: it stands in the document as it is here, white space aside.
struct Chunk {
  std::string text;
  std::string prefix;                // title and headings, one line: put before `text` for embedding and text search
  std::vector<std::string> section;
  std::string anchor;
  int page = 0;
  int parent = 0;                    // number of the section it was cut from: equal for all chunks of one section, ascending
  int tokens = 0;                    // of indexed_text()

  std::string indexed_text() const { return prefix.empty() ? text : prefix + "\n" + text; }
};

// Chunks never cross a section or a page; the anchor is that of their first block. A paragraph that is too long is cut between sentences (ICU rules), a
// sentence that is too long between words. Errors: those of the counter; kTooLarge beyond max_chunks.
Result<std::vector<Chunk>> chunk_document(const ParsedDocument& document, const TokenCounter& count, const ChunkOptions& options = {});

// Byte offsets at which the sentences of a text end (ICU), white space behind them included; the last one is its size.
std::vector<std::size_t> sentence_ends(const std::string& text);

// A counter that needs no model: words and punctuation marks, long words counted as several. For text-only operation and tests.
Result<int> approximate_tokens(const std::string& text);

}  // namespace stoa::data
