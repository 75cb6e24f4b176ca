#include "models/tools/tool_parser.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

// Events as one line: content in plain, (reasoning), name<arguments>, a '!' after a call that was cut off.
std::string show(const std::vector<ToolEvent>& events) {
  std::string out;
  for (const ToolEvent& event : events) {
    switch (event.kind) {
      case ToolEvent::Kind::kContent: out += event.text; break;
      case ToolEvent::Kind::kReasoning: out += "(" + event.text + ")"; break;
      case ToolEvent::Kind::kCall: out += fmt::format("#{}{}<", event.call, event.text); break;
      case ToolEvent::Kind::kArguments: out += event.text; break;
      case ToolEvent::Kind::kCallEnd: out += event.whole ? ">" : "!>"; break;
    }
  }
  std::string joined;  // reasoning may come in pieces
  for (std::size_t i = 0; i < out.size(); ++i)
    if (out[i] == ')' && i + 1 < out.size() && out[i + 1] == '(') ++i;
    else joined += out[i];
  return joined;
}

std::shared_ptr<const ParameterForms> forms() {
  const ToolDefinition tool{"f", R"({"type":"object","properties":{"s":{"type":"string"},"m":{"type":["string","null"]},"e":{"enum":["a","b"]},"n":{"type":"integer"},
      "b":{"type":"boolean"},"l":{"type":"array"},"u":{"$ref":"#/$defs/unit"},"x":{"type":["string","integer"]},"o":{"anyOf":[{"type":"string"},{"type":"null"}]}},
      "$defs":{"unit":{"type":"string","enum":["c","f"]}}})", true};
  return std::make_shared<const ParameterForms>(parameter_forms(std::span(&tool, 1)));
}

std::string parse(std::optional<ToolFormat> format, Reasoning reasoning, std::string_view text, std::size_t piece) {
  ToolParser parser(format, reasoning, forms());
  std::vector<ToolEvent> events;
  for (std::size_t at = 0; at < text.size(); at += piece) parser.push(text.substr(at, piece), events);
  parser.finish(events);
  return show(events);
}

