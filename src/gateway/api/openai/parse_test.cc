// Request bodies to structs: one table of what is taken, one of what is refused and which parameter is named.
#include <gtest/gtest.h>

#include "gateway/api/openai/chat_json.h"
#include "gateway/api/openai/completions_json.h"
#include "gateway/api/openai/embeddings_json.h"
#include "gateway/api/openai/rerank_json.h"
#include "gateway/api/openai/responses_json.h"
#include "gateway/api/openai/vector_stores_json.h"

namespace stoa::gateway::openai {
namespace {

template <class Parse>
auto parse(Parse parser, std::string_view body) -> decltype(parser(JsonObject())) {
  STOA_TRY(object, parse_body(body));
  return parser(object);
}

Result<SearchOrder> parse_plain_search(const JsonObject& body) { return parse_search(body); }

struct Refused {
  std::string_view body, param;
};

template <class Parse>
void check_refused(Parse parser, std::initializer_list<Refused> table) {
  for (const Refused& row : table) {
    const auto result = parse(parser, row.body);
    ASSERT_FALSE(result) << row.body;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument) << row.body;
    EXPECT_EQ(result.error().param, row.param) << row.body << ": " << result.error().message;
    EXPECT_NE(result.error().message, "") << row.body;
  }
}

TEST(ParseBody, RefusesWhatIsNoObject) {
  std::string deep;
  for (int i = 0; i < 40; ++i) deep += "{\"a\":";
  for (const std::string& body : {std::string(), std::string("[]"), std::string("{\"a\":"), std::string("{\"a\":\"\xff\"}"), deep, std::string("null")}) {
    const auto result = parse_body(body);
    ASSERT_FALSE(result) << body;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument) << body;
  }
}

TEST(ParseChat, ReadsEveryField) {
  const auto call = parse(parse_chat, R"({"model":"m","messages":[{"role":"developer","content":"be brief"},
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"assistant","content":"c"}],
    "temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"repetition_penalty":1.1,"presence_penalty":1,"frequency_penalty":-1,"seed":7,
    "logit_bias":{"12":-100},"logprobs":true,"top_logprobs":3,"max_tokens":5,"stop":["x","y"],"n":2,"stream":true,
    "stream_options":{"include_usage":true},"user":"u","metadata":{"k":"v"},"tools":[],"response_format":{"type":"text"},"unknown":1})");
  ASSERT_TRUE(call) << call.error().message;
  const ChatRequest& request = call->request;
  ASSERT_EQ(request.messages.size(), 3u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "ab");
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_k, 40);
  EXPECT_EQ(request.sampling.seed, 7u);
  EXPECT_EQ(request.sampling.logit_bias.at(12), -100);
  EXPECT_EQ(request.sampling.logprobs, 3);
  EXPECT_EQ(request.max_tokens, 5);
  EXPECT_EQ(request.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(call->choices, 2);
  EXPECT_TRUE(call->stream && call->include_usage);
  EXPECT_EQ(call->user, "u");
  EXPECT_EQ(call->metadata.at("k"), "v");
}

TEST(ParseChat, ReadsToolsAndTheirHistory) {
  const auto call = parse(parse_chat, R"({"model":"m","messages":[{"role":"user","content":"q"},
    {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"r"}],
    "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}],
    "tool_choice":{"type":"function","function":{"name":"g"}},"parallel_tool_calls":false})");
  ASSERT_TRUE(call) << call.error().message;
  const ChatRequest& request = call->request;
  EXPECT_EQ(request.messages[1].reasoning, "hm");
  ASSERT_EQ(request.messages[1].tool_calls.size(), 1u);
  EXPECT_EQ(request.messages[1].tool_calls[0].arguments, R"({"a":1})");
  EXPECT_EQ(request.messages[2].tool_call_id, "c1");
  ASSERT_EQ(request.tools.size(), 2u);
  EXPECT_TRUE(request.tools[0].strict && !request.tools[1].strict);
  EXPECT_EQ(request.tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(request.tools[0].description, "d");
  EXPECT_EQ(request.tool_choice.mode, ToolChoice::Mode::kNamed);
  EXPECT_EQ(request.tool_choice.name, "g");
  EXPECT_FALSE(request.parallel_tool_calls);
}

