// Any bytes as YAML: an error or a tree, within the limits.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "infra/config/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto root = stoa::infra::parse_yaml({reinterpret_cast<const char*>(data), size}, "fuzz.yaml");
  if (root) static_cast<void>(root->find("models"));
  return 0;
}