TEST(ToolParser, SplitsTheSameHoweverTheTextArrives) {
  constexpr auto kHermes = ToolFormat::kHermes;
  constexpr auto kLlama3 = ToolFormat::kLlama3;
  constexpr auto kMistral = ToolFormat::kMistral;
  constexpr auto kMistral11 = ToolFormat::kMistral11;
  constexpr auto kTagged = ToolFormat::kTagged;
  constexpr auto kParameters = ToolFormat::kParameters;
  const Reasoning brackets(Reasoning::kPossible, kBracketTags), opened_brackets(Reasoning::kOpened, kBracketTags);
  struct Case {
    std::optional<ToolFormat> format;
    Reasoning reasoning;
    const char* text;
    const char* expected;
  };
  const Case cases[] = {
      {kHermes, Reasoning::kNone, "Hello <b> world", "Hello <b> world"},
      {kHermes, Reasoning::kNone, "Let me see. <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, \"}\\\"\"]}}\n</tool_call>", "Let me see. #0f<{\"a\": [1, \"}\\\"\"]}>"},
      {kHermes, Reasoning::kNone, "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"arguments\":{\"x\":1},\"name\":\"g\"}\n</tool_call>\nDone", "#0f<{}>#1g<{\"x\":1}>Done"},
      {kHermes, Reasoning::kNone, "<tool_call>\n{\"id\":7,\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}\n</tool_call>", "#0f<{\"a\":1}>"},
      {kHermes, Reasoning::kNone, "<tool_call>not json</tool_call>", "<tool_call>not json</tool_call>"},
      {kHermes, Reasoning::kNone, "<tool_call>\n{\"name\":\"f\",\"arguments\":{\"a\":", "#0f<{\"a\":!>"},
      {kHermes, Reasoning::kNone, "<tool_call>\n{\"nam", "<tool_call>\n{\"nam"},
      {kHermes, Reasoning::kNone, "a <tool_c", "a <tool_c"},
      {kHermes, Reasoning::kPossible, "<think>\nhm <tool_call>\n</think>\n\nYes<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", "(\nhm <tool_call>\n)Yes#0f<{}>"},
      {kHermes, Reasoning::kPossible, "<thinner>", "<thinner>"},
      {kHermes, Reasoning::kOpened, "so </think>Yes", "(so )Yes"},
      {kHermes, Reasoning::kOpened, "so </thin", "(so </thin)"},
      {std::nullopt, Reasoning::kPossible, "<think>a</think>b <tool_call>", "(a)b <tool_call>"},
      {kLlama3, Reasoning::kNone, "{\"name\": \"f\", \"parameters\": {\"a\": \"b\"}}", "#0f<{\"a\": \"b\"}>"},
      {kLlama3, Reasoning::kNone, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}}", "#0f<{}>#1g<{}>"},
      {kLlama3, Reasoning::kNone, "The set {1, 2} is small", "The set {1, 2} is small"},
      {kLlama3, Reasoning::kNone, "{\"answer\": 42}", "{\"answer\": 42}"},
      {kLlama3, Reasoning::kNone, "\n {1, 2}", "\n {1, 2}"},
      {kLlama3, Reasoning::kNone, "<p>{}</p>", "<p>{}</p>"},
      {kMistral, Reasoning::kNone, "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": 1}}, {\"name\": \"g\", \"arguments\": {}}]", "#0f<{\"a\": 1}>#1g<{}>"},
      {kMistral, Reasoning::kNone, "Sure. [TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}] bye", "Sure. #0f<{}> bye"},
      {kMistral, Reasoning::kNone, "[TOOL_CALLS] nothing", "[TOOL_CALLS] nothing"},
      {kMistral, Reasoning::kNone, "a [TOOL", "a [TOOL"},
      {kMistral, Reasoning::kNone, "[TOOL_CALLS]", "[TOOL_CALLS]"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]f[ARGS]{\"a\": {\"b\": \"}\"}}", "#0f<{\"a\": {\"b\": \"}\"}}>"},
      {kMistral11, Reasoning::kNone, "Sure. [TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]g-2[ARGS] {\"x\":[1]}", "Sure. #0f<{}>#1g-2<{\"x\":[1]}>"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]two words[ARGS]{}", "[TOOL_CALLS]two words[ARGS]{}"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]f[ARGS]none", "[TOOL_CALLS]f[ARGS]none"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]f[ARGS]", "[TOOL_CALLS]f[ARGS]"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]f[AR", "[TOOL_CALLS]f[AR"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]", "[TOOL_CALLS]"},
      {kMistral11, Reasoning::kNone, "[TOOL_CALLS]f[ARGS]{\"a\":", "#0f<{\"a\":!>"},
      {kMistral11, Reasoning::kPossible, "<think>hm</think>[TOOL_CALLS]f[ARGS]{}", "(hm)#0f<{}>"},
      {kTagged, Reasoning::kNone, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}, {\"name\": \"g\", \"arguments\": {}}]", "#0f<{\"a\": 1}>#1g<{}>"},
      {kTagged, Reasoning::kNone, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool_call|>", "#0f<{}>"},
      {kTagged, Reasoning::kNone, "I look. <|tool_call|>\n[{\"name\": \"f\", \"arguments\": {}}] bye", "I look. #0f<{}> bye"},
      {kTagged, Reasoning::kNone, "<|tool_call|>[{\"name\": \"f\", \"arguments\": {}}]<|/tool", "#0f<{}><|/tool"},
      {kTagged, Reasoning::kNone, "a <|tool|> b", "a <|tool|> b"},
      {std::nullopt, Reasoning::kOpened, "First, I think.\n</think>\n\nParis.", "(First, I think.\n)Paris."},
      {kMistral11, brackets, "[THINK]so [TOOL_CALLS]f[/THINK]Look: [TOOL_CALLS]f[ARGS]{}", "(so [TOOL_CALLS]f)Look: #0f<{}>"},
      {kMistral11, brackets, "[THIN] <think>no</think>", "[THIN] <think>no</think>"},
      {std::nullopt, brackets, " [THINK]a[/THINK]\n\nb [THINK]", "(a)b [THINK]"},
      {std::nullopt, opened_brackets, "so [/THINK", "(so [/THINK)"},
      {std::nullopt, opened_brackets, "so [/THINK]Paris", "(so )Paris"},
      {kParameters, Reasoning::kNone, "I look.\n<tool_call>\n<function=f>\n<parameter=s>\nOslo\n</parameter>\n</function>\n</tool_call>", "I look.\n#0f<{\"s\": \"Oslo\"}>"},
      {kParameters, Reasoning::kNone, "<tool_call>\n<function=f>\n</function>\n</tool_call>\n<tool_call><function=g></function></tool_call> Done", "#0f<{}>#1g<{}>Done"},
      {kParameters, Reasoning::kNone, "<tool_call>\n<function=f>\n<parameter=s>\n\n a \"b\" \\ </p> \tz\n\n</parameter>\n<parameter=n>\n12\n</parameter>\n</function>\n</tool_call>",
       "#0f<{\"s\": \"\\n a \\\"b\\\" \\\\ </p> \\tz\\n\", \"n\": 12}>"},
      {kParameters, Reasoning::kNone, "<tool_call><function=f><parameter=s>12</parameter><parameter=m>null</parameter><parameter=n>-3</parameter><parameter=x>7</parameter></function></tool_call>",
       "#0f<{\"s\": \"12\", \"m\": null, \"n\": -3, \"x\": 7}>"},
      {kParameters, Reasoning::kNone, "<tool_call><function=f><parameter=m>\nnul\n</parameter><parameter=o>\nnull and void\n</parameter><parameter=x>\nseven\n</parameter></function></tool_call>",
       "#0f<{\"m\": \"nul\", \"o\": \"null and void\", \"x\": \"seven\"}>"},
      {kParameters, Reasoning::kNone, "<tool_call><function=f><parameter=b>\nTrue\n</parameter><parameter=e>True</parameter><parameter=u>\nc\n</parameter><parameter=n>\nmany\n</parameter></function></tool_call>",
       "#0f<{\"b\": true, \"e\": \"True\", \"u\": \"c\", \"n\": \"many\"}>"},
      {kParameters, Reasoning::kNone, "<tool_call><function=f><parameter=l>\n[\"</parameter>\", {\"a\": \"\\\"\"}]\n</parameter></function></tool_call>", "#0f<{\"l\": [\"</parameter>\", {\"a\": \"\\\"\"}]}>"},
      {kParameters, Reasoning::kNone, "<tool_call><function=f><parameter=l>\n[\"a\n</parameter></function></tool_call>", "#0f<{\"l\": \"[\\\"a\"}>"},
      {kParameters, Reasoning::kNone, "<tool_call><function=g><parameter=k>\n[1, 2]\n</parameter>\n<parameter=k>again</parameter><parameter=z>plain text</parameter></function></tool_call>",
       "#0g<{\"k\": [1, 2], \"z\": \"plain text\"}>"},
      {kParameters, Reasoning::kNone, "<tool_call>\n{\"name\":\"f\"}</tool_call>", "<tool_call>\n{\"name\":\"f\"}</tool_call>"},
      {kParameters, Reasoning::kNone, "<tool_call>\n<function=f", "<tool_call>\n<function=f"},
      {kParameters, Reasoning::kNone, "<tool_call>\n<function=></function>", "<tool_call>\n<function=></function>"},
      {kParameters, Reasoning::kNone, "<tool_call>\n<function=f>\n<parameter=s>\nOs", "#0f<{\"s\": \"Os!>"},
      {kParameters, Reasoning::kNone, "<tool_call>\n<function=f>\nwell", "#0f<!>ell"},
      {kParameters, Reasoning::kNone, "a <tool_call", "a <tool_call"},
  };
  for (const auto& [format, reasoning, text, expected] : cases)
    for (const std::size_t piece : {1, 2, 3, 7, 1000}) EXPECT_EQ(parse(format, reasoning, text, piece), expected) << piece;
}