TEST(ParseChat, ReadsConstraints) {
  using Kind = AnswerConstraint::Kind;
  struct Case {
    std::string_view fields;
    Kind kind;
    std::string_view text, field;
  };
  const Case cases[] = {
      {R"("response_format":{"type":"json_object"})", Kind::kJsonObject, "", "response_format.type"},
      {R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"null"},"strict":true}})", Kind::kJsonSchema, R"({"type":"null"})", "response_format.json_schema.schema"},
      {R"("guided_json":"{\"type\":\"null\"}")", Kind::kJsonSchema, R"({"type":"null"})", "guided_json"},
      {R"("guided_regex":"a+")", Kind::kRegex, "a+", "guided_regex"},
      {R"("guided_choice":["a.b","c"])", Kind::kRegex, R"((?:a\.b|c))", "guided_choice"},
      {R"("guided_grammar":"root ::= [a]")", Kind::kGbnf, "root ::= [a]", "guided_grammar"},
      {R"("structured_outputs":{"json_object":true})", Kind::kJsonObject, "", "structured_outputs.json_object"},
      {R"("structured_outputs":{"json":{"type":"null"}},"response_format":{"type":"text"})", Kind::kJsonSchema, R"({"type":"null"})", "structured_outputs.json"},
  };
  for (const Case& c : cases) {
    const auto call = parse(parse_chat, fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"q"}}],{}}})", c.fields));
    ASSERT_TRUE(call) << c.fields << call.error().message;
    ASSERT_TRUE(call->request.constraint) << c.fields;
    EXPECT_EQ(call->request.constraint->kind, c.kind) << c.fields;
    EXPECT_EQ(call->request.constraint->text, c.text);
    EXPECT_EQ(call->request.constraint->field, c.field);
  }
}

TEST(ParseChat, ServiceTierIsAPriority) {
  for (const auto& [tier, priority] : {std::pair{"auto", 0}, {"default", 0}, {"flex", -1}, {"priority", 1}}) {
    const auto call = parse(parse_chat, fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"q"}}],"service_tier":"{}"}})", tier));
    ASSERT_TRUE(call) << tier;
    EXPECT_EQ(call->request.priority, priority) << tier;
  }
}

