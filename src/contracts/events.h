// Facts that one layer tells those above and beside it through the event bus (infra/bus): what has happened, told once it is true.
// Each has a topic and a form as JSON. Fields may be added; a reader takes absent ones as empty, since a stored event may be older
// than the program that reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/chat.h"

namespace stoa {

// A request of a known principal has ended and what it cost is settled. Published by the gateway after the answer is out.
struct RequestFinished {
  static constexpr std::string_view kTopic = "request.finished";

  std::string request_id, trace_id;  // trace_id may be empty
  std::string principal, tenant, project;
  std::string action;                // what governance/access decided on: "document.read"
  std::string resource;              // "POST /v1/responses"
  std::string kind, model;           // of the work that was settled; empty when there was none
  int status = 0;                    // of the response; a stream that failed later keeps its 200
  std::string error;                 // stable name of the error ("permission_denied"); empty when the request succeeded
  std::string answer_id;             // "resp_..."; empty: the request gave no answer
  std::string answer;                // what is recorded of it (governance/passport); empty likewise
  std::string elevation;             // "glass_..." when it was made under break-glass access
  Usage usage;
  std::int64_t cost = 0;             // micro-units
  Micros started = 0;
  std::int64_t duration_micros = 0;

  std::string to_json() const;
  static Result<RequestFinished> parse(std::string_view json);
};

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
