#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "data/parse/chunk.h"
#include "data/parse/document.h"

namespace stoa::data {
namespace {

Result<ParsedDocument> parse(std::string_view text, std::string_view name, std::string_view type = {}) { return parse_document(as_bytes(text), name, type); }

std::string kind_name(BlockKind kind) {
  switch (kind) {
    case BlockKind::kHeading: return "h";
    case BlockKind::kParagraph: return "p";
    case BlockKind::kListItem: return "li";
    case BlockKind::kCode: return "code";
    case BlockKind::kTableRow: return "tr";
  }
  return "?";
}

// "kind[section/section]#anchor: text", a line a block.
std::string dump(const ParsedDocument& document) {
  std::string out;
  for (const auto& block : document.blocks) {
    std::string section;
    for (const auto& heading : block.section) section += (section.empty() ? "" : "/") + heading;
    out += kind_name(block.kind) + "[" + section + "]#" + block.anchor + ": " + block.text + "\n";
  }
  return out;
}

struct Case {
  const char* name;
  std::string_view input;
  std::string_view title;
  std::string_view blocks;
};

void check(const Case& c) {
  SCOPED_TRACE(std::string(c.name) + ": " + std::string(c.input));
  const auto document = parse(c.input, c.name);
  ASSERT_TRUE(document.has_value()) << document.error().message;
  EXPECT_EQ(document->title, c.title);
  EXPECT_EQ(dump(*document), c.blocks);
}

TEST(Parse, Documents) {
  const Case cases[] = {
      {"a.txt", "one\ntwo\n\n  three\xC2\xA0 four \n", "a.txt", "p[]#: one two\np[]#: three four\n"},
      {"a.txt", "\xEF\xBB\xBFmarked", "a.txt", "p[]#: marked\n"},
      {"a.md", "---\ntitle: \"The Guide\"\n---\n# One\ntext *with* [link](http://x) and `code`\n\n## Two {#deux}\n- a\n- b\n  more\n", "The Guide",
       "h[One]#one: One\np[One]#one: text with link and code\nh[One/Two]#deux: Two\nli[One/Two]#deux: a\nli[One/Two]#deux: b more\n"},
      {"a.md", "Title Here\n===\n\n```c\nint x;\n\n# no heading\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "Title Here",
       "h[Title Here]#title-here: Title Here\ncode[Title Here]#title-here: int x;\n\n# no heading\ntr[Title Here]#title-here: a | b\n"
       "tr[Title Here]#title-here: 1 | 2\n"},
      {"a.md", "```\nunclosed", "a.md", "code[]#: unclosed\n"},
      {"a.html", "<title>T &amp; U</title><nav><a href=x>skip</a></nav><h1 id=top>One</h1><p>a  b<br>c</p><script>x()</script><ul><li>i<li><p>j</p></ul>",
       "T & U", "h[One]#top: One\np[One]#top: a b c\nli[One]#top: i\nli[One]#top: j\n"},
      {"a.html", "<section id=s1><span id=old></span><h1>A<a class=headerlink href=#s1>\xC2\xB6</a></h1><p>x</p><section id=s2><h2>B</h2><p>y</p></section><p>z</p></section>",
       "A", "h[A]#s1: A\np[A]#s1: x\nh[A/B]#s2: B\np[A/B]#s2: y\np[A]#s1: z\n"},
      {"a.html", "<a name=n1></a><h2>H</h2><pre>  int x;\n\n    y\n</pre><table><tr><th>k<th>v</tr><tr><td><p>1</p><td>2</table>", "H",
       "h[H]#n1: H\ncode[H]#n1:   int x;\n\n    y\ntr[H]#n1: k | v\ntr[H]#n1: 1 | 2\n"},
      {"a.html", "<dl><dt id=d1>term<dd>meaning<dt>other<dd>more</dl><p>end", "a.html",
       "p[]#d1: term\nli[]#d1: meaning\np[]#d1: other\nli[]#d1: more\np[]#: end\n"},
      {"a.html", "<nav>only links here</nav>", "a.html", "p[]#: only links here\n"},
      {"a.html", "<table><tr><td><h1>Old</h1><p>page</td></tr></table>", "Old", "h[Old]#: Old\np[Old]#: page\n"},
      {"a.html", "<p>un<b>closed <i>x", "a.html", "p[]#: unclosed x\n"},
  };
  for (const auto& c : cases) check(c);
}

TEST(Parse, Refusals) {
  const struct {
    std::string name, input;
    ErrorCode code;
  } cases[] = {
      {"a.bin", std::string("\x7f" "ELF\0\0\0", 7), ErrorCode::kUnsupported},
      {"a.txt", std::string("text\0more", 9), ErrorCode::kUnsupported},
      {"photo.jpg", "\xFF\xD8\xFF\xE0 not text \x01\x02\x03\x04", ErrorCode::kUnsupported},
      {"a.pdf", "not a pdf", ErrorCode::kUnsupported},
      {"a.pdf", "%PDF-1.4\ngarbage", ErrorCode::kInvalidArgument},
      {"a.pdf", std::string("%PDF-1.7\n") + std::string(5000, '\xff'), ErrorCode::kInvalidArgument},
      {"a.txt", "", ErrorCode::kInvalidArgument},
      {"a.html", "<p></p>", ErrorCode::kInvalidArgument},
      {"a.zzz", "unknown ending", ErrorCode::kUnsupported},
  };
  for (const auto& c : cases) {
    const auto document = parse(c.input, c.name);
    ASSERT_FALSE(document.has_value()) << c.name;
    EXPECT_EQ(document.error().code, c.code) << c.name << ": " << document.error().message;
    EXPECT_TRUE(document.error().message.starts_with(c.name)) << document.error().message;
  }
}

TEST(Parse, HostileHtmlIsBounded) {
  std::string deep, formats, wide;
  for (int i = 0; i < 200'000; ++i) deep += "<div>";
  for (int i = 0; i < 900; ++i) formats += "<b id=" + std::to_string(i) + ">";
  for (int i = 0; i < 100'000; ++i) formats += "<p>x";
  for (int i = 0; i < 50'000; ++i) wide += "<p>x</p><!-- " + std::string(3, '-');
  EXPECT_EQ(parse(deep + "x", "deep.html").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(parse(formats, "formats.html").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(parse(wide, "wide.html").has_value());
  ParseLimits limits;
  limits.max_bytes = 10;
  EXPECT_EQ(parse_document(as_bytes("more than ten"), "a.txt", {}, limits).error().code, ErrorCode::kTooLarge);
  limits = {};
  limits.max_blocks = 2;
  EXPECT_EQ(parse_document(as_bytes("a\n\nb\n\nc"), "a.txt", {}, limits).error().code, ErrorCode::kTooLarge);
  limits = {};
  limits.deadline = Deadline::after(std::chrono::seconds(-1));
  EXPECT_EQ(parse_document(as_bytes("a"), "a.txt", {}, limits).error().code, ErrorCode::kDeadlineExceeded);
}

TEST(Parse, InvalidUtf8IsMendedAndNoted) {
  const auto document = parse("caf\xE9 au lait", "a.txt");
  ASSERT_TRUE(document.has_value());
  EXPECT_EQ(document->blocks.at(0).text, "caf\xEF\xBF\xBD au lait");
  EXPECT_EQ(document->notes.size(), 1u);
}

TEST(Parse, DeclaredTypeAndEnding) {
  const struct {
    std::string_view text, name, declared, expected;
  } cases[] = {{"x", "a", "text/html; charset=utf-8", "text/html"}, {"x", "a.md", "application/octet-stream", "text/markdown"}, {"x", "README", "", "text/plain"},
               {"<!DOCTYPE html><p>x", "page.php", "", "text/html"}, {"x", "a.py", "text/x-python", "text/plain"}, {"x", "a.md", "text/plain", "text/markdown"},
               {"%PDF-1.4", "a.txt", "text/plain", "application/pdf"}};
  for (const auto& c : cases) EXPECT_EQ(detect_content_type(as_bytes(c.text), c.name, c.declared), c.expected) << c.name;
}

// A PDF of two pages, written by hand with a right cross-reference table.
std::string small_pdf() {
  const std::string stream1 = "BT /F1 12 Tf 72 700 Td (First page speaks) Tj ET", stream2 = "BT /F1 12 Tf 72 700 Td (Second page answers) Tj ET";
  const auto content = [](const std::string& s) { return "<< /Length " + std::to_string(s.size()) + " >>\nstream\n" + s + "\nendstream"; };
  const auto page = [](int stream) {
    return "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents " + std::to_string(stream) + " 0 R /Resources << /Font << /F1 7 0 R >> >> >>";
  };
  const std::string objects[] = {"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 >>", page(5), page(6), content(stream1),
                                 content(stream2), "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", "<< /Title (Small) >>"};
  std::string out = "%PDF-1.4\n", table = "xref\n0 9\n0000000000 65535 f \n";
  for (int i = 0; i < 8; ++i) {
    char line[32];
    std::snprintf(line, sizeof line, "%010zu 00000 n \n", out.size());
    table += line;
    out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
  }
  return out + table + "trailer << /Size 9 /Root 1 0 R /Info 8 0 R >>\nstartxref\n" + std::to_string(out.size()) + "\n%%EOF\n";
}

// In this process, and in one of its own.
TEST(Parse, PdfKeepsPagesAndTitle) {
  const std::string pdf = small_pdf();
  for (const std::size_t memory : {std::size_t{0}, std::size_t{1} << 30}) {
    const auto document = parse_document(as_bytes(pdf), "small.pdf", {}, {.reader_memory = memory});
    ASSERT_TRUE(document.has_value()) << document.error().message;
    EXPECT_EQ(document->title, "Small");
    EXPECT_EQ(document->pages, 2);
    ASSERT_EQ(document->blocks.size(), 2u);
    EXPECT_EQ(document->blocks[0].text, "First page speaks");
    EXPECT_EQ(document->blocks[1].page, 2);
    const auto broken = parse_document(as_bytes("%PDF-1.4\ngarbage"), "a.pdf", {}, {.reader_memory = memory});
    ASSERT_FALSE(broken.has_value());
    EXPECT_EQ(broken.error().message, "a.pdf: broken PDF");
  }
  for (std::size_t cut = 0; cut < pdf.size(); cut += 37) (void)parse(pdf.substr(0, cut), "cut.pdf");  // must only not crash
}

TEST(Parse, RealManual) {
  const std::filesystem::path folder = "/usr/share/doc/debian-policy/policy.html";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the package debian-policy is not installed";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".html") continue;
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    const auto document = parse(text.str(), entry.path().filename().string());
    ASSERT_TRUE(document.has_value()) << document.error().message;
    ++files;
    const std::string all = dump(*document);
    EXPECT_FALSE(all.contains("\xC2\xB6")) << entry.path();
    if (entry.path().filename() != "ch-source.html") continue;
    EXPECT_TRUE(document->title.starts_with("4. Source packages")) << document->title;
    EXPECT_TRUE(all.contains("p[4. Source packages/4.1. Standards conformance]#standards-conformance: The version is specified in the"));
    EXPECT_FALSE(all.contains("Navigation"));
  }
  EXPECT_GT(files, 10);
}

// --- chunks --------------------------------------------------------------------------------------------------------------

Result<std::vector<Chunk>> chunks(std::string_view text, std::string_view name, ChunkOptions options = {}) {
  auto document = parse(text, name);
  if (!document) return fail(document.error());
  return chunk_document(*document, approximate_tokens, options);
}

TEST(Chunk, JoinsNeighboursOfOneSectionOnly) {
  const auto result = chunks("# A\none\n\ntwo\n\n## B\nthree\n\n- x\n- y\n", "a.md");
  ASSERT_TRUE(result.has_value());
  ASSERT_EQ(result->size(), 2u);
  EXPECT_EQ((*result)[0].text, "one\n\ntwo");
  EXPECT_EQ((*result)[0].prefix, "A");
  EXPECT_EQ((*result)[0].parent, 0);
  EXPECT_EQ((*result)[1].text, "three\nx\ny");
  EXPECT_EQ((*result)[1].prefix, "A > B");
  EXPECT_EQ((*result)[1].anchor, "b");
  EXPECT_EQ((*result)[1].parent, 1);
  EXPECT_EQ((*result)[1].indexed_text(), "A > B\nthree\nx\ny");
}

TEST(Chunk, CutsLongTextWithinTheBudgetAndLosesNothing) {
  std::string sentences, words, one(3000, 'z'), cjk;
  for (int i = 0; i < 200; ++i) sentences += "This is sentence number " + std::to_string(i) + " of Dr. Smith. ";
  for (int i = 0; i < 2000; ++i) words += "word" + std::to_string(i) + " ";
  for (int i = 0; i < 500; ++i) cjk += "\xE6\xBC\xA2";
  ChunkOptions options;
  options.target_tokens = 60;
  options.max_tokens = 80;
  for (const std::string& text : {sentences, words, one, cjk}) {
    const auto result = chunks("# Heading\n" + text, "a.md", options);
    ASSERT_TRUE(result.has_value());
    EXPECT_GT(result->size(), 1u);
    std::string whole;
    for (const auto& chunk : *result) {
      EXPECT_LE(*approximate_tokens(chunk.indexed_text()), options.max_tokens);
      EXPECT_TRUE(is_valid_utf8(chunk.text));
      whole += chunk.text;
    }
    std::string expected = text;
    std::erase_if(whole, [](char c) { return c == ' ' || c == '\n'; });
    std::erase_if(expected, [](char c) { return c == ' '; });
    EXPECT_EQ(whole, expected);
  }
}

TEST(Chunk, EdgeCases) {
  EXPECT_EQ(chunks("# Only\n## Headings\n", "a.md")->size(), 1u);
  EXPECT_EQ(chunks("plain text", "note.txt")->at(0).prefix, "");  // a file's name is no context
  ChunkOptions options;
  options.max_tokens = 4;
  EXPECT_EQ(chunks("x", "a.txt", options).error().code, ErrorCode::kInvalidArgument);
  options = {};
  options.max_chunks = 1;
  EXPECT_EQ(chunks("# A\nx\n# B\ny\n", "a.md", options).error().code, ErrorCode::kTooLarge);
  const auto failing = chunk_document(*parse("x", "a.txt"), [](const std::string&) -> Result<int> { return fail(ErrorCode::kUnavailable, "no model"); });
  EXPECT_EQ(failing.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace stoa::data
