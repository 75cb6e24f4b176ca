// Responses: the wire's JSON <-> one request for an answer, and the record of an answer that is shown, streamed and stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "contracts/chat.h"
#include "contracts/retrieval.h"
#include "gateway/api/openai/chat_json.h"
#include "gateway/api/openai/filter_json.h"

namespace stoa::gateway::openai {

// The one tool that the server runs: search in vector stores before answering. Functions are the caller's to run.
struct FileSearchTool {
  std::vector<std::string> stores;  // "vs_..."
  int max_results = 10;
  double score_threshold = 0;
  std::optional<data::Filter> filter;
};

struct ResponseCall {
  ChatRequest request;  // model (empty: the server's own choice), sampling, max_tokens; messages hold this call's input only
  std::string instructions;
  std::string previous_response_id;
  std::optional<FileSearchTool> file_search;
  JsonArray tools;              // as the caller declared them, echoed back
  Json tool_choice = "auto";    // likewise
  Json format;                  // text.format, likewise; null: text
  bool search_allowed = true;   // tool_choice is not "none"
  bool include_results = false; // include: ["file_search_call.results"]
  bool truncate = false;        // truncation: "auto" drops the oldest turns that do not fit
  bool own_temperature = false; // the caller chose one; else grounded answers use that of their settings
  bool extractive = false;      // metadata {"stoa.answer": "extractive"}: quote the passages, do not generate
  bool store = true;
  bool background = false;      // made while nobody waits for it
  bool stream = false;
  Metadata metadata;
};

Result<ResponseCall> parse_response_call(const JsonObject& body);

// A place in the answer and the place in a document that supports it. Offsets count code points of the text.
struct Annotation {
  std::int64_t begin = 0, end = 0;
  Passage passage;
  std::string quote;
  std::string url;  // opens the document there; may be empty
  std::int64_t from = 0, to = 0;  // of the passage's text, where the quote stands; of its section's where `in_context`
  bool in_context = false;
  double support = 0;    // 0..1
  bool judged = false;   // a model decided
};

// Code points [begin, end) of an answer.
struct AnswerRange {
  std::int64_t begin = 0, end = 0;
};

struct SearchHit {
  Passage passage;
  JsonObject attributes;
};

struct SearchCall {
  std::string id;  // "fs_..."
  std::string query;
  std::string how;  // the query came about: SearchText::how
  std::vector<SearchHit> hits;
  bool done = false;
};

// A call of one of the caller's functions.
struct FunctionCall {
  std::string id;  // "fc_..."
  ToolCall call;
  bool done = false;
};

enum class ResponseStatus { kQueued, kInProgress, kCompleted, kIncomplete, kFailed, kCancelled };

// Everything that GET /v1/responses/{id} shows.
struct ResponseRecord {
  std::string id;          // "resp_..."
  std::string message_id;  // "msg_..."
  std::int64_t created = 0;
  ResponseStatus status = ResponseStatus::kInProgress;
  std::optional<SearchCall> search;
  std::string text;
  std::vector<Annotation> annotations;
  bool message_done = false;       // the message item has its text once the answer is whole
  std::vector<FunctionCall> calls;
  // Items stand in the order in which they began: the message behind so many calls. Nothing while it has not begun; an answer of calls only
  // has no message.
  std::optional<std::size_t> message_after;
  std::string mode;                // "generative", "extractive", or empty for a plain answer
  int dropped_sentences = 0;             // of an answer from documents: left out, since nothing supports them
  std::vector<AnswerRange> unsupported;  // ... or kept all the same
  bool filtered = false;           // kIncomplete: the target withheld the rest
  std::optional<Error> error;
  std::optional<UsageReport> usage;
};

std::string_view status_name(ResponseStatus status);
JsonObject response_json(const ResponseCall& call, const ResponseRecord& record);
JsonObject annotation_json(const Annotation& annotation);
JsonObject message_item_json(const ResponseRecord& record);
JsonObject call_item_json(const FunctionCall& call, ResponseStatus status);
JsonObject search_item_json(const SearchCall& search, bool include_results);
JsonObject content_part_json(const std::string& text, const std::vector<Annotation>& annotations);
// The input as items with ids, which GET /v1/responses/{id}/input_items lists.
JsonArray input_items_json(const std::vector<ChatMessage>& messages);
// What a stored response adds to the history of the next one: its input items, then its text.
Result<std::vector<ChatMessage>> stored_turn(const JsonArray& input_items, const JsonObject& response);

}  // namespace stoa::gateway::openai
