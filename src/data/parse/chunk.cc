#include "data/parse/chunk.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <unicode/brkiter.h>
#include <unicode/unistr.h>
#include <unicode/utext.h>

#include "base/utf8.h"

namespace stoa::data {
namespace {

constexpr int kSpecialTokens = 2;   // what a BERT-like model puts around a text
constexpr int kMaxPrefixTokens = 48;

struct Unit {
  std::string text;
  std::string separator;  // between it and the unit before it in one chunk
  std::string anchor;
  int tokens = 0;         // without special tokens
};

std::vector<std::size_t> line_ends(const std::string& text) {
  std::vector<std::size_t> ends;
  for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) ends.push_back(at + 1);
  if (ends.empty() || ends.back() != text.size()) ends.push_back(text.size());
  return ends;
}

std::string stripped(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \n") - first + 1));
}

class Chunker {
 public:
  Chunker(const ParsedDocument& document, const TokenCounter& count, const ChunkOptions& options)
      : document_(document), count_(count), options_(options) {}

  Result<std::vector<Chunk>> run() {
    const auto& blocks = document_.blocks;
    for (std::size_t first = 0; first < blocks.size();) {
      std::size_t end = first + 1;
      while (end < blocks.size() && blocks[end].kind != BlockKind::kHeading && blocks[end].section == blocks[first].section &&
             blocks[end].page == blocks[first].page) {
        ++end;
      }
      STOA_CHECK(section({blocks.data() + first, end - first}, false));
      first = end;
    }
    // A document of nothing but headings is quoted by them.
    if (chunks_.empty()) STOA_CHECK(section(blocks, true));
    return std::move(chunks_);
  }

 private:
  Result<int> count(const std::string& text) const {
    STOA_TRY(tokens, count_(text));
    return std::max(0, tokens - kSpecialTokens);
  }

  Status section(std::span<const Block> blocks, bool headings) {
    STOA_CHECK(make_prefix(blocks.front().section));
    std::vector<Unit> units;
    for (const Block& block : blocks) {
      if (block.kind != BlockKind::kHeading || headings) STOA_CHECK(cut(block, units));
    }
    if (units.empty()) return {};
    std::optional<Chunk> open;
    int tokens = 0;
    for (auto& unit : units) {
      const bool joins = open && prefix_tokens_ + tokens + unit.tokens + kSpecialTokens <= options_.target_tokens;
      if (!joins) {
        STOA_CHECK(close(open, tokens));
        open = Chunk{{}, prefix_, blocks.front().section, unit.anchor, blocks.front().page, parent_, 0};
        tokens = 0;
      }
      if (!open->text.empty()) open->text += unit.separator;
      open->text += unit.text;
      tokens += unit.tokens;
    }
    STOA_CHECK(close(open, tokens));
    ++parent_;
    return {};
  }

  Status close(std::optional<Chunk>& open, int tokens) {
    if (!open) return {};
    if (chunks_.size() >= options_.max_chunks) return fail(ErrorCode::kTooLarge, "more than {} passages", options_.max_chunks);
    open->tokens = prefix_tokens_ + tokens + kSpecialTokens;
    chunks_.push_back(*std::exchange(open, std::nullopt));
    return {};
  }

  // Title and headings; outer ones go first when they leave too little room for text.
  Status make_prefix(const std::vector<std::string>& section) {
    std::vector<std::string> parts;
    if (!document_.titled_by_name && !document_.title.empty()) parts.push_back(document_.title);
    for (const auto& heading : section) {
      if (parts.empty() || !parts.back().starts_with(heading)) parts.push_back(heading);
    }
    const int room = std::min(kMaxPrefixTokens, options_.max_tokens / 4);
    for (std::size_t from = 0; from < parts.size(); ++from) {
      prefix_.clear();
      for (std::size_t i = from; i < parts.size(); ++i) prefix_ += (prefix_.empty() ? "" : " > ") + parts[i];
      STOA_TRY(tokens, count(prefix_));
      prefix_tokens_ = tokens;
      if (tokens <= room) return {};
    }
    prefix_.clear();
    prefix_tokens_ = 0;
    return {};
  }

  int room() const { return std::max(1, options_.max_tokens - kSpecialTokens - prefix_tokens_); }

