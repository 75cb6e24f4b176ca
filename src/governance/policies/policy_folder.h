// The installation's policy files: text from the program or from a folder that people keep under version control.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace stoa::governance {

struct PolicyText {
  std::string name;  // for messages and for the version: "built-in roles.policy", "office.policy"
  std::string text;
};

// All files "*.policy" of a folder, by name. Files that begin with a dot are left out.
class PolicyFolder {
 public:
  static constexpr std::size_t kMostFiles = 200;

  // An empty path is a folder without files.
  explicit PolicyFolder(std::filesystem::path path) : path_(std::move(path)) {}

  // kNotFound when there is no such folder or a file of it cannot be read, kTooLarge beyond kMostFiles or the limits of a file.
  Result<std::vector<PolicyText>> read() const;
  // Changes whenever a file is added, removed, or written: names, sizes and times. Empty when the folder cannot be read.
  std::string fingerprint() const;

 private:
  Result<std::vector<std::filesystem::path>> files() const;

  std::filesystem::path path_;
};

}  // namespace stoa::governance
