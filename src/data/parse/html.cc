// HTML5 through gumbo, walked with an explicit stack. What surrounds the text of a page (navigation, banners, permalinks) is left out.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>
#include <unordered_map>

#include <gumbo.h>

#include "data/parse/formats.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxRebuilt = 10'000'000;  // formatting elements that unclosed ones would make the parser repeat

// Elements that end by themselves or have no content: they do not nest.
constexpr auto kFlat = std::to_array<std::string_view>({"area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link",
                                                        "meta", "option", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr",
                                                        "track", "wbr"});
constexpr auto kFormatting = std::to_array<std::string_view>(
    {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"});

// Gumbo frees its tree by recursion and repeats unclosed formatting elements in every block that follows: both are bounded here,
// on the text, before it sees it. The estimate is never below the depth of the tree that results.
Status check_nesting(std::string_view text, const ParseLimits& limits) {
  std::unordered_map<std::string, std::size_t> open;
  std::size_t depth = 0, formatting = 0, rebuilt = 0;
  for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at + 1)) {
    const bool closes = at + 1 < text.size() && text[at + 1] == '/';
    std::string name;
    for (std::size_t i = at + (closes ? 2 : 1); i < text.size() && name.size() < 16 && std::isalnum(static_cast<unsigned char>(text[i])) != 0; ++i) {
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
    }
    if (!closes) rebuilt += formatting;
    if (rebuilt > kMaxRebuilt) return fail(ErrorCode::kInvalidArgument, "too many unclosed formatting elements");
    if (name.empty() || std::ranges::binary_search(kFlat, std::string_view(name))) continue;
    const bool formats = std::ranges::binary_search(kFormatting, std::string_view(name));
    std::size_t& count = open[name];
    if (!closes) {
      ++count, ++depth, formatting += formats;
      if (depth > limits.max_depth) return fail(ErrorCode::kInvalidArgument, "elements nested more than {} deep", limits.max_depth);
    } else if (count > 0) {
      --count, --depth, formatting -= formats;
    }
  }
  return {};
}

std::string_view attribute(const GumboElement& element, const char* name) {
  const GumboAttribute* found = gumbo_get_attribute(&element.attributes, name);
  return found == nullptr ? std::string_view() : std::string_view(found->value);
}

bool has_class(const GumboElement& element, std::string_view wanted) {
  std::string_view classes = attribute(element, "class");
  while (!classes.empty()) {
    const std::size_t end = classes.find(' ');
    if (classes.substr(0, end) == wanted) return true;
    classes.remove_prefix(end == std::string_view::npos ? classes.size() : end + 1);
  }
  return false;
}

bool is_element(const GumboNode* node) { return node->type == GUMBO_NODE_ELEMENT; }

const GumboVector* children_of(const GumboNode* node) {
  if (node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE) return &node->v.element.children;
  return node->type == GUMBO_NODE_DOCUMENT ? &node->v.document.children : nullptr;
}

// Visits the nodes below `root`, depth first, at most `budget` of them; stops when `visit` returns true and gives that.
template <class Visit>
bool any_below(const GumboNode* root, std::size_t budget, Visit visit) {
  std::vector<const GumboNode*> stack{root};
  while (!stack.empty() && budget-- > 0) {
    const GumboNode* node = stack.back();
    stack.pop_back();
    if (node != root && visit(node)) return true;
    if (const GumboVector* children = children_of(node)) {
      for (unsigned i = children->length; i-- > 0;) stack.push_back(static_cast<const GumboNode*>(children->data[i]));
    }
  }
  return false;
}

int heading_level(GumboTag tag) { return tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6 ? tag - GUMBO_TAG_H1 + 1 : 0; }

