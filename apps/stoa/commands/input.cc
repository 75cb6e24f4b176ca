#include "commands/input.h"

#include <fstream>
#include <iostream>

namespace stoa::cli {

Result<std::string> read_text(const std::string& file) {
  constexpr std::size_t kMost = 16u << 20;
  std::ifstream opened;
  if (file != "-") opened.open(file, std::ios::binary);
  std::istream& from = file == "-" ? std::cin : opened;
  std::string text(kMost + 1, '\0');
  from.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file != "-" && (!opened.is_open() || opened.bad())) return fail(ErrorCode::kNotFound, "cannot read {}", file);
  text.resize(static_cast<std::size_t>(from.gcount()));
  if (text.size() > kMost) return fail(ErrorCode::kTooLarge, "{} is larger than {} MiB", file == "-" ? "standard input" : file, kMost >> 20);
  return text;
}

Status write_text(const std::string& file, std::string_view text) {
  if (file.empty()) return {};
  if (file == "-") {
    std::cout << text;
    return {};
  }
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text << std::flush;
  if (!out) return fail(ErrorCode::kUnavailable, "{}: cannot be written", file);
  return {};
}

}  // namespace stoa::cli
