#include "data/parse/document.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/utf8.h"
#include "data/parse/formats.h"

namespace stoa::data {
namespace {

constexpr std::string_view kText = "text/plain", kMarkdown = "text/markdown", kHtml = "text/html", kPdf = "application/pdf";

constexpr std::array<std::pair<std::string_view, std::string_view>, 15> kEndings{{{".txt", kText},
                                                                                  {".text", kText},
                                                                                  {".log", kText},
                                                                                  {".csv", kText},
                                                                                  {".tsv", kText},
                                                                                  {".rst", kText},
                                                                                  {".json", kText},
                                                                                  {".yaml", kText},
                                                                                  {".md", kMarkdown},
                                                                                  {".markdown", kMarkdown},
                                                                                  {".mdx", kMarkdown},
                                                                                  {".html", kHtml},
                                                                                  {".htm", kHtml},
                                                                                  {".xhtml", kHtml},
                                                                                  {".pdf", kPdf}}};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

// Zero bytes and control characters are no text; a few of the latter occur in real files.
bool looks_binary(std::string_view text) {
  const std::string_view head = text.substr(0, 8192);
  std::size_t controls = 0;
  for (const char c : head) {
    if (c == '\0') return true;
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\x1b') || byte == 0x7f) ++controls;
  }
  return controls * 50 > head.size();
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.find_last_of("/\\");
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string collapse_space(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool space = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool no_break = c == '\xC2' && i + 1 < text.size() && text[i + 1] == '\xA0';
    if (no_break) ++i;
    if (no_break || c == ' ' || (c >= '\t' && c <= '\r')) {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n\f\v");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n\f\v") - first + 1);
}

bool is_blank(std::string_view text) { return trim(text).empty(); }

std::string trim_code(std::string_view text) {
  std::string out;
  bool begun = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::size_t last = line.find_last_not_of(" \t\r\f");
    line = last == std::string_view::npos ? std::string_view() : line.substr(0, last + 1);
    if (line.empty() && !begun) continue;
    begun = true;
    out.append(line).append(1, '\n');
  }
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

Status BlockWriter::add(Block block) {
  if (is_blank(block.text)) return {};
  text_ += block.text.size();
  if (text_ > limits_.max_text) return fail(ErrorCode::kTooLarge, "more than {} bytes of text", limits_.max_text);
  if (document_.blocks.size() >= limits_.max_blocks) return fail(ErrorCode::kTooLarge, "more than {} paragraphs", limits_.max_blocks);
  if (document_.blocks.size() % 64 == 0 && limits_.deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "reading it took too long");
  document_.blocks.push_back(std::move(block));
  return {};
}

void SectionPath::enter(int level, std::string heading) {
  while (!headings_.empty() && headings_.back().first >= level) headings_.pop_back();
  headings_.emplace_back(level, std::move(heading));
}

std::vector<std::string> SectionPath::path() const {
  std::vector<std::string> names;
  for (const auto& [level, name] : headings_) names.push_back(name);
  return names;
}

std::string detect_content_type(ByteSpan bytes, std::string_view filename, std::string_view declared) {
  const std::string_view text = as_text(bytes);
  if (text.substr(0, 1024).contains("%PDF-")) return std::string(kPdf);
  if (looks_binary(text)) return {};
  const std::string type = lower(trim(declared.substr(0, declared.find(';'))));
  if (type == "application/xhtml+xml") return std::string(kHtml);
  for (const auto known : {kMarkdown, kHtml}) {
    if (type == known) return std::string(known);
  }
  if (type == "text/x-markdown") return std::string(kMarkdown);
  const std::string name = lower(base_name(filename));
  for (const auto& [ending, as] : kEndings) {
    if (name.ends_with(ending)) return as == kPdf ? std::string() : std::string(as);
  }
  const std::string head = lower(trim(text.substr(0, 512)));
  if (head.starts_with("<!doctype html") || head.starts_with("<html")) return std::string(kHtml);
  if (type.starts_with("text/") || type == "application/json") return std::string(kText);
  // Without an ending ("README", "copyright") text is what is valid text; an unknown ending must be declared.
  return !name.contains('.') && is_valid_utf8(text.substr(0, complete_utf8_prefix(text.substr(0, 8192)))) ? std::string(kText) : std::string();
}

Result<ParsedDocument> parse_document(ByteSpan bytes, std::string_view filename, std::string_view declared_type, const ParseLimits& limits) {
  const auto parse = [&]() -> Result<ParsedDocument> {
    if (bytes.size() > limits.max_bytes) return fail(ErrorCode::kTooLarge, "{} bytes, more than {}", bytes.size(), limits.max_bytes);
    const std::string type = detect_content_type(bytes, filename, declared_type);
    if (type.empty()) {
      return fail(error(ErrorCode::kUnsupported, "neither text nor a known document format").with_hint("convert it to text, Markdown, HTML or PDF"));
    }
    ParsedDocument document;
    if (type == kPdf) {
      STOA_TRY(parsed, parse_pdf(bytes, limits));
      document = std::move(parsed);
    } else {
      std::string_view text = as_text(bytes);
      if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
      std::string mended;
      const bool valid = is_valid_utf8(text);
      if (!valid) text = mended = to_valid_utf8(text);
      STOA_TRY(parsed, type == kHtml ? parse_html(text, limits) : type == kMarkdown ? parse_markdown(text, limits) : parse_text(text, limits));
      document = std::move(parsed);
      if (!valid) document.notes.emplace_back("bytes that are not UTF-8 were replaced");
    }
    if (document.blocks.empty()) return fail(error(ErrorCode::kInvalidArgument, "no text in it").with_hint("a scanned document needs text recognition first"));
    document.content_type = type;
    if (document.title.empty()) {
      const auto heading = std::ranges::find(document.blocks, BlockKind::kHeading, &Block::kind);
      document.titled_by_name = heading == document.blocks.end();
      document.title = document.titled_by_name ? to_valid_utf8(base_name(filename)) : heading->text;
    }
    return document;
  };
  auto result = parse();
  if (!result) return fail(std::move(result).error().in(filename.empty() ? "document" : to_valid_utf8(filename)));
  return result;
}

}  // namespace stoa::data
