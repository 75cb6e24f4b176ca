// Structs to the wire: answers, errors, vectors, and the order of a response's events.
#include <gtest/gtest.h>

#include "base/error_table.h"
#include "gateway/api/openai/chat_json.h"
#include "gateway/api/openai/completions_json.h"
#include "gateway/api/openai/embeddings_json.h"
#include "gateway/api/openai/errors.h"
#include "gateway/api/openai/paging.h"
#include "gateway/api/openai/places.h"
#include "gateway/api/openai/responses_events.h"

namespace stoa::gateway::openai {
namespace {

const AnswerHead kHead{.id = "chatcmpl_1", .created = 7, .model = "m", .logprobs = true};

TEST(Errors, StatusesAreThoseOfTheTable) {
  for (const ErrorInfo& info : error_table()) {
    const WireError wire = to_wire(Error{info.code, "what", "next", "field", 0});
    EXPECT_EQ(wire.status, info.http_status) << info.name;
    EXPECT_EQ(wire.retryable, info.retryable) << info.name;
    const JsonObject& body = wire.body.at("error").as_object();
    EXPECT_EQ(body.at("message"), "what (next)");
    EXPECT_EQ(body.at("param"), "field");
    EXPECT_TRUE(body.at("type").is_string());
    EXPECT_TRUE(body.contains("code"));
  }
}

TEST(Errors, CodesThatClientsLookFor) {
  const auto code = [](const Error& error) { return dump_json(to_wire(error).body.at("error").as_object().at("code")); };
  EXPECT_EQ(code(unknown_model("gpt-9")), R"("model_not_found")");
  EXPECT_EQ(code(error(ErrorCode::kUnauthenticated, "x")), R"("invalid_api_key")");
  EXPECT_EQ(code(error(ErrorCode::kInvalidArgument, "x")), "null");
  const Error overflow = context_overflow(error(ErrorCode::kTooLarge, "long"), "messages");
  EXPECT_EQ(code(overflow), R"("context_length_exceeded")");
  EXPECT_EQ(to_wire(overflow).status, 400);
  EXPECT_EQ(to_wire(error(ErrorCode::kTooLarge, "body")).status, 413);
  EXPECT_EQ(to_wire(context_overflow(error(ErrorCode::kUnavailable, "x"), "messages")).status, 503);
}

TEST(ChatJson, WholeAnswer) {
  const Choice choice{.text = "hi", .logprobs = {{.token = 1, .text = "h\xff", .logprob = -0.5f, .top = {{"h", -0.5f}}}}, .finish = FinishReason::kLength};
  const UsageReport report{.usage = {.prompt_tokens = 3, .cached_tokens = 1, .completion_tokens = 5, .compute_micros = 1, .queue_micros = 2000,
                                     .first_token_micros = 10'000, .total_micros = 50'000},
                           .request_id = "req_1", .trace_id = "t", .cost_micro_usd = 4};
  const JsonObject json = chat_json(kHead, {choice, choice}, report);
  EXPECT_EQ(json.at("object"), "chat.completion");
  const JsonObject& first = json.at("choices").as_array()[1].as_object();
  EXPECT_EQ(first.at("index"), 1);
  EXPECT_EQ(first.at("finish_reason"), "length");
  EXPECT_EQ(first.at("message").as_object().at("content"), "hi");
  const JsonObject& token = first.at("logprobs").as_object().at("content").as_array()[0].as_object();
  EXPECT_EQ(token.at("token"), "h\uFFFD");
  EXPECT_EQ(dump_json(token.at("bytes")), "[104,255]");
  EXPECT_EQ(token.at("top_logprobs").as_array().size(), 1u);
  const JsonObject& usage = json.at("usage").as_object();
  EXPECT_EQ(usage.at("total_tokens"), 8);
  EXPECT_EQ(usage.at("prompt_tokens_details").as_object().at("cached_tokens"), 1);
  const JsonObject& stoa = usage.at("stoa").as_object();
  EXPECT_EQ(stoa.at("cost_micro_usd"), 4);
  EXPECT_DOUBLE_EQ(stoa.at("tokens_per_second").as_double(), 100);
  EXPECT_DOUBLE_EQ(stoa.at("time_to_first_token_ms").as_double(), 10);
  EXPECT_DOUBLE_EQ(stoa.at("queue_ms").as_double(), 2);
}

TEST(ChatJson, ToolCallsAndReasoning) {
  Choice choice{.text = "", .reasoning = "", .tool_calls = {}, .logprobs = {}, .finish = FinishReason::kToolCalls};
  const ChatDelta pieces[] = {{.text = "", .logprobs = {}, .reasoning = "hm", .tool_calls = {}},
                              {.text = "", .logprobs = {}, .reasoning = {}, .tool_calls = {{0, "c1", "f", "{\"a\""}}},
                              {.text = "", .logprobs = {}, .reasoning = {}, .tool_calls = {{0, "", "", ":1}"}, {1, "c2", "g", "{}"}}}};
  for (const ChatDelta& piece : pieces) choice.add(piece);
  const JsonObject whole = chat_json(kHead, {choice}, {}).at("choices").as_array()[0].as_object();
  EXPECT_EQ(whole.at("finish_reason"), "tool_calls");
  const JsonObject& message = whole.at("message").as_object();
  EXPECT_TRUE(message.at("content").is_null());
  EXPECT_EQ(message.at("reasoning_content"), "hm");
  EXPECT_EQ(dump_json(message.at("tool_calls")), R"([{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}])");
  const JsonObject chunk = parse_json(chat_text_chunk(kHead, 0, pieces[2], false))->as_object().at("choices").as_array()[0].as_object().at("delta").as_object();
  EXPECT_FALSE(chunk.contains("content"));
  EXPECT_EQ(dump_json(chunk.at("tool_calls")), R"([{"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}])");
}