TEST(ParseChat, NewTokenLimitWins) {
  const auto call = parse(parse_chat, R"({"model":"m","messages":[{"role":"user","content":""}],"max_tokens":5,"max_completion_tokens":9,"stop":"."})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->request.max_tokens, 9);
  EXPECT_EQ(call->request.stop, std::vector<std::string>{"."});
  EXPECT_EQ(call->request.sampling.logprobs, -1);
  EXPECT_EQ(call->request.sampling.temperature, 1.0);
}

TEST(ParseChat, NamesWhatIsWrong) {
#define CHAT(more) R"({"model":"m","messages":[{"role":"user","content":"a"}],)" more "}"
  check_refused(parse_chat, {
      {R"({})", "model"},
      {R"({"model":7})", "model"},
      {R"({"model":""})", "model"},
      {R"({"model":"m"})", "messages"},
      {R"({"model":"m","messages":[]})", "messages"},
      {R"({"model":"m","messages":"hi"})", "messages"},
      {R"({"model":"m","messages":["hi"]})", "messages[0]"},
      {R"({"model":"m","messages":[{"content":"a"}]})", "messages[0].role"},
      {R"({"model":"m","messages":[{"role":"king","content":"a"}]})", "messages[0].role"},
      {R"({"model":"m","messages":[{"role":"tool","content":"a","tool_call_id":"x"}]})", "messages[0].tool_call_id"},
      {R"({"model":"m","messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"model":"m","messages":[{"role":"user","content":7}]})", "messages[0].content"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})", "messages[0].content[0].image_url.url"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "messages[0].content[0].image_url"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x","detail":"huge"}}]}]})", "messages[0].content[0].image_url.detail"},
      {R"({"model":"m","messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]})", "messages[0].content[0].type"},
      {R"({"model":"m","messages":[{"role":"user","content":"q"}],"reasoning_effort":"much"})", "reasoning_effort"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text"},
      {R"({"model":"m","messages":[{"role":"assistant","content":"a","tool_calls":[{"id":"x"}]}]})", "messages[0].tool_calls[0].function"},
      {CHAT(R"("temperature":3)"), "temperature"},
      {CHAT(R"("temperature":"hot")"), "temperature"},
      {CHAT(R"("top_p":-0.1)"), "top_p"},
      {CHAT(R"("n":129)"), "n"},
      {CHAT(R"("service_tier":"gold")"), "service_tier"},
      {CHAT(R"("n":1.5)"), "n"},
      {CHAT(R"("max_tokens":0)"), "max_tokens"},
      {CHAT(R"("max_completion_tokens":-1)"), "max_completion_tokens"},
      {CHAT(R"("stop":[1])"), "stop"},
      {CHAT(R"("stop":"")"), "stop"},
      {CHAT(R"("seed":"x")"), "seed"},
      {CHAT(R"("logit_bias":{"abc":1})"), "logit_bias"},
      {CHAT(R"("logit_bias":{"1":101})"), "logit_bias"},
      {CHAT(R"("logit_bias":{"99999999999":1})"), "logit_bias"},
      {CHAT(R"("top_logprobs":2)"), "top_logprobs"},
      {CHAT(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs"},
      {CHAT(R"("stream":"yes")"), "stream"},
      {CHAT(R"("stream_options":{"include_usage":true})"), "stream_options"},
      {R"({"model":"m","messages":[{"role":"user","content":"a","tool_calls":[]},{"role":"function","content":"a"}]})", "messages[0].tool_calls"},
      {R"({"model":"m","messages":[{"role":"function","content":"a"}]})", "messages[0].role"},
      {R"({"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":"[1]"}}]}]})", "messages[0].tool_calls[0].function.arguments"},
      {CHAT(R"("tools":[{"type":"function"}])"), "tools[0].function"},
      {CHAT(R"("tools":[{"type":"function","function":{}}])"), "tools[0].function.name"},
      {CHAT(R"("tools":[{"type":"function","function":{"name":"f","parameters":"x"}}])"), "tools[0].function.parameters"},
      {CHAT(R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"always")"), "tool_choice"},
      {CHAT(R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"g"}})"), "tool_choice"},
      {CHAT(R"("tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"custom"})"), "tool_choice.type"},
      {CHAT(R"("tool_choice":"required")"), "tool_choice"},
      {CHAT(R"("guided_choice":[])"), "guided_choice"},
      {CHAT(R"("guided_choice":["a",""])"), "guided_choice"},
      {CHAT(R"("guided_regex":7)"), "guided_regex"},
      {CHAT(R"("guided_json":7)"), "guided_json"},
      {CHAT(R"("guided_json":{},"guided_regex":"a")"), "guided_regex"},
      {CHAT(R"("guided_json":{},"structured_outputs":{"regex":"a"})"), "structured_outputs"},
      {CHAT(R"("guided_json":{},"response_format":{"type":"json_object"})"), "guided_json"},
      {CHAT(R"("functions":[{"name":"f"}])"), "functions"},
      {CHAT(R"("modalities":["text","audio"])"), "modalities"},
      {CHAT(R"("response_format":{"type":"xml"})"), "response_format.type"},
      {CHAT(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema"},
      {CHAT(R"("response_format":{"type":"json_schema","json_schema":{}})"), "response_format.json_schema.schema"},
      {CHAT(R"("metadata":{"k":1})"), "metadata"},
  });
#undef CHAT
}

TEST(ParseCompletion, ReadsAndRefuses) {
  const auto call = parse(parse_completion, R"({"model":"m","prompt":["a","b"],"n":2,"echo":true,"stop":"\n"})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->prompts, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(call->request.max_tokens, 16);
  EXPECT_TRUE(call->echo);
  EXPECT_EQ(parse(parse_completion, R"({"model":"m","prompt":"a","suffix":"b"})")->request.suffix, "b");
  EXPECT_EQ(parse(parse_completion, R"({"model":"m","prompt":"a","suffix":null})")->request.suffix, "");
  check_refused(parse_completion, {
      {R"({"model":"m"})", "prompt"},
      {R"({"model":"m","prompt":[1,2]})", "prompt"},
      {R"({"model":"m","prompt":[[1,2]]})", "prompt"},
      {R"({"model":"m","prompt":""})", "prompt"},
      {R"({"model":"m","prompt":"a","suffix":["b"]})", "suffix"},
      {R"({"model":"m","prompt":"a","best_of":3})", "best_of"},
      {R"({"model":"m","prompt":"a","echo":true,"logprobs":1})", "echo"},
      {R"({"model":"m","prompt":"a","logprobs":true})", "logprobs"},
  });
}

TEST(ParseEmbeddings, ReadsAndRefuses) {
  const auto call = parse(parse_embeddings, R"({"model":"m","input":["a","b"],"encoding_format":"base64","dimensions":384})");
  ASSERT_TRUE(call);
  EXPECT_TRUE(call->base64);
  EXPECT_EQ(call->dimensions, 384);
  std::string many = R"({"model":"m","input":[)";
  for (std::size_t i = 0; i <= kMaxEmbeddingInputs; ++i) many += i == 0 ? "\"a\"" : ",\"a\"";
  many += "]}";
  check_refused(parse_embeddings, {
      {R"({"model":"m"})", "input"},
      {R"({"model":"m","input":""})", "input"},
      {R"({"model":"m","input":[]})", "input"},
      {R"({"model":"m","input":[1,2,3]})", "input"},
      {R"({"model":"m","input":["a",2]})", "input"},
      {R"({"model":"m","input":"a","encoding_format":"hex"})", "encoding_format"},
      {many, "input"},
  });
}

TEST(ParseRerank, ReadsAndRefuses) {
  const auto call = parse(parse_rerank, R"({"model":"m","query":"q","documents":["a",{"text":"b"},""],"top_n":2,"return_documents":true,"max_tokens_per_doc":64})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->query, "q");
  EXPECT_EQ(call->documents, (std::vector<std::string>{"a", "b", ""}));
  EXPECT_EQ(call->top, 2u);
  EXPECT_TRUE(call->return_documents);
  EXPECT_EQ(call->document_tokens, 64);
  const auto plain = parse(parse_rerank, R"({"model":"m","query":"q","documents":["a","b","c"],"top_n":9})");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->top, 3u);
  EXPECT_FALSE(plain->return_documents);
  std::string many = R"({"model":"m","query":"q","documents":["a")";
  for (std::size_t i = 0; i < kMaxRerankDocuments; ++i) many += ",\"a\"";
  many += "]}";
  check_refused(parse_rerank, {
      {R"({"query":"q","documents":["a"]})", "model"},
      {R"({"model":"m","documents":["a"]})", "query"},
      {R"({"model":"m","query":"","documents":["a"]})", "query"},
      {R"({"model":"m","query":["q"],"documents":["a"]})", "query"},
      {R"({"model":"m","query":"q"})", "documents"},
      {R"({"model":"m","query":"q","documents":[]})", "documents"},
      {R"({"model":"m","query":"q","documents":"a"})", "documents"},
      {R"({"model":"m","query":"q","documents":["a",2]})", "documents[1]"},
      {R"({"model":"m","query":"q","documents":[{"title":"a"}]})", "documents[0].text"},
      {R"({"model":"m","query":"q","documents":["a"],"top_n":0})", "top_n"},
      {R"({"model":"m","query":"q","documents":["a"],"return_documents":1})", "return_documents"},
      {R"({"model":"m","query":"q","documents":["a"],"max_tokens_per_doc":0})", "max_tokens_per_doc"},
      {R"({"model":"m","query":"q","documents":["a"],"rank_fields":["a"]})", "rank_fields"},
      {many, "documents"},
  });
}

TEST(ParseResponse, ReadsEveryField) {
  const auto call = parse(parse_response_call, R"({"model":"m","instructions":"i","input":[{"role":"user","content":"q"},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]}],"id":"msg_1","status":"completed"},
    {"type":"file_search_call","id":"fs_1","queries":["q"],"status":"completed"},
    {"role":"user","content":[{"type":"input_text","text":"q2"}]}],
    "tools":[{"type":"file_search","vector_store_ids":["vs_1"],"max_num_results":3,"filters":{"type":"and","filters":[
      {"type":"eq","key":"a","value":"b"},{"type":"in","key":"n","value":[1,2]}]},"ranking_options":{"score_threshold":0.2}}],
    "include":["file_search_call.results"],"truncation":"auto","store":false,"stream":true,"max_output_tokens":20,
    "metadata":{"stoa.answer":"extractive"}})");
  ASSERT_TRUE(call) << call.error().message;
  ASSERT_EQ(call->request.messages.size(), 3u);
  EXPECT_EQ(call->request.messages[2].content, "q2");
  ASSERT_TRUE(call->file_search && call->file_search->filter);
  EXPECT_EQ(call->file_search->filter->filters[1].values.size(), 2u);
  EXPECT_EQ(call->file_search->max_results, 3);
  EXPECT_EQ(call->file_search->score_threshold, 0.2);
  EXPECT_TRUE(call->include_results && call->truncate && !call->store && call->stream && call->extractive);
}

TEST(ParseResponse, ReadsFunctionsAndTheirItems) {
  const auto call = parse(parse_response_call, R"({"model":"m","input":[{"role":"user","content":"q"},{"type":"message","role":"assistant","content":"I look."},
    {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"c1","output":"r"}],"tools":[{"type":"function","name":"f","parameters":{}}],"tool_choice":"required",
    "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"null"}}}})");
  ASSERT_TRUE(call) << call.error().message;
  ASSERT_EQ(call->request.messages.size(), 3u);  // text and calls of one turn are one message
  EXPECT_EQ(call->request.messages[1].content, "I look.");
  EXPECT_EQ(call->request.messages[1].tool_calls.size(), 2u);
  EXPECT_EQ(call->request.messages[2].role, "tool");
  EXPECT_TRUE(call->request.tools[0].strict);  // unless the caller says otherwise
  EXPECT_EQ(call->request.tool_choice.mode, ToolChoice::Mode::kRequired);
  ASSERT_TRUE(call->request.constraint);
  EXPECT_EQ(call->request.constraint->field, "text.format.schema");
}