// Never text of the document.
bool is_machinery(const GumboNode* node) {
  const GumboElement& element = node->v.element;
  switch (element.tag) {
    case GUMBO_TAG_HEAD: case GUMBO_TAG_SCRIPT: case GUMBO_TAG_STYLE: case GUMBO_TAG_NOSCRIPT: case GUMBO_TAG_TEMPLATE: case GUMBO_TAG_SVG:
    case GUMBO_TAG_IFRAME: case GUMBO_TAG_OBJECT: case GUMBO_TAG_SELECT: case GUMBO_TAG_BUTTON: case GUMBO_TAG_TEXTAREA: return true;
    default: break;
  }
  if (element.tag == GUMBO_TAG_A && (has_class(element, "headerlink") || has_class(element, "permalink") || has_class(element, "anchor"))) return true;
  return gumbo_get_attribute(&element.attributes, "hidden") != nullptr || attribute(element, "aria-hidden") == "true";
}

// Link bars and banners around the text: HTML5 elements, ARIA roles, and the classes of Sphinx, DocBook and Doxygen.
bool is_boilerplate(const GumboNode* node) {
  const GumboElement& element = node->v.element;
  if (element.tag == GUMBO_TAG_NAV || element.tag == GUMBO_TAG_FOOTER) return true;
  if (element.tag == GUMBO_TAG_HEADER) {
    return !any_below(node, 1000, [](const GumboNode* below) { return is_element(below) && heading_level(below->v.element.tag) > 0; });
  }
  const std::string_view role = attribute(element, "role");
  for (const auto name : {"navigation", "banner", "contentinfo", "search"}) {
    if (role == name) return true;
  }
  for (const auto name : {"related", "sphinxsidebar", "navheader", "navfooter", "navbar", "breadcrumbs", "footer", "sidebar-tree", "navpath", "noprint"}) {
    if (has_class(element, name)) return true;
  }
  return false;
}

bool is_block(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_ADDRESS: case GUMBO_TAG_ARTICLE: case GUMBO_TAG_ASIDE: case GUMBO_TAG_BLOCKQUOTE: case GUMBO_TAG_BODY: case GUMBO_TAG_CAPTION:
    case GUMBO_TAG_CENTER: case GUMBO_TAG_DD: case GUMBO_TAG_DETAILS: case GUMBO_TAG_DIV: case GUMBO_TAG_DL: case GUMBO_TAG_DT:
    case GUMBO_TAG_FIELDSET: case GUMBO_TAG_FIGCAPTION: case GUMBO_TAG_FIGURE: case GUMBO_TAG_FOOTER: case GUMBO_TAG_FORM: case GUMBO_TAG_H1:
    case GUMBO_TAG_H2: case GUMBO_TAG_H3: case GUMBO_TAG_H4: case GUMBO_TAG_H5: case GUMBO_TAG_H6: case GUMBO_TAG_HEADER: case GUMBO_TAG_HR:
    case GUMBO_TAG_HTML: case GUMBO_TAG_LI: case GUMBO_TAG_MAIN: case GUMBO_TAG_OL: case GUMBO_TAG_P: case GUMBO_TAG_PRE: case GUMBO_TAG_SECTION:
    case GUMBO_TAG_SUMMARY: case GUMBO_TAG_TABLE: case GUMBO_TAG_TBODY: case GUMBO_TAG_TD: case GUMBO_TAG_TH: case GUMBO_TAG_THEAD:
    case GUMBO_TAG_TR: case GUMBO_TAG_UL: return true;
    default: return false;
  }
}

bool may_carry_anchor(GumboTag tag) {
  switch (tag) {
    case GUMBO_TAG_SECTION: case GUMBO_TAG_DIV: case GUMBO_TAG_ARTICLE: case GUMBO_TAG_MAIN: case GUMBO_TAG_DT: case GUMBO_TAG_P:
    case GUMBO_TAG_PRE: case GUMBO_TAG_TABLE: case GUMBO_TAG_FIGURE: case GUMBO_TAG_BLOCKQUOTE: case GUMBO_TAG_LI: return true;
    default: return false;
  }
}