TEST(ChatJson, Chunks) {
  const auto choice = [](const JsonObject& chunk) { return chunk.at("choices").as_array()[0].as_object(); };
  const JsonObject role = chat_role_chunk(kHead, 2, true), text = parse_json(chat_text_chunk(kHead, 2, {.text = "a", .logprobs = {}}, false))->as_object();
  EXPECT_EQ(role.at("object"), "chat.completion.chunk");
  EXPECT_TRUE(role.at("usage").is_null());
  EXPECT_FALSE(text.contains("usage"));
  EXPECT_EQ(choice(role).at("delta").as_object().at("role"), "assistant");
  EXPECT_EQ(choice(text).at("delta").as_object().at("content"), "a");
  EXPECT_EQ(choice(text).at("index"), 2);
  EXPECT_TRUE(choice(text).at("finish_reason").is_null());
  EXPECT_EQ(choice(chat_finish_chunk(kHead, 0, FinishReason::kStop, false)).at("finish_reason"), "stop");
  EXPECT_TRUE(chat_usage_chunk(kHead, {}).at("choices").as_array().empty());
}

TEST(CompletionJson, TextOffsetsGoOn) {
  const JsonObject chunk = completion_chunk(kHead, 0, {.text = "bc", .logprobs = {{.token = 1, .text = "b", .logprob = 0, .top = {}}, {.token = 2, .text = "c", .logprob = 0, .top = {}}}}, 5, nullptr);
  const JsonObject& choice = chunk.at("choices").as_array()[0].as_object();
  EXPECT_EQ(dump_json(choice.at("logprobs").as_object().at("text_offset")), "[5,6]");
}

TEST(Embeddings, Base64IsLittleEndianFloat32) {
  // 1.0f is 00 00 80 3f; the expected texts were made with Python's struct and base64 modules.
  const std::vector<float> one{1.0f}, two{1.0f, -2.5f}, three{0.1f, 0.2f, 0.3f};
  EXPECT_EQ(base64_floats(one), "AACAPw==");
  EXPECT_EQ(base64_floats(two), "AACAPwAAIMA=");
  EXPECT_EQ(base64_floats(three), "zczMPc3MTD6amZk+");
  const JsonObject list = embeddings_json("m", two, 1, false, 9);
  EXPECT_EQ(list.at("data").as_array().size(), 2u);
  EXPECT_EQ(list.at("data").as_array()[1].as_object().at("index"), 1);
  EXPECT_EQ(list.at("usage").as_object().at("total_tokens"), 9);
}

TEST(Places, NameTheFileAndThePlace) {
  Passage passage{.chunk_id = "c", .document_id = "doc_1", .collection = "vs_1", .file_id = "", .path = "a.html", .title = "T", .section = {"A", "B"},
                  .anchor = "s 1", .page = 0, .text = "", .context = "", .score = 0};
  EXPECT_EQ(wire_file_id(passage), "doc_1");
  EXPECT_EQ(file_name(passage), "a.html");
  passage.page = 3;
  passage.file_id = "file-1";
  EXPECT_EQ(wire_file_id(passage), "file-1");
  JsonObject out;
  add_place(out, passage);
  EXPECT_EQ(out.at("section"), "A > B");
  EXPECT_EQ(out.at("page"), 3);
}

TEST(Paging, ReadsAndRefuses) {
  const auto page = [](infra::NameValues query) {
    infra::HttpRequest request;
    request.query = std::move(query);
    return parse_page(request);
  };
  const auto good = page({{"limit", "5"}, {"order", "asc"}, {"after", "x"}});
  ASSERT_TRUE(good);
  EXPECT_EQ(good->limit, 5u);
  EXPECT_TRUE(good->ascending);
  EXPECT_EQ(good->after, "x");
  for (const auto& [name, value] : infra::NameValues{{"limit", "0"}, {"limit", "101"}, {"limit", "5x"}, {"order", "up"}, {"before", "x"}}) {
    const auto bad = page({{name, value}});
    ASSERT_FALSE(bad) << name << "=" << value;
    EXPECT_EQ(bad.error().param, name);
  }
}