TEST(ParseResponse, NamesWhatIsWrong) {
#define RESPONSE(more) R"({"model":"m","input":"q",)" more "}"
#define TOOL(more) RESPONSE(R"("tools":[{"type":"file_search","vector_store_ids":["vs_1"],)" more "}]")
  check_refused(parse_response_call, {
      {R"({"model":"m"})", "input"},
      {R"({"model":"m","input":""})", "input"},
      {R"({"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]})", "input[0].content[0].image_url"},
      {R"({"model":"m","input":[{"role":"user","content":[{"type":"input_image","file_id":"file_1"}]}]})", "input[0].content[0].file_id"},
      {R"({"model":"m","input":[{"role":"assistant","content":[{"type":"input_image","image_url":"https://x"}]}]})", "input[0].content[0].type"},
      {R"({"model":"m","input":"q","reasoning":{"effort":"much"}})", "reasoning.effort"},
      {R"({"model":"m","input":[{"type":"function_call_output","output":"x"}]})", "input[0].call_id"},
      {R"({"model":"m","input":[{"type":"item_reference","id":"x"}]})", "input[0].type"},
      {RESPONSE(R"("tools":[{"type":"web_search"}])"), "tools[0].type"},
      {RESPONSE(R"("tools":[{"type":"file_search"}])"), "tools[0].vector_store_ids"},
      {TOOL(R"("max_num_results":51)"), "tools[0].max_num_results"},
      {TOOL(R"("filters":{"type":"like","key":"a","value":"b"})"), "tools[0].filters.type"},
      {TOOL(R"("filters":{"type":"or","filters":[{"type":"eq","key":"a"}]})"), "tools[0].filters.filters[0].value"},
      {RESPONSE(R"("tool_choice":"required")"), "tool_choice"},
      {RESPONSE(R"("tool_choice":{"type":"function","name":"f"})"), "tool_choice"},
      {RESPONSE(R"("include":["message.output_text.logprobs"])"), "include[0]"},
      {RESPONSE(R"("previous_response_id":"../etc")"), "previous_response_id"},
      {RESPONSE(R"("truncation":"half")"), "truncation"},
      {RESPONSE(R"("background":true,"store":false)"), "background"},
      {RESPONSE(R"("conversation":"c")"), "conversation"},
      {RESPONSE(R"("text":{"format":{"type":"json_schema"}})"), "text.format.schema"},
      {RESPONSE(R"("text":{"format":{"type":"grammar"}})"), "text.format.type"},
      {TOOL(R"("max_num_results":5},{"type":"function","name":"f")"), "tools"},
      {RESPONSE(R"("tools":[{"type":"function"}])"), "tools[0].name"},
      {RESPONSE(R"("metadata":{"stoa.answer":"loud"})"), "metadata.stoa.answer"},
      {RESPONSE(R"("metadata":{"stoa.answer":"extractive"})"), "tools"},
  });
