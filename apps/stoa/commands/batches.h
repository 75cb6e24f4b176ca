// stoa batches: the functions behind its verbs.
#pragma once

#include <string>
#include <vector>

#include "commands/commands.h"

namespace stoa::cli {

struct BatchArguments {
  std::string id, file, window, endpoint = "/v1/chat/completions";
  std::vector<std::string> metadata;  // NAME=VALUE
  int count = 20;
  bool wait = false, errors = false, always = false;
};
int batches_create(const Global& global, const BatchArguments& options);
int batches_list(const Global& global, const BatchArguments& options);
int batches_show(const Global& global, const BatchArguments& options);
int batches_results(const Global& global, const BatchArguments& options);
int batches_cancel(const Global& global, const BatchArguments& options);
int batches_window(const Global& global, const BatchArguments& options);

}  // namespace stoa::cli
