// PDF through poppler: the text of each page, in reading order, cut at blank lines. Poppler has no limits: a page of kilobytes may unpack to
// gigabytes, so it works in a process of its own (apart.h).
#include <algorithm>
#include <charconv>
#include <exception>
#include <memory>
#include <mutex>
#include <new>

#include <poppler/cpp/poppler-document.h>
#include <poppler/cpp/poppler-global.h>
#include <poppler/cpp/poppler-page.h>

#include "base/utf8.h"
#include "data/parse/apart.h"
#include "data/parse/formats.h"

namespace stoa::data {
namespace {

std::string to_text(const poppler::ustring& wide) {
  const poppler::byte_array bytes = wide.to_utf8();
  return to_valid_utf8({bytes.data(), bytes.size()});
}

// Words that were parted at the end of a line are joined again.
std::string join_lines(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool parted = text[i] == '-' && i > 0 && i + 2 < text.size() && text[i + 1] == '\n' && text[i - 1] >= 'a' && text[i - 1] <= 'z' &&
                        text[i + 2] >= 'a' && text[i + 2] <= 'z';
    if (parted) {
      ++i;
    } else {
      out += text[i];
    }
  }
  return collapse_space(out);
}

Status read_page(const poppler::document& pdf, int number, BlockWriter& writer) {
  const std::unique_ptr<poppler::page> page(pdf.create_page(number));
  if (page == nullptr) return {};
  const std::string text = to_text(page->text(poppler::rectf(), poppler::page::non_raw_non_physical_layout));
  std::string_view rest = text;
  std::string paragraph;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!is_blank(line)) {
      paragraph.append(trim(line)).append(1, '\n');
      continue;
    }
    STOA_CHECK(writer.add({BlockKind::kParagraph, join_lines(paragraph), {}, {}, number + 1}));
    paragraph.clear();
  }
  return writer.add({BlockKind::kParagraph, join_lines(paragraph), {}, {}, number + 1});
}

Result<ParsedDocument> read_pdf(ByteSpan bytes, const ParseLimits& limits) {
  static std::once_flag silenced;  // poppler writes what it finds wrong to standard error
  std::call_once(silenced, [] { poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr); });
  const std::unique_ptr<poppler::document> pdf(
      poppler::document::load_from_raw_data(reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size())));
  if (pdf == nullptr) return fail(error(ErrorCode::kInvalidArgument, "broken PDF").with_hint("open it in a viewer and save it again"));
  if (pdf->is_locked()) return fail(error(ErrorCode::kUnsupported, "encrypted PDF").with_hint("remove its password first"));
  ParsedDocument document;
  document.pages = pdf->pages();
  if (document.pages > limits.max_pages) return fail(ErrorCode::kTooLarge, "{} pages, more than {}", document.pages, limits.max_pages);
  document.title = collapse_space(to_text(pdf->get_title()));
  BlockWriter writer(document, limits);
  for (int number = 0; number < document.pages; ++number) {
    if (limits.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "reading it took too long (page {})", number + 1);
    STOA_CHECK(read_page(*pdf, number, writer));
  }
  return document;
}

Result<ParsedDocument> read_here(ByteSpan bytes, const ParseLimits& limits) {
  try {
    return read_pdf(bytes, limits);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kTooLarge, "reading it takes more memory than there is for it");
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInvalidArgument, "broken PDF: {}", exception.what());
  }
}

// What read_here() gives, as a text: numbers end with a blank, texts have their size before them.
void put(std::string& out, std::int64_t number) { out += fmt::format("{} ", number); }
void put(std::string& out, std::string_view text) {
  put(out, static_cast<std::int64_t>(text.size()));
  out += text;
}

std::string packed(const Result<ParsedDocument>& result) {
  std::string out;
  put(out, result ? -1 : static_cast<std::int64_t>(result.error().code));
  if (!result) {
    put(out, result.error().message);
    put(out, result.error().hint);
    return out;
  }
  put(out, result->title);
  put(out, result->pages);
  put(out, static_cast<std::int64_t>(result->blocks.size()));
  for (const Block& block : result->blocks) {
    put(out, block.page);
    put(out, block.text);
  }
  return out;
}

// The process that wrote it may have been taken over by what it read: nothing in it is trusted.
class Unpacker {
 public:
  explicit Unpacker(std::string_view packed) : rest_(packed) {}

  Result<std::int64_t> number() {
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (code != std::errc() || end == rest_.data() + rest_.size() || *end != ' ') return fail(ErrorCode::kInvalidArgument, "broken PDF: its reader ended early");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()) + 1);
    return value;
  }
  Result<std::string> text() {
    STOA_TRY(size, number());
    if (size < 0 || static_cast<std::uint64_t>(size) > rest_.size()) return fail(ErrorCode::kInvalidArgument, "broken PDF: its reader ended early");
    std::string out = to_valid_utf8(rest_.substr(0, static_cast<std::size_t>(size)));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return out;
  }

 private:
  std::string_view rest_;
};

Result<ParsedDocument> unpacked(std::string_view text, const ParseLimits& limits) {
  Unpacker in(text);
  STOA_TRY(code, in.number());
  if (code >= 0 && code <= static_cast<std::int64_t>(ErrorCode::kInternal)) {
    STOA_TRY(message, in.text());
    STOA_TRY(hint, in.text());
    return fail(Error{static_cast<ErrorCode>(code), std::move(message), std::move(hint), {}, 0});
  }
  ParsedDocument document;
  STOA_TRY(title, in.text());
  STOA_TRY(pages, in.number());
  STOA_TRY(blocks, in.number());
  document.title = std::move(title);
  document.pages = static_cast<int>(std::clamp<std::int64_t>(pages, 0, limits.max_pages));
  BlockWriter writer(document, limits);
  for (std::int64_t i = 0; i < blocks; ++i) {
    STOA_TRY(page, in.number());
    STOA_TRY(block, in.text());
    STOA_CHECK(writer.add({BlockKind::kParagraph, std::move(block), {}, {}, static_cast<int>(std::clamp<std::int64_t>(page, 1, limits.max_pages))}));
  }
  return document;
}

}  // namespace

Result<ParsedDocument> parse_pdf(ByteSpan bytes, const ParseLimits& limits) {
  if (limits.reader_memory == 0) return read_here(bytes, limits);
  const std::size_t most = 2 * limits.max_text + 64 * limits.max_blocks;
  STOA_TRY(text, run_apart([&] { return packed(read_here(bytes, limits)); }, {limits.reader_memory, most, limits.deadline}));
  return unpacked(text, limits);
}

}  // namespace stoa::data
