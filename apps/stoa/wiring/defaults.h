// The data files of share/ that the binary carries; the definition is generated while building.
#pragma once

#include <string>

#include "base/embedded.h"
#include "base/result.h"

namespace stoa::wiring {

std::span<const EmbeddedFile> default_files();  // models.yaml, prices.yaml, prompts.yaml, roles.policy, passport.html, evaluation.html

// The text of the file at `path`, or of the built-in `name` where `path` is empty.
struct DataFile {
  std::string name;  // for errors: the path, or "built-in prices.yaml"
  std::string text;
};
Result<DataFile> data_file(const std::string& path, std::string_view name);

}  // namespace stoa::wiring
