// What retrieval finds: a passage with the place it can be opened at.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stoa {

struct Passage {
  std::string chunk_id;              // "chunk_..."
  std::string document_id;           // "doc_..."
  std::string collection;            // "vs_...": collections are the vector stores of the OpenAI API
  std::string file_id;               // "file-..." when it came through the files API, else empty
  std::string path;                  // name of the file inside its source, for example "ch-source.html"
  std::string title;                 // of the document
  std::vector<std::string> section;  // headings from the outermost inwards
  std::string anchor;                // fragment inside an HTML document, without '#'; may be empty
  int page = 0;                      // 1-based for paginated documents, else 0
  std::string text;
  std::string context;               // `text` with what stands around it in its section, where that was asked for; may be empty
  std::string document_version;      // digest of the document's bytes
  std::string readers;               // entry of the document's access list that lets the caller read it
  double score = 0;                  // fused; higher is better; comparable inside one result only
};

}  // namespace stoa
