#include "wiring/protection.h"

#include <exception>

#include "base/log.h"

namespace stoa::wiring {
namespace {

constexpr auto kPause = std::chrono::seconds(1);
constexpr auto kPauseAfterError = std::chrono::seconds(30);

}  // namespace

Result<Protection> Protection::open(const infra::Config& config, const Installation& installation) {
  Protection protection;
  infra::KeyManagement& keys = *installation.master.keys;
  STOA_TRY(sealer, governance::Sealer::open(*installation.database, keys, {.content = {.responses = true, .traces = config.trace.content}}));
  protection.sealer = std::move(sealer);
  protection.admin = std::make_unique<governance::KeyAdmin>(*installation.database, keys, *protection.sealer, *installation.audit, Clock::system(), installation.secrets.get());
  return protection;
}

ProtectionWorker::ProtectionWorker(governance::KeyAdmin& admin, governance::SealedBlobs& blobs) : admin_(admin), blobs_(blobs), thread_([this] { run(); }) {}

ProtectionWorker::~ProtectionWorker() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void ProtectionWorker::run() {
  const auto stopped = [this] {
    std::lock_guard lock(mutex_);
    return stop_;
  };
  while (!stopped()) {
    Status done;
    try {
      done = admin_.run_pending(blobs_, stopped);
    } catch (const std::exception& exception) {
      done = fail(ErrorCode::kInternal, "{}", exception.what());
    }
    if (!done) log_error("the keys of projects could not be looked after", done.error());
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, done ? kPause : kPauseAfterError, [this] { return stop_; });
  }
}

}  // namespace stoa::wiring
