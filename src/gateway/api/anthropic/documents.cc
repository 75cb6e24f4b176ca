#include "gateway/api/anthropic/documents.h"

#include <algorithm>
#include <ranges>

#include "data/parse/chunk.h"
#include "data/parse/document.h"
#include "gateway/api/openai/answer_notes.h"
#include "infra/crypto/encoding.h"

namespace stoa::gateway::anthropic {
namespace {

using Kind = MessageDocument::Kind;

constexpr std::size_t kMaxBlocks = 1024;
constexpr std::size_t kPassageBytes = 800;              // of a text, cut between sentences
constexpr std::size_t kMostPassages = 10;               // that an answer may stand on
constexpr std::size_t kReaderMemory = 512u << 20;       // of the reader of PDF, as for ingested files
constexpr std::string_view kPdfType = "application/pdf", kTextType = "text/plain";

std::unexpected<Error> unserved(const Fields& fields, std::string_view served) { return fields.unsupported("type", fmt::format("only {} are served", served)); }

// A list of text blocks, or one string.
Result<std::vector<std::string>> parse_blocks(const Fields& fields) {
  const Json* content = fields.get("content");
  if (content != nullptr && content->is_string()) return std::vector<std::string>{std::string(content->get_string())};
  STOA_TRY(blocks, fields.array("content", kMaxBlocks));
  if (blocks == nullptr || blocks->empty()) return fields.wrong("content", "a non-empty list of text blocks; it is required");
  std::vector<std::string> out;
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.path("content"), i);
    const JsonObject* object = (*blocks)[i].if_object();
    if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    const Fields block(*object, path);
    STOA_TRY(type, block.required_text("type"));
    if (type != "text") return unserved(block, "blocks of text");
    STOA_TRY(text, block.required_text("text"));
    out.push_back(std::move(text));
  }
  return out;
}

Status parse_source(const Fields& source, MessageDocument& out) {
  STOA_TRY(type, source.required_text("type"));
  if (type == "content") {
    out.kind = Kind::kBlocks;
    STOA_TRY(blocks, parse_blocks(source));
    out.blocks = std::move(blocks);
    return {};
  }
  if (type != "text" && type != "base64") return unserved(source, "'text', 'base64' and 'content'; send the document itself, this server fetches nothing and they");
  out.kind = type == "text" ? Kind::kText : Kind::kPdf;
  const std::string_view wanted = out.kind == Kind::kText ? kTextType : kPdfType;
  STOA_TRY(media_type, source.text_or("media_type", wanted));
  if (media_type != wanted) return source.wrong("media_type", fmt::format("'{}' for a source of type '{}'", wanted, type));
  STOA_TRY(data, source.required_text("data"));
  if (out.kind == Kind::kText) {
    out.text = std::move(data);
    return {};
  }
  auto bytes = infra::from_base64(data);
  if (!bytes) return source.wrong("data", "base64");
  out.pdf = std::move(*bytes);
  return {};
}

Result<data::ParsedDocument> parse_pdf_of(const MessageDocument& document, Deadline deadline) {
  auto parsed = data::parse_document(document.pdf, document.title.empty() ? "document.pdf" : document.title, kPdfType, {.reader_memory = kReaderMemory, .deadline = deadline});
  if (!parsed) return fail(std::move(parsed).error().with_param(document.path));
  return parsed;
}

Result<std::string> text_of(const MessageDocument& document, Deadline deadline) {
  if (document.kind == Kind::kText) return document.text;
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "\n\n") + text; };
  std::ranges::for_each(document.blocks, add);
  if (document.kind == Kind::kPdf) {
    STOA_TRY(parsed, parse_pdf_of(document, deadline));
    for (const data::Block& block : parsed.blocks) add(block.text);
  }
  return out;
}

// Collects the passages of one document.
struct Collector {
  DocumentPassages& out;
  const MessageDocument& document;
  std::size_t index;

  void add(std::string text, DocumentPlace place, std::vector<std::string> section = {}) {
    if (text.empty()) return;
    Passage passage;
    passage.title = document.title;
    passage.section = std::move(section);
    passage.page = place.page;
    passage.text = std::move(text);
    place.document = index;
    out.passages.push_back(std::move(passage));
    out.places.push_back(place);
  }
};

// A text cut between sentences; each passage is a literal part of it.
void add_text(const std::string& text, Collector& collector) {
  std::size_t begin = 0;
  for (const std::size_t end : data::sentence_ends(text)) {
    if (end - begin < kPassageBytes && end < text.size()) continue;
    collector.add(text.substr(begin, end - begin), {.begin = begin});
    begin = end;
  }
}