std::string_view own_id(const GumboElement& element) {
  const std::string_view id = attribute(element, "id");
  return id.empty() && element.tag == GUMBO_TAG_A ? attribute(element, "name") : id;
}

class HtmlReader {
 public:
  HtmlReader(ParsedDocument& document, const ParseLimits& limits, bool keep_boilerplate)
      : document_(document), writer_(document, limits), keep_boilerplate_(keep_boilerplate) {}

  Status read(const GumboNode* root) {
    stack_.push_back({root, 0, {}, 0, {}, false});
    STOA_CHECK(enter(stack_.back()));
    while (!stack_.empty()) {
      Frame& frame = stack_.back();
      const GumboVector* children = children_of(frame.node);
      if (children == nullptr || frame.next >= children->length) {
        STOA_CHECK(leave(frame));
        stack_.pop_back();
        continue;
      }
      STOA_CHECK(visit(static_cast<const GumboNode*>(children->data[frame.next++])));
    }
    return flush();
  }

 private:
  struct Frame {
    const GumboNode* node;
    unsigned next;
    std::string anchor;    // to return to
    std::size_t sections;  // to return to
    BlockKind kind;        // to return to
    bool row;              // it began a table row
  };

  Status visit(const GumboNode* node) {
    switch (node->type) {
      case GUMBO_NODE_TEXT: case GUMBO_NODE_WHITESPACE: case GUMBO_NODE_CDATA:
        if (std::strcmp(node->v.text.text, "\xC2\xB6") != 0) text_ += node->v.text.text;  // a bare pilcrow is a permalink
        return {};
      case GUMBO_NODE_ELEMENT: break;
      default: return {};
    }
    const GumboElement& element = node->v.element;
    if (element.tag == GUMBO_TAG_BR) {
      text_ += '\n';
      return {};
    }
    if (element.tag == GUMBO_TAG_TITLE && document_.title.empty()) return {};
    if (is_machinery(node) || (!keep_boilerplate_ && is_boilerplate(node))) return {};
    stack_.push_back({node, 0, anchor_, path_.depth(), kind_, false});
    return enter(stack_.back());
  }

  Status enter(Frame& frame) {
    if (!is_element(frame.node)) return {};
    const GumboElement& element = frame.node->v.element;
    const GumboTag tag = element.tag;
    const std::string_view id = own_id(element);
    if (is_block(tag)) STOA_CHECK(row_ ? cell_break(tag) : flush());
    if (!id.empty()) {
      if (may_carry_anchor(tag)) {
        anchor_ = id;
        before_heading_ = id;
        fresh_container_ = true;
      } else if (is_blank(text_) && !fresh_container_) {
        before_heading_ = id;  // <a name> or <span id> just before a heading
      }
    }
    if (tag == GUMBO_TAG_PRE) kind_ = BlockKind::kCode;
    if (tag == GUMBO_TAG_LI || tag == GUMBO_TAG_DD) kind_ = BlockKind::kListItem;
    if (tag == GUMBO_TAG_TR && !row_ && !is_layout(frame.node)) {
      row_ = frame.row = true;
      kind_ = BlockKind::kTableRow;
    }
    return {};
  }

  Status leave(const Frame& frame) {
    if (!is_element(frame.node)) return {};
    const GumboElement& element = frame.node->v.element;
    const GumboTag tag = element.tag;
    if (frame.row) {
      while (text_.ends_with(' ') || text_.ends_with('|')) text_.pop_back();
      STOA_CHECK(flush());
      row_ = false;
    } else if (row_) {
      if (tag == GUMBO_TAG_TD || tag == GUMBO_TAG_TH) text_ += " | ";
    } else if (const int level = heading_level(tag); level > 0) {
      STOA_CHECK(heading(level, own_id(element)));
    } else if (is_block(tag)) {
      STOA_CHECK(flush());
    }
    kind_ = frame.kind;
    if (heading_level(tag) > 0) return {};
    if (tag == GUMBO_TAG_SECTION || tag == GUMBO_TAG_ARTICLE) path_.cut(frame.sections);
    // A definition term names the place of the definition that follows it, until its list ends.
    if (may_carry_anchor(tag) && tag != GUMBO_TAG_DT && !own_id(element).empty()) anchor_ = frame.anchor;
    if (tag == GUMBO_TAG_DL) anchor_ = frame.anchor;
    return {};
  }