#undef TOOL
#undef RESPONSE
}

TEST(ParseVectorStores, ReadsAndRefuses) {
  const auto store = parse(parse_new_store, R"({"name":"n","file_ids":["file-1"],"expires_after":{"anchor":"last_active_at","days":7},"metadata":{"a":"b"},
    "chunking_strategy":{"type":"static","static":{"max_chunk_size_tokens":200,"chunk_overlap_tokens":50}}})");
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(store->spec.expires_after_days, 7);
  EXPECT_EQ(store->files.at(0).max_chunk_tokens, 200);
  const auto attach = parse(parse_attach, R"({"file_id":"file-1","attributes":{"year":2024,"lang":"en","draft":false}})");
  ASSERT_TRUE(attach);
  EXPECT_EQ(attach->attributes.size(), 3u);
  EXPECT_EQ(dump_json(attributes_json(attach->attributes)), R"({"draft":false,"lang":"en","year":2024})");
  const auto search = parse(parse_plain_search, R"({"query":["a","b"],"max_num_results":50,"filters":{"type":"gte","key":"year","value":2020}})");
  ASSERT_TRUE(search);
  EXPECT_EQ(search->query, "a");
  EXPECT_EQ(search->options.queries, (std::vector<std::string>{"b"}));
  EXPECT_EQ(search->options.rewrite, 0u);
  EXPECT_EQ(search->options.k, 50u);
  const auto reworded = parse(parse_plain_search, R"({"query":"a","rewrite_query":true,"ranking_options":{"ranker":"default-2024-11-15","score_threshold":0.25}})");
  ASSERT_TRUE(reworded);
  EXPECT_EQ(reworded->options.rewrite, 2u);
  EXPECT_EQ(reworded->options.min_score, 0.25);
  EXPECT_EQ(parse(parse_plain_search, R"({"query":["1","2","3","4","5","6","7"],"rewrite_query":true})")->options.rewrite, 1u) << "eight in all";
  check_refused(parse_new_store, {{R"({"expires_after":{"anchor":"created_at","days":7}})", "expires_after.anchor"},
                                  {R"({"expires_after":{"anchor":"last_active_at","days":0}})", "expires_after.days"},
                                  {R"({"file_ids":"file-1"})", "file_ids"}});
  check_refused(parse_attach, {{R"({})", "file_id"}, {R"({"file_id":"f","attributes":{"a":[]}})", "attributes"}});
  check_refused(parse_file_batch, {{R"({})", "file_ids"}, {R"({"files":[{}]})", "files[0].file_id"}, {R"({"files":[],"file_ids":[]})", "files"}});
  check_refused(parse_plain_search, {{R"({})", "query"},
                               {R"({"query":""})", "query"},
                               {R"({"query":"a","max_num_results":0})", "max_num_results"},
                               {R"({"query":"a","rewrite_query":1})", "rewrite_query"},
                               {R"({"query":["1","2","3","4","5","6","7","8","9"]})", "query"},
                               {R"({"query":"a","ranking_options":{"ranker":"best"}})", "ranking_options.ranker"},
                               {R"({"query":"a","ranking_options":{"score_threshold":2}})", "ranking_options.score_threshold"},
                               {R"({"query":"a","filters":{"type":"eq"}})", "filters.key"}});
}

