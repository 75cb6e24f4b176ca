// Documents of messages: what is read and refused, which text models see, and where citations point.
#include <gtest/gtest.h>

#include <algorithm>

#include "gateway/api/anthropic/messages_json.h"

namespace stoa::gateway::anthropic {
namespace {

Result<MessageCall> parse(const std::string& blocks, std::string_view more = "") {
  STOA_TRY(object, parse_body(fmt::format(R"({{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{}]}}]{}}})", blocks, more)));
  return parse_message_call(object);
}

constexpr std::string_view kText = R"({"type":"document","title":"Keys","context":"of 2026","source":{"type":"text","media_type":"text/plain","data":"Äpfel. Keys turn."}})";
constexpr std::string_view kCited = R"({"type":"document","source":{"type":"text","media_type":"text/plain","data":"Äpfel. Keys turn."},"citations":{"enabled":true}})";
constexpr std::string_view kQuestion = R"({"type":"text","text":"What turns?"})";

std::string two(std::string_view a, std::string_view b) { return std::string(a) + "," + std::string(b); }

TEST(Documents, ModelsReadThoseThatAreNotCited) {
  auto call = parse(two(two(R"({"type":"text","text":"See: "},{"type":"image","source":{"type":"url","url":"https://x/y.png"}})", kText), kQuestion));
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_FALSE(call->cites());
  ASSERT_EQ(call->documents.size(), 1u);
  ASSERT_TRUE(place_documents(call->request, call->documents, {}));
  const ChatMessage& message = call->request.messages[0];
  EXPECT_EQ(message.content, "See: Keys\nof 2026\nÄpfel. Keys turn.\n\nWhat turns?");
  EXPECT_EQ(message.images[0].at, 5u);
  auto blocks = parse(R"({"type":"search_result","source":"s","title":"T","content":[{"type":"text","text":"One."},{"type":"text","text":"Two."}]},{"type":"text","text":"?"})");
  ASSERT_TRUE(blocks) << blocks.error().message;
  ASSERT_TRUE(place_documents(blocks->request, blocks->documents, {}));
  EXPECT_EQ(blocks->request.messages[0].content, "T\nOne.\n\nTwo.\n\n?");
}

TEST(Documents, NamesWhatIsWrong) {
  struct Row {
    std::string blocks;
    std::string_view more, param;
  };
  const auto document = [](std::string_view source) { return fmt::format(R"({{"type":"document","source":{}}})", source); };
  const Row table[] = {
      {document(R"({"type":"url","url":"https://x"})"), "", "messages[0].content[0].source.type"},
      {document(R"({"type":"file","file_id":"f"})"), "", "messages[0].content[0].source.type"},
      {document(R"({"type":"text","media_type":"text/html","data":"x"})"), "", "messages[0].content[0].source.media_type"},
      {document(R"({"type":"text","media_type":"text/plain"})"), "", "messages[0].content[0].source.data"},
      {document(R"({"type":"base64","media_type":"application/pdf","data":"%"})"), "", "messages[0].content[0].source.data"},
      {document(R"({"type":"content","content":[]})"), "", "messages[0].content[0].source.content"},
      {document(R"({"type":"content","content":[{"type":"image"}]})"), "", "messages[0].content[0].source.content[0].type"},
      {R"({"type":"search_result","title":"t","content":[{"type":"text","text":"x"}]})", "", "messages[0].content[0].source"},
      {two(kText, kCited), "", "messages[0].content[1].citations"},
      {two(kCited, kQuestion), R"(,"tools":[{"name":"f","input_schema":{}}])", "tools"},
      {two(kCited, kQuestion), R"(,"output_config":{"format":{"type":"json_schema","schema":{}}})", "output_config.format"},
  };
  for (const Row& row : table) {
    const auto call = parse(row.blocks, row.more);
    ASSERT_FALSE(call) << row.blocks;
    EXPECT_EQ(call.error().param, row.param) << call.error().message;
  }
  EXPECT_TRUE(parse(two(kCited, kQuestion), R"(,"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"none"})"));
  auto broken = parse(document(R"({"type":"base64","media_type":"application/pdf","data":"JVBERi0="})"));
  ASSERT_TRUE(broken);
  const Status placed = place_documents(broken->request, broken->documents, {});
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().param, "messages[0].content[0].source");
}

TEST(Documents, CitationsPointIntoThem) {
  const std::string blocks = two(
      kCited,
      R"({"type":"search_result","source":"https://a","title":"A","content":[{"type":"text","text":"Cats purr."},{"type":"text","text":"Doors shut. Dogs bark."}],"citations":{"enabled":true}},
         {"type":"document","title":"B","source":{"type":"content","content":[{"type":"text","text":"Birds sing."}]},"citations":{"enabled":true}})");
  const auto call = parse(two(blocks, kQuestion));
  ASSERT_TRUE(call) << call.error().message;
  ASSERT_TRUE(call->cites());
  const auto found = find_passages({}, nullptr, call->documents, "Do dogs bark?");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->passages.size(), 4u);
  EXPECT_EQ(found->passages[0].text, "Doors shut. Dogs bark.");
  const auto location = [&](std::string_view text, std::string_view quote) {
    const auto at = std::ranges::find(found->passages, text, &Passage::text);
    EXPECT_NE(at, found->passages.end()) << text;
    Citation citation{.passage = static_cast<std::size_t>(at - found->passages.begin()), .from = text.find(quote), .to = text.find(quote) + quote.size(), .quote = std::string(quote)};
    return dump_json(location_json(citation, *found, call->documents));
  };
  EXPECT_EQ(location("Äpfel. Keys turn.", "Keys turn."),
            R"({"type":"char_location","document_index":0,"document_title":null,"file_id":null,"start_char_index":7,"end_char_index":17,"cited_text":"Keys turn."})");
  EXPECT_EQ(location("Doors shut. Dogs bark.", "Dogs bark."),
            R"({"type":"search_result_location","search_result_index":0,"source":"https://a","title":"A","start_block_index":1,"end_block_index":2,"cited_text":"Doors shut. Dogs bark."})");
  EXPECT_EQ(location("Birds sing.", "Birds sing."),
            R"({"type":"content_block_location","document_index":1,"document_title":"B","file_id":null,"start_block_index":0,"end_block_index":1,"cited_text":"Birds sing."})");
}

TEST(Documents, LongTextsAreCutWithoutLoss) {
  std::string data;
  for (int i = 0; i < 100; ++i) data += fmt::format("Sentence {} speaks of oceans. ", i);
  data += "A key is rotated every 90 days.";
  const auto call = parse(two(fmt::format(R"({{"type":"document","source":{{"type":"text","media_type":"text/plain","data":"{}"}},"citations":{{"enabled":true}}}})", data), kQuestion));
  ASSERT_TRUE(call) << call.error().message;
  const auto found = find_passages({}, nullptr, call->documents, "How often is a key rotated?");
  ASSERT_TRUE(found);
  ASSERT_GT(found->passages.size(), 3u);
  EXPECT_TRUE(found->passages[0].text.ends_with("90 days."));
  for (std::size_t i = 0; i < found->passages.size(); ++i) EXPECT_EQ(data.substr(found->places[i].begin, found->passages[i].text.size()), found->passages[i].text);
}

}  // namespace
}  // namespace stoa::gateway::anthropic
