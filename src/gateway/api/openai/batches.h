// /v1/batches: files of requests that are run when there is time for them.
#pragma once

#include "gateway/api/openai/dependencies.h"
#include "gateway/batch/batch_runner.h"

namespace stoa::gateway::openai {

inline constexpr std::string_view kBatchDialect = "openai";

// How this dialect's batches are read and finished: with a file of answers and one of errors, which belong to who made the batch. What is passed outlives it.
BatchDialect batch_dialect(FileStore& files, BatchStore& store);

Status register_batches(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::openai