TEST(ParseImages, StandWhereTheyStood) {
  const auto chat = parse_chat(*parse_body(R"({"model":"m","reasoning_effort":"xhigh","messages":[{"role":"user","content":[{"type":"text","text":"ab"},
    {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},{"type":"text","text":"c"},{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}]})"));
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(chat->request.reasoning_effort, "high");
  const ChatMessage& message = chat->request.messages[0];
  EXPECT_EQ(message.content, "abc");
  ASSERT_EQ(message.images.size(), 2u);
  EXPECT_EQ(message.images[0].at, 2u);
  EXPECT_EQ(message.images[0].data, "AAAA");
  EXPECT_EQ(message.images[0].detail, "low");
  EXPECT_EQ(message.images[1].at, 3u);
  EXPECT_EQ(message.images[1].url, "https://a.example/b.png");
  // Responses keep them for the turns that follow.
  const JsonArray items = input_items_json(chat->request.messages);
  const auto again = stored_turn(items, {});
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->size(), 1u);
  EXPECT_EQ(again->front().content, "abc");
  ASSERT_EQ(again->front().images.size(), 2u);
  EXPECT_EQ(again->front().images[0].at, 2u);
  EXPECT_EQ(again->front().images[0].data, "AAAA");
  EXPECT_EQ(again->front().images[1].url, "https://a.example/b.png");
}

}  // namespace
}  // namespace stoa::gateway::openai
