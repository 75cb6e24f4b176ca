// Any bytes as a policy file: an error, or rules whose canonical text reads back as the same text and decides the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "governance/access/policy/policy_set.h"

namespace {

using namespace stoa::governance;

// Requests that know nothing, and what the policies' own tests know.
std::vector<PolicyRequest> requests(const PolicyFile& file) {
  std::vector<PolicyRequest> out{PolicyRequest(Action::kModelUse), PolicyRequest(Action::kDocumentRead)};
  for (const auto& test : file.tests) {
    PolicyRequest request(test.action);
    for (const auto& [attribute, value] : test.fields) request.set(attribute, value);
    out.push_back(request);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr PolicyLimits kLimits{.max_bytes = 1 << 17, .max_statements = 200};
  const auto file = parse_policies({reinterpret_cast<const char*>(data), size}, "fuzz.policy", kLimits);
  if (!file) return 0;
  const std::string text = print_policies(*file);
  const auto again = parse_policies(text, "fuzz.policy", {.max_bytes = 1 << 20, .max_statements = 200});
  if (!again || print_policies(*again) != text) std::abort();
  const auto set = PolicySet::compile({*file}), twin = PolicySet::compile({*again});
  if (set.has_value() != twin.has_value()) std::abort();
  if (!set) return 0;
  if (set->run_tests().failures.size() != twin->run_tests().failures.size()) std::abort();
  for (const auto& request : requests(set->files().front())) {
    const auto one = set->decide(request), other = twin->decide(request);
    if (one.allowed != other.allowed || one.rule_name() != other.rule_name() || one.unknown != other.unknown) std::abort();
    const auto explained = set->explain(request);
    if (explained.notes.size() + explained.others != set->rules()) std::abort();
  }
  return 0;
}
