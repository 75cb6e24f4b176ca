#include "commands/follow_job.h"

#include <chrono>
#include <thread>

#include "commands/json_read.h"

namespace stoa::cli {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(200);
constexpr auto kLongest = std::chrono::hours(24);
constexpr std::int64_t kLongFile = 200;  // passages: some seconds

}  // namespace

Result<JsonObject> follow_job(ApiClient& api, const std::string& job, Progress& progress) {
  const auto deadline = Deadline::after(kLongest);
  while (!deadline.passed()) {
    STOA_TRY(state, api.get("/v1/stoa/ingest/jobs/" + job));
    const std::string status = text_of(state, "status");
    std::string line = fmt::format("{}/{} files, {} passages, {} failed", integer_of(state, "done"), integer_of(state, "total"),
                                   integer_of(state, "chunks"), integer_of(state, "failed"));
    if (const auto chunks = integer_of(state, "file_chunks"); chunks >= kLongFile) line += fmt::format("; a long file: {} of {} passages", integer_of(state, "file_embedded"), chunks);
    progress.show(line);
    if (status == "completed" || status == "cancelled") return state;
    std::this_thread::sleep_for(kPoll);
  }
  return fail(ErrorCode::kDeadlineExceeded, "job {} still runs after a day; it goes on by itself", job);
}

}  // namespace stoa::cli
