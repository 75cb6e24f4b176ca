// Where the dialects hand batches in.
#pragma once

#include <cstdint>
#include <functional>

#include "gateway/batch/batch_runner.h"
#include "gateway/batch/batch_store.h"

namespace stoa::gateway {

struct BatchDesk {
  BatchStore& store;
  BatchRunner& runner;
  std::int64_t max_bytes = 200 << 20;  // of the input of one batch
  // kPermissionDenied for those who cannot be found again later: jobs, nodes, break-glass access, the local operator.
  std::function<Status(const Principal&)> may_make;
};

}  // namespace stoa::gateway
