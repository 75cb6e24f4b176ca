// Any bytes as a question set or a report of an evaluation: an error, or something that can be used. The first byte chooses the format; of BEIR, the three files are parted by 0.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "feedback/evaluation/questions.h"
#include "feedback/evaluation/report.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::feedback;
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto take = [&] {
    const std::size_t end = std::min(text.find('\0'), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
  };
  const auto use = [](const auto& set) {
    if (!set) return;
    require(!set->questions.empty());
    for (const Question& question : set->questions)
      for (const auto& [paragraph, grade] : question.relevant) require(paragraph < set->paragraphs.size() && grade > 0);
  };
  if (data[0] % 3 == 0) use(parse_squad(text));
  if (data[0] % 3 == 1) {
    const std::string_view corpus = take(), queries = take();
    use(parse_beir({corpus, queries, take()}));
  }
  if (data[0] % 3 != 2) return 0;
  if (const auto report = parse_report(text)) {
    const std::string written = stoa::dump_json(report->to_json(true));
    require(parse_report(written).has_value());
  }
  return 0;
}