struct EventLog {
  ResponseCall call;
  ResponseRecord record{.id = "resp_1", .message_id = "msg_1", .created = 1, .status = ResponseStatus::kInProgress, .search = {}, .text = "", .annotations = {},
                        .message_done = false, .calls = {}, .message_after = 0, .mode = "", .error = {}, .usage = {}};
  std::vector<std::string> types;
  std::vector<JsonObject> events;
  ResponseEvents stream{call, record, [this](std::string_view type, const JsonObject& event) {
                          types.emplace_back(type);
                          events.push_back(event);
                          return true;
                        }};
};

TEST(ResponseEvents, OrderOfASearchedAnswer) {
  EventLog log;
  log.record.search = SearchCall{.id = "fs_1", .query = "q", .hits = {}, .done = false};
  log.stream.begin();
  log.stream.search_begin();
  log.record.search->done = true;
  log.stream.search_end();
  for (const char* text : {"a", "", "b"}) {
    log.record.text += text;
    log.stream.text(text);
  }
  log.record.annotations.resize(1);
  log.record.message_done = true;
  log.record.status = ResponseStatus::kCompleted;
  log.stream.end();
  const std::vector<std::string> expected{
      "response.created", "response.in_progress", "response.output_item.added", "response.file_search_call.in_progress",
      "response.file_search_call.searching", "response.file_search_call.completed", "response.output_item.done", "response.output_item.added",
      "response.content_part.added", "response.output_text.delta", "response.output_text.delta", "response.output_text.annotation.added",
      "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"};
  EXPECT_EQ(log.types, expected);
  for (std::size_t i = 0; i < log.events.size(); ++i) {
    EXPECT_EQ(log.events[i].at("sequence_number"), i);
    EXPECT_EQ(log.events[i].at("type").as_string(), log.types[i]);
  }
  EXPECT_EQ(log.events[7].at("output_index"), 1);
  const JsonObject& done = log.events.back().at("response").as_object();
  EXPECT_EQ(done.at("status"), "completed");
  EXPECT_EQ(done.at("output").as_array().size(), 2u);
  EXPECT_EQ(done.at("output").as_array()[1].as_object().at("content").as_array()[0].as_object().at("text"), "ab");
}

TEST(ResponseEvents, CallsBesideText) {
  EventLog log;
  log.stream.begin();
  log.record.text = "I look.";
  log.stream.text("I look.");
  for (const char* id : {"fc_1", "fc_2"}) {
    log.record.calls.push_back({.id = id, .call = {"call", "f", "{}"}, .done = false});
    log.stream.call_begin();
    log.stream.call_arguments("{}");
    log.record.calls.back().done = true;
    log.stream.call_end();
  }
  log.record.message_done = true;
  log.record.status = ResponseStatus::kCompleted;
  log.stream.end();
  const std::vector<std::string> expected{"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
      "response.output_text.delta", "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
      "response.output_item.done", "response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.done",
      "response.output_item.done", "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"};
  EXPECT_EQ(log.types, expected);
  EXPECT_EQ(log.events[5].at("output_index"), 1);
  EXPECT_EQ(log.events[12].at("output_index"), 2);
  const JsonArray& output = log.events.back().at("response").as_object().at("output").as_array();
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(output[0].as_object().at("type"), "message");
  EXPECT_EQ(output[2].as_object().at("id"), "fc_2");
}

TEST(ResponseEvents, EndsByStatus) {
  for (const auto& [status, last] : {std::pair{ResponseStatus::kIncomplete, "response.incomplete"}, {ResponseStatus::kFailed, "response.failed"}}) {
    EventLog log;
    log.stream.begin();
    log.stream.text("a");
    log.record.status = status;
    log.record.message_done = status == ResponseStatus::kIncomplete;
    if (status == ResponseStatus::kFailed) log.record.error = error(ErrorCode::kUnavailable, "gone");
    log.stream.end();
    EXPECT_EQ(log.types.back(), last);
    const JsonObject& response = log.events.back().at("response").as_object();
    EXPECT_EQ(response.at("error").is_null(), status != ResponseStatus::kFailed);
    EXPECT_EQ(response.at("incomplete_details").is_null(), status == ResponseStatus::kFailed);
  }
}

TEST(Responses, HistoryComesBackFromWhatWasStored) {
  ResponseRecord record{.id = "resp_1", .message_id = "msg_1", .created = 1, .status = ResponseStatus::kCompleted, .search = SearchCall{.id = "fs_1", .query = "q", .hits = {}, .done = true},
                        .text = "answer", .annotations = {}, .message_done = true, .calls = {}, .message_after = 0, .mode = "", .error = {}, .usage = UsageReport{}};
  const auto turn = stored_turn(input_items_json({{"user", "question"}}), response_json({}, record));
  ASSERT_TRUE(turn) << turn.error().message;
  ASSERT_EQ(turn->size(), 2u);
  EXPECT_EQ((*turn)[0].content, "question");
  EXPECT_EQ((*turn)[1].role, "assistant");
  EXPECT_EQ((*turn)[1].content, "answer");
}

}  // namespace
}  // namespace stoa::gateway::openai
