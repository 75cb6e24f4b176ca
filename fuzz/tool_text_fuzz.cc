// Any bytes as a model's answer (the first byte chooses format and reasoning): whole and byte by byte, the parser finds the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "models/tools/tool_parser.h"

namespace {

using namespace stoa::models;

// Neighbouring pieces of one kind are one.
std::vector<ToolEvent> parse(std::optional<ToolFormat> format, Reasoning reasoning, std::string_view text, std::size_t piece) {
  static const stoa::ToolDefinition tool{"f", R"({"properties":{"s":{"type":"string"},"m":{"type":["string","null"]},"n":{"type":"integer"},"x":{}}})"};
  static const auto forms = std::make_shared<const ParameterForms>(parameter_forms(std::span(&tool, 1)));
  ToolParser parser(format, reasoning, forms);
  std::vector<ToolEvent> events, joined;
  for (std::size_t at = 0; at < text.size(); at += piece) parser.push(text.substr(at, piece), events);
  parser.finish(events);
  for (ToolEvent& event : events) {
    const bool text_kind = event.kind == ToolEvent::Kind::kContent || event.kind == ToolEvent::Kind::kReasoning || event.kind == ToolEvent::Kind::kArguments;
    if (text_kind && !joined.empty() && joined.back().kind == event.kind && joined.back().call == event.call) joined.back().text += event.text;
    else joined.push_back(std::move(event));
  }
  return joined;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::optional<ToolFormat> formats[] = {ToolFormat::kHermes, ToolFormat::kLlama3, ToolFormat::kMistral,
                                               std::nullopt,        ToolFormat::kTagged,  ToolFormat::kMistral11, ToolFormat::kParameters};
  const Reasoning reasonings[] = {Reasoning::kNone, Reasoning::kPossible, Reasoning::kOpened, {Reasoning::kPossible, kBracketTags}};
  const auto format = formats[data[0] % std::size(formats)];
  const auto reasoning = reasonings[data[0] / 8 % std::size(reasonings)];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = parse(format, reasoning, text, 1 << 20);
  if (whole != parse(format, reasoning, text, 1) || whole != parse(format, reasoning, text, 3)) std::abort();
  return 0;
}