  // A block as units that each fit: whole, else its sentences (code: lines), else runs of words.
  Status cut(const Block& block, std::vector<Unit>& units) {
    const bool lines = block.kind == BlockKind::kCode || block.kind == BlockKind::kTableRow || block.kind == BlockKind::kListItem;
    const std::string separator = lines ? "\n" : "\n\n";
    STOA_TRY(whole, count(block.text));
    if (whole <= room()) {
      units.push_back({block.text, separator, block.anchor, whole});
      return {};
    }
    const bool code = block.kind == BlockKind::kCode;
    std::size_t start = 0;
    bool first = true;
    for (const std::size_t end : code ? line_ends(block.text) : sentence_ends(block.text)) {
      const std::string_view raw = std::string_view(block.text).substr(start, end - start);
      start = end;
      const std::string piece = code ? std::string(raw.substr(0, raw.find_last_not_of('\n') + 1)) : stripped(raw);
      if (piece.empty()) continue;
      STOA_TRY(tokens, count(piece));
      const std::string before = first ? separator : code ? "\n" : " ";
      first = false;
      if (tokens <= room()) {
        units.push_back({piece, before, block.anchor, tokens});
      } else {
        STOA_CHECK(cut_words(piece, before, block.anchor, units));
      }
    }
    return {};
  }

  // Halves a run of words until it fits; a single word that is too long is cut between characters.
  Status cut_words(const std::string& text, const std::string& separator, const std::string& anchor, std::vector<Unit>& units) {
    std::vector<std::pair<std::string, std::string>> todo{{text, separator}};
    while (!todo.empty()) {
      const auto [piece, before] = std::move(todo.back());
      todo.pop_back();
      STOA_TRY(tokens, count(piece));
      if (tokens <= room() || piece.size() < 8) {
        units.push_back({piece, before, anchor, tokens});
        continue;
      }
      std::size_t middle = piece.rfind(' ', piece.size() / 2);
      if (middle == std::string::npos || middle == 0) middle = piece.find(' ', piece.size() / 2);
      const bool word = middle == std::string::npos || middle + 1 >= piece.size();
      if (word) {
        middle = piece.size() / 2;
        while (middle > 1 && (static_cast<unsigned char>(piece[middle]) & 0xC0) == 0x80) --middle;
      }
      todo.emplace_back(piece.substr(word ? middle : middle + 1), word ? "" : " ");
      todo.emplace_back(piece.substr(0, middle), before);
    }
    return {};
  }

  const ParsedDocument& document_;
  const TokenCounter& count_;
  const ChunkOptions& options_;
  std::vector<Chunk> chunks_;
  std::string prefix_;
  int prefix_tokens_ = 0;
  int parent_ = 0;
};

}  // namespace

std::vector<std::size_t> sentence_ends(const std::string& text) {
  std::vector<std::size_t> ends;
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> breaks(icu::BreakIterator::createSentenceInstance(icu::Locale::getEnglish(), status));
  UText* utf8 = utext_openUTF8(nullptr, text.data(), static_cast<std::int64_t>(text.size()), &status);
  if (U_SUCCESS(status) && breaks != nullptr) {
    breaks->setText(utf8, status);
    for (std::int32_t end = breaks->next(); U_SUCCESS(status) && end != icu::BreakIterator::DONE; end = breaks->next()) {
      ends.push_back(static_cast<std::size_t>(end));
    }
  }
  if (utf8 != nullptr) utext_close(utf8);
  if (ends.empty() || ends.back() != text.size()) ends.push_back(text.size());
  return ends;
}

Result<std::vector<Chunk>> chunk_document(const ParsedDocument& document, const TokenCounter& count, const ChunkOptions& options) {
  if (options.max_tokens < 16 || options.target_tokens < 8) {
    return fail(ErrorCode::kInvalidArgument, "passages of at most {} tokens, wanted {}: too small to hold text", options.max_tokens, options.target_tokens);
  }
  ChunkOptions fitted = options;
  fitted.target_tokens = std::min(options.target_tokens, options.max_tokens);
  return Chunker(document, count, fitted).run();
}

Result<int> approximate_tokens(const std::string& text) {
  int tokens = kSpecialTokens;
  std::size_t word = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte >= 0x80;
    if (letter) {
      if (word++ % 7 == 0) ++tokens;
    } else {
      word = 0;
      if (byte > ' ') ++tokens;
    }
  }
  return tokens;
}

}  // namespace stoa::data
