// The files of a folder, as an ingest job lists them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/sources/ingest.h"

namespace stoa::data {

struct WalkLimits {
  std::size_t max_files = 100'000;
  std::int64_t max_file_bytes = 64 << 20;
  int max_depth = 64;
};

struct WalkedFile {
  IngestFile file;             // path relative to the folder
  std::filesystem::path path;  // where the bytes are
};

struct WalkedFolder {
  std::vector<WalkedFile> files;   // sorted by path
  std::vector<FileError> skipped;  // could not be read, too large, of no type that is parsed, or a link out of the folder
};

// `path` is a folder or one file. Names that begin with a dot are passed over, links are followed only to files inside the
// folder. kNotFound when there is no such path; kTooLarge beyond max_files.
Result<WalkedFolder> walk_folder(const std::filesystem::path& path, const WalkLimits& limits = {});

}  // namespace stoa::data