TEST(ToolParser, ArgumentsStreamAndContentIsNotHeldBack) {
  ToolParser parser(ToolFormat::kHermes, Reasoning::kNone);
  std::vector<ToolEvent> events;
  parser.push("Hello ", events);
  EXPECT_EQ(show(events), "Hello ");
  parser.push("<tool_call>\n{\"name\": \"f\",", events);
  EXPECT_EQ(show(events), "Hello #0f<");
  parser.push(" \"arguments\": {\"city\": \"Pa", events);
  EXPECT_EQ(show(events), "Hello #0f<{\"city\": \"Pa");
  parser.push("ris\"}}", events);
  EXPECT_EQ(show(events), "Hello #0f<{\"city\": \"Paris\"}>");
  EXPECT_EQ(parser.calls(), 1);
}

TEST(ToolParser, TextParametersStream) {
  ToolParser parser(ToolFormat::kParameters, Reasoning::kNone, forms());
  std::vector<ToolEvent> events;
  const std::pair<const char*, const char*> steps[] = {
      {"<tool_call>\n<function=f>", "#0f<"},
      {"\n<parameter=s>", "#0f<{\"s\": \""},
      {"\nThe quick", "#0f<{\"s\": \"The quick"},
      {" fox\n</par", "#0f<{\"s\": \"The quick fox"},
      {"ameter>\n<parameter=n>\n4", "#0f<{\"s\": \"The quick fox\""},
      {"2\n</parameter>", "#0f<{\"s\": \"The quick fox\", \"n\": 42"},
      {"\n</function>", "#0f<{\"s\": \"The quick fox\", \"n\": 42}>"},
  };
  for (const auto& [text, expected] : steps) {
    parser.push(text, events);
    EXPECT_EQ(show(events), expected);
  }
}

