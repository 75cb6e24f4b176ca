// Facts that one layer tells those above and beside it through the event bus (infra/bus): what has happened, told once it is true.
// Each has a topic and a form as JSON. Fields may be added; a reader takes absent ones as empty, since a stored event may be older
// than the program that reads it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa {

// The text of these documents is not what it was, or they are gone. Committed with the change.
struct DocumentsChanged {
  static constexpr std::string_view kTopic = "documents.changed";

  std::vector<std::string> documents;  // "doc_..."

  std::string to_json() const;
  static Result<DocumentsChanged> parse(std::string_view json);
};

// Rows that named these blobs are gone, so that the blobs may be of no more use. Committed with the removal of the rows.
struct BlobsReleased {
  static constexpr std::string_view kTopic = "blobs.released";

  std::vector<std::string> digests;

  std::string to_json() const;
  static Result<BlobsReleased> parse(std::string_view json);
};

}  // namespace stoa
