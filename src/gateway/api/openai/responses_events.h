// The stream of one response: which events, in which order, numbered. Clients rely on the order:
// created, in_progress, [file_search item: added, in_progress, searching, completed, done], message item: added, content part
// added, text deltas, annotations, text done, part done, item done, then exactly one of completed, incomplete, failed. Items of function
// calls (added, argument deltas, arguments done, item done) stand behind the message, before it, or instead of it.
#pragma once

#include <functional>
#include <string_view>

#include "gateway/api/openai/responses_json.h"

namespace stoa::gateway::openai {

class ResponseEvents {
 public:
  // `write` sends one event and is false when the client has gone. `call` and `record` outlive this; the caller updates the
  // record before announcing what changed.
  using Write = std::function<bool(std::string_view type, const JsonObject& event)>;
  ResponseEvents(const ResponseCall& call, const ResponseRecord& record, Write write)
      : call_(call), record_(record), write_(std::move(write)) {}

  bool begin();
  bool search_begin();
  bool search_end();
  bool text(std::string_view delta);  // opens the message item before the first delta; record.message_after is set by then
  bool call_begin();                  // the last call of the record
  bool call_arguments(std::string_view delta);
  bool call_end();
  bool end();                         // annotations and the closing events, by record.status

 private:
  bool emit(std::string_view type, JsonObject fields);
  bool emit_response(std::string_view type);
  bool open_message();
  JsonObject part_place() const;  // item_id, output_index, content_index
  JsonObject call_place() const;  // item_id, output_index of the last call
  std::size_t message_index() const { return (record_.search ? 1 : 0) + record_.message_after.value_or(0); }
  bool end_message();

  const ResponseCall& call_;
  const ResponseRecord& record_;
  Write write_;
  std::int64_t sequence_ = 0;
  bool message_open_ = false;
};

}  // namespace stoa::gateway::openai