TEST(ToolParser, ACallWithoutAnEndIsBounded) {
  ToolParser parser(ToolFormat::kHermes, Reasoning::kNone);
  std::vector<ToolEvent> events;
  parser.push("<tool_call>{\"arguments\": {\"a\": \"", events);
  EXPECT_TRUE(events.empty());
  const std::string block(1000, 'x');
  std::size_t pushed = 0;
  for (; events.empty() && pushed < 10 * CallScanner::kMaxHeld; pushed += block.size()) parser.push(block, events);
  EXPECT_LE(pushed, CallScanner::kMaxHeld + block.size());
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0].kind, ToolEvent::Kind::kContent);

  ToolParser other(ToolFormat::kParameters, Reasoning::kNone, forms());
  events.clear();
  other.push("<tool_call><function=f><parameter=l>[", events);
  const auto over = [&] { return std::ranges::any_of(events, [](const ToolEvent& event) { return event.kind == ToolEvent::Kind::kCallEnd && !event.whole; }); };
  for (pushed = 0; !over() && pushed < 10 * CallScanner::kMaxHeld; pushed += block.size()) other.push(block, events);
  EXPECT_LE(pushed, CallScanner::kMaxHeld + block.size());
}

TEST(ReasoningCounter, CountsTokensAndTags) {
  struct Case {
    Reasoning kind;
    std::vector<const char*> tokens;
    int expected;
  };
  const Case cases[] = {
      {Reasoning::kNone, {"<think>", "a", "</think>", "b"}, 0},
      {Reasoning::kPossible, {"<think>", "a", " b", "</think>", "\n\n", "c"}, 4},
      {Reasoning::kPossible, {"<", "thi", "nk>", "a", "</", "think>c", "d"}, 6},
      {Reasoning::kPossible, {"\n", "<think>", "a</think>"}, 3},
      {Reasoning::kPossible, {"<thin", "ner>", "a"}, 0},
      {Reasoning::kPossible, {"Yes", "<think>", "a", "</think>"}, 0},
      {Reasoning::kOpened, {"so", " it", " is", "</think>", "Yes", "<think>"}, 4},
      {Reasoning::kOpened, {"so", " it"}, 2},
      {{Reasoning::kPossible, kBracketTags}, {"[THINK]", "a", "[/THINK]", "b"}, 3},
      {{Reasoning::kPossible, kBracketTags}, {"<think>", "a", "</think>", "b"}, 0},
  };
  for (const auto& [kind, tokens, expected] : cases) {
    ReasoningCounter counter(kind);
    int count = 0;
    for (const char* token : tokens) count += counter.push(token);
    EXPECT_EQ(count, expected) << tokens.front();
  }
}

