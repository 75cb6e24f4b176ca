#include "commands/log_key.h"

#include <filesystem>
#include <fstream>

namespace stoa::cli {

Result<governance::CheckpointKey> read_log_key(const std::string& text) {
  std::error_code problem;
  if (!std::filesystem::is_regular_file(text, problem)) return governance::CheckpointKey::parse(text);
  std::ifstream in(text);
  std::string line;
  std::getline(in, line);
  return governance::CheckpointKey::parse(line);
}

}  // namespace stoa::cli
