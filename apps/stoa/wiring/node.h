// One server process: every part, made in order and joined. Started by `stoa serve`.
#pragma once

#include <chrono>
#include <memory>

#include "base/result.h"
#include "infra/config/config.h"

namespace stoa::wiring {

class Node {
 public:
  // Opens the data folder, maps the models, takes up unfinished ingest jobs and listens. Every error names what could not be used.
  static Result<std::unique_ptr<Node>> start(const infra::Config& config);
  ~Node();

  const std::string& url() const;
  // Takes up certificates that were replaced, adapters that were added and another file of identity providers, at once. What cannot be used is logged, and what was in use stays.
  void reload();
  // Stops taking requests, lets running ones end within `drain`, then stops all parts.
  void stop(std::chrono::milliseconds drain);

 private:
  struct Parts;
  explicit Node(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace stoa::wiring
