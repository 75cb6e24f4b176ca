// The event bus inside one process, its stream and cursors in the SQL store. On an in-memory store it is the twin for tests.
#pragma once

#include <cstdint>
#include <memory>

#include "base/time.h"
#include "infra/bus/bus.h"
#include "infra/sql/sql.h"

namespace stoa::infra {

struct LocalBusOptions {
  std::int64_t max_backlog = 100'000;  // events the slowest subscriber may be behind before publish is refused
  std::size_t batch = 64;              // events read, and at most delivered again after a crash, at a time
  milliseconds poll{1'000};            // looks for events of other processes this often; own events are delivered at once. A quiet
                                       // subscriber stores its place then, so that events of topics it skipped can be deleted
};

// `database` and `clock` outlive the bus.
Result<std::unique_ptr<EventBus>> open_local_bus(SqlDatabase& database, const LocalBusOptions& options = {}, const Clock& clock = Clock::system());

}  // namespace stoa::infra
