#include <fstream>
#include <iterator>

#include "wiring/defaults.h"

namespace stoa::wiring {

Result<DataFile> data_file(const std::string& path, std::string_view name) {
  if (path.empty()) {
    for (const auto& file : default_files())
      if (file.name == name) return DataFile{fmt::format("built-in {}", name), std::string(file.bytes)};
    return fail(ErrorCode::kInternal, "the binary does not carry {}", name);
  }
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in) return fail(error(ErrorCode::kNotFound, "cannot read {}", path).with_hint("check the configuration key that names it"));
  return DataFile{path, std::move(text)};
}

}  // namespace stoa::wiring
