// Documents that messages bring: content blocks of the types document and search_result, what they say, and where in them an answer points.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "contracts/retrieval.h"
#include "data/index/embedder.h"
#include "gateway/api/fields.h"
#include "gateway/grounding/answerer.h"

namespace stoa::gateway::anthropic {

struct MessageDocument {
  enum class Kind { kText, kPdf, kBlocks, kSearchResult };
  Kind kind = Kind::kText;
  std::string title, context;        // may be empty
  std::string source;                // of a search result
  std::string text;                  // kText
  Bytes pdf;                         // kPdf
  std::vector<std::string> blocks;   // kBlocks, kSearchResult
  bool cited = false;                // the answer is to say where it stands in it
  std::size_t message = 0, at = 0;   // stands before byte `at` of the content of messages[message]
  std::string path;                  // "messages[0].content[1].source"
};

// Reads a block; `type` is "document" or "search_result". Errors name the field. Links and files that are kept elsewhere are not served.
Result<MessageDocument> parse_document_block(const Fields& block, std::string_view type);

// Puts the text of the documents where they stand in the messages, for a model that reads all of it. Errors: those of parse_document.
Status place_documents(ChatRequest& request, const std::vector<MessageDocument>& documents, Deadline deadline);

// Where a passage stands in a document.
struct DocumentPlace {
  std::size_t document = 0;  // index into the documents
  std::size_t begin = 0;     // kText: byte of its text
  std::size_t block = 0;     // kBlocks, kSearchResult
  int page = 0;              // kPdf: from 1
};

struct DocumentPassages {
  std::vector<Passage> passages;
  std::vector<DocumentPlace> places;  // of each
};

// The passages of the documents that fit `query` best, best first; `embedder` may be null. Errors: those of parse_document and of the embedder.
Result<DocumentPassages> find_passages(const Call& call, data::Embedder* embedder, const std::vector<MessageDocument>& documents, const std::string& query);

// A citation as the dialect words it: char_location, page_location, content_block_location or search_result_location. Documents and search results are
// counted apart, in the order of the request; ends are exclusive; characters are code points.
JsonObject location_json(const Citation& citation, const DocumentPassages& found, const std::vector<MessageDocument>& documents);

}  // namespace stoa::gateway::anthropic
