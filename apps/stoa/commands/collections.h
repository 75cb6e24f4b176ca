// Collections of documents (the vector stores of the OpenAI API).
#pragma once

#include <string>

#include "commands/commands.h"

namespace stoa::cli {

struct CollectionOptions {
  std::string name;           // or id
  std::string language;       // empty: as it is
  std::string embedding_model; // empty: as it is; "server": the server's
  int chunk_tokens = -1;      // -1: as it is
  int expires_after_days = 0; // 0: never
  bool background = false;    // do not wait for the job
  bool clear = false;         // of the defaults of searches
};
int collections_list(const Global& global);
int collections_show(const Global& global, const CollectionOptions& options);
int collections_create(const Global& global, const CollectionOptions& options);
int collections_reindex(const Global& global, const CollectionOptions& options);
int collections_defaults(const Global& global, const CollectionOptions& options, const SearchOptions& search);
int collections_remove(const Global& global, const CollectionOptions& options);

}  // namespace stoa::cli