  Status heading(int level, std::string_view id) {
    const std::string name = collapse_space(text_);
    text_.clear();
    if (name.empty()) return {};
    if (!id.empty()) {
      anchor_ = id;
    } else if (!before_heading_.empty()) {
      anchor_ = before_heading_;
    }
    path_.enter(level, name);
    before_heading_.clear();
    fresh_container_ = false;
    return writer_.add({BlockKind::kHeading, name, path_.path(), anchor_, 0});
  }

  Status cell_break(GumboTag tag) {
    if (tag != GUMBO_TAG_TD && tag != GUMBO_TAG_TH) text_ += ' ';
    return {};
  }

  // Old pages lay out whole chapters in a table: its rows are no rows of data.
  static bool is_layout(const GumboNode* row) {
    return any_below(row, 2000, [](const GumboNode* below) {
      return is_element(below) && (heading_level(below->v.element.tag) > 0 || below->v.element.tag == GUMBO_TAG_TABLE || below->v.element.tag == GUMBO_TAG_PRE);
    });
  }

  Status flush() {
    std::string text = kind_ == BlockKind::kCode ? trim_code(text_) : collapse_space(text_);
    text_.clear();
    if (text.empty()) return {};
    before_heading_.clear();
    fresh_container_ = false;
    return writer_.add({kind_, std::move(text), path_.path(), anchor_, 0});
  }

  ParsedDocument& document_;
  BlockWriter writer_;
  const bool keep_boilerplate_;
  std::vector<Frame> stack_;
  SectionPath path_;
  std::string text_;            // of the block at hand
  std::string anchor_;          // of the place at hand
  std::string before_heading_;  // id met since the last block: that of a heading that has none itself
  bool fresh_container_ = false;  // before_heading_ is that of an enclosing element
  bool row_ = false;
  BlockKind kind_ = BlockKind::kParagraph;
};

std::string find_title(const GumboNode* root) {
  std::string title;
  any_below(root, 5000, [&](const GumboNode* node) {
    if (!is_element(node) || node->v.element.tag != GUMBO_TAG_TITLE) return false;
    const GumboVector& children = node->v.element.children;
    for (unsigned i = 0; i < children.length; ++i) {
      const auto* child = static_cast<const GumboNode*>(children.data[i]);
      if (child->type == GUMBO_NODE_TEXT) title += child->v.text.text;
    }
    return true;
  });
  return collapse_space(title);
}

}  // namespace

Result<ParsedDocument> parse_html(std::string_view text, const ParseLimits& limits) {
  STOA_CHECK(check_nesting(text, limits));
  GumboOptions options = kGumboDefaultOptions;
  options.max_errors = 0;
  const auto release = [&options](GumboOutput* output) { gumbo_destroy_output(&options, output); };
  const std::unique_ptr<GumboOutput, decltype(release)> output(gumbo_parse_with_options(&options, text.data(), text.size()), release);
  if (output == nullptr) return fail(ErrorCode::kInvalidArgument, "not readable as HTML");
  // A page that is all navigation is read with it: an index page is still a document.
  for (const bool keep_boilerplate : {false, true}) {
    ParsedDocument document;
    document.title = find_title(output->root);
    STOA_CHECK(HtmlReader(document, limits, keep_boilerplate).read(output->root));
    if (!document.blocks.empty() || keep_boilerplate) return document;
  }
  return fail(ErrorCode::kInternal, "unreachable");
}

}  // namespace stoa::data
