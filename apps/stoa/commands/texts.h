// Verbs about texts that the server keeps in versions: routes, limits, settings of caches; and about what these are for.
#pragma once

#include <cstdint>
#include <string>

#include "commands/commands.h"

namespace stoa::cli {

enum class TextsOf { kRoutes, kLimits, kCache };
struct TextOptions {
  std::string name, file, comment;
  std::int64_t version = 0, from = 0, to = 0, expected = -1;
  bool local = false, installation = false;  // limits: act on the data folder of this machine; on what holds for all projects
};
int texts_list(const Global& global, TextsOf which, const TextOptions& options);
int texts_show(const Global& global, TextsOf which, const TextOptions& options);
int texts_set(const Global& global, TextsOf which, const TextOptions& options);
int texts_history(const Global& global, TextsOf which, const TextOptions& options);
int texts_diff(const Global& global, TextsOf which, const TextOptions& options);
int texts_rollback(const Global& global, TextsOf which, const TextOptions& options);
int texts_remove(const Global& global, TextsOf which, const TextOptions& options);
int routes_status(const Global& global, const TextOptions& options);
int limits_usage(const Global& global);  // how the project stands with its limits

struct PurgeOptions {
  std::string key, tag, document, model;
  bool all = false;
};
int cache_stats(const Global& global);
int cache_purge(const Global& global, const PurgeOptions& options);

}  // namespace stoa::cli
