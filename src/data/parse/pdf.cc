// PDF through poppler: the text of each page, in reading order, cut at blank lines.
#include <exception>
#include <memory>
#include <mutex>

#include <poppler/cpp/poppler-document.h>
#include <poppler/cpp/poppler-global.h>
#include <poppler/cpp/poppler-page.h>

#include "base/utf8.h"
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

}  // namespace

Result<ParsedDocument> parse_pdf(ByteSpan bytes, const ParseLimits& limits) {
  try {
    return read_pdf(bytes, limits);
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInvalidArgument, "broken PDF: {}", exception.what());
  }
}

}  // namespace stoa::data