TEST(ToolFormat, IsReadFromTheTemplate) {
  EXPECT_EQ(detect_tool_format("...<tool_call>..."), ToolFormat::kHermes);
  EXPECT_EQ(detect_tool_format("...<tool_call>\n<function=' + name + '>\n' ... '<parameter=' ..."), ToolFormat::kParameters);
  EXPECT_EQ(detect_tool_format("{{ '[TOOL_CALLS] [' }}"), ToolFormat::kMistral);
  EXPECT_EQ(detect_tool_format("{{ '[TOOL_CALLS]' + name + '[ARGS]' + arguments }}"), ToolFormat::kMistral11);
  EXPECT_EQ(detect_tool_format("respond with <|tool_call|> followed by a JSON list of tools"), ToolFormat::kTagged);            // Granite 3.2
  EXPECT_EQ(detect_tool_format("{{ '<|start_of_role|>available_tools<|end_of_role|>' }}"), ToolFormat::kTagged);               // Granite 3.1
  EXPECT_EQ(detect_tool_format("{{ '<|system|>' + message['content'] + '<|tool|>' + message['tools'] }}"), ToolFormat::kTagged);  // Phi 4
  EXPECT_EQ(detect_tool_format("{{ '<start_of_turn>' + role }}"), std::nullopt);                                                // Gemma
  EXPECT_EQ(detect_tool_format("{{'<\uff5cAssistant\uff5c><think>\\n'}}{% set content = content.split('</think>')[-1] %}"), std::nullopt);  // DeepSeek R1
  EXPECT_TRUE(wants_tools_in_message("'<|tool|>' + message['tools']"));
  EXPECT_FALSE(wants_tools_in_message("<|tool_call|>"));
  EXPECT_EQ(detect_tool_format("{{- '<|python_tag|>' }}"), ToolFormat::kLlama3);
  EXPECT_EQ(detect_tool_format("{{ messages }}"), std::nullopt);
  EXPECT_EQ(detect_reasoning("{{ messages }}", "<think>"), Reasoning::kNone);
  EXPECT_EQ(detect_reasoning("...</think>...", "<|im_start|>assistant\n"), Reasoning::kPossible);
  EXPECT_EQ(detect_reasoning("...</think>...", "<|im_start|>assistant\n<think>\n"), Reasoning::kOpened);
  EXPECT_EQ(detect_reasoning("...[/THINK]...", "a[/INST]"), Reasoning::kPossible);  // Magistral
  EXPECT_EQ(detect_reasoning("...[/THINK]...", "a[/INST][THINK]"), Reasoning::kOpened);
  EXPECT_EQ(detect_reasoning("...[/THINK]...", "a[/INST]").tags.open, "[THINK]");
}

}  // namespace
}  // namespace stoa::models