Status add_pdf(const MessageDocument& document, Deadline deadline, Collector& collector) {
  STOA_TRY(parsed, parse_pdf_of(document, deadline));
  STOA_TRY(chunks, data::chunk_document(parsed, data::approximate_tokens));
  for (data::Chunk& chunk : chunks) collector.add(std::move(chunk.text), {.page = std::max(chunk.page, 1)}, std::move(chunk.section));
  return {};
}

}  // namespace

Result<MessageDocument> parse_document_block(const Fields& block, std::string_view type) {
  MessageDocument out;
  STOA_TRY(title, block.text_or("title", ""));
  out.title = std::move(title);
  if (type == "search_result") {
    out.kind = Kind::kSearchResult;
    STOA_TRY(source, block.required_text("source"));
    out.source = std::move(source);
    STOA_TRY(blocks, parse_blocks(block));
    out.blocks = std::move(blocks);
  } else {
    STOA_TRY(context, block.text_or("context", ""));
    out.context = std::move(context);
    STOA_TRY(source, block.object("source"));
    if (source == nullptr) return block.wrong("source", "an object; it is required");
    STOA_CHECK(parse_source(Fields(*source, block.path("source")), out));
  }
  STOA_TRY(citations, block.object("citations"));
  if (citations != nullptr) {
    STOA_TRY(enabled, Fields(*citations, block.path("citations")).flag_or("enabled", false));
    out.cited = enabled;
  }
  out.path = block.path("source");
  return out;
}

Status place_documents(ChatRequest& request, const std::vector<MessageDocument>& documents, Deadline deadline) {
  for (const MessageDocument& document : std::views::reverse(documents)) {  // from the end, so that places stay true
    STOA_TRY(text, text_of(document, deadline));
    std::string whole = document.title.empty() ? "" : document.title + "\n";
    if (!document.context.empty()) whole += document.context + "\n";
    whole += text + "\n\n";
    ChatMessage& message = request.messages[document.message];
    message.content.insert(document.at, whole);
    for (ChatImage& image : message.images)
      if (image.at > document.at) image.at += whole.size();
  }
  return {};
}

Result<DocumentPassages> find_passages(const Call& call, data::Embedder* embedder, const std::vector<MessageDocument>& documents, const std::string& query) {
  DocumentPassages all;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const MessageDocument& document = documents[i];
    Collector collector{all, document, i};
    if (document.kind == Kind::kText) add_text(document.text, collector);
    if (document.kind == Kind::kPdf) STOA_CHECK(add_pdf(document, call.deadline, collector));
    for (std::size_t block = 0; block < document.blocks.size(); ++block) collector.add(document.blocks[block], {.block = block});
  }
  std::vector<std::string> texts;
  for (const Passage& passage : all.passages) texts.push_back(passage.text);
  STOA_TRY(order, rank_texts(call, embedder, query, texts, kMostPassages));
  DocumentPassages best;
  for (const std::size_t i : order) {
    best.passages.push_back(std::move(all.passages[i]));
    best.places.push_back(all.places[i]);
  }
  return best;
}

JsonObject location_json(const Citation& citation, const DocumentPassages& found, const std::vector<MessageDocument>& documents) {
  const DocumentPlace& place = found.places[citation.passage];
  const MessageDocument& document = documents[place.document];
  const bool result = document.kind == Kind::kSearchResult;
  const auto same_count = [&](const MessageDocument& other) { return (other.kind == Kind::kSearchResult) == result; };
  const auto index = std::ranges::count_if(documents.begin(), documents.begin() + static_cast<std::ptrdiff_t>(place.document), same_count);
  const Json title = document.title.empty() ? Json(nullptr) : Json(document.title);
  JsonObject out;
  if (result) {
    out["type"] = "search_result_location";
    out["search_result_index"] = index;
    out["source"] = document.source;
    out["title"] = title;
  } else {
    out["type"] = document.kind == Kind::kText ? "char_location" : document.kind == Kind::kPdf ? "page_location" : "content_block_location";
    out["document_index"] = index;
    out["document_title"] = title;
    out["file_id"] = nullptr;
  }
  if (document.kind == Kind::kText) {
    const std::string_view text = document.text;
    out["start_char_index"] = openai::code_points(text.substr(0, place.begin + citation.from));
    out["end_char_index"] = openai::code_points(text.substr(0, place.begin + citation.to));
  } else if (document.kind == Kind::kPdf) {
    out["start_page_number"] = place.page;
    out["end_page_number"] = place.page + 1;
  } else {
    out["start_block_index"] = place.block;
    out["end_block_index"] = place.block + 1;
  }
  // Blocks are cited whole.
  out["cited_text"] = document.blocks.empty() ? citation.quote : document.blocks[place.block];
  return out;
}

}  // namespace stoa::gateway::anthropic
