#include "feedback/traces/trace_store.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/scheduling.h"
#include "base/bounded_queue.h"
#include "base/log.h"
#include "base/utf8.h"
#include "feedback/traces/span_codec.h"

namespace stoa::feedback {
namespace {

constexpr std::size_t kMaxPage = 1000;
constexpr Micros kDay = Micros{86'400} * 1'000'000;
constexpr auto kPurgeEvery = std::chrono::hours(1);

constexpr std::array kMigrations{infra::Migration{1, R"sql(
CREATE TABLE traces (
  trace_id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL, answer_id TEXT NOT NULL,
  tenant TEXT NOT NULL, project TEXT NOT NULL, principal TEXT NOT NULL, user TEXT NOT NULL,
  operation TEXT NOT NULL, model TEXT NOT NULL,
  started INTEGER NOT NULL, ended INTEGER NOT NULL,
  http_status INTEGER NOT NULL, error TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  compute_micros INTEGER NOT NULL, queue_micros INTEGER NOT NULL, first_token_micros INTEGER NOT NULL, total_micros INTEGER NOT NULL,
  cost INTEGER NOT NULL, currency TEXT NOT NULL,
  spans TEXT NOT NULL, input TEXT NOT NULL, output TEXT NOT NULL
);
CREATE INDEX traces_by_time ON traces (project, started);
CREATE INDEX traces_by_start ON traces (started);
CREATE INDEX traces_by_request ON traces (request_id);
CREATE INDEX traces_by_answer ON traces (answer_id);
)sql"},
                                 // Spans and content go into `sealed`; those of nobody have none.
                                 infra::Migration{2, R"sql(
ALTER TABLE traces ADD COLUMN sealed BLOB;
UPDATE traces SET spans = '', input = '', output = '', sealed = X'' WHERE project = '';
)sql"}};

constexpr std::string_view kSummaryColumns =
    "trace_id, request_id, answer_id, tenant, project, principal, user, operation, model, started, ended, http_status, error, prompt_tokens, "
    "cached_tokens, completion_tokens, compute_micros, queue_micros, first_token_micros, total_micros, cost, currency";

Status read_summary(const infra::SqlRow& row, TraceSummary& out, auto&... more) {
  return row.read(out.trace_id, out.request_id, out.answer_id, out.tenant, out.project, out.principal, out.user, out.operation, out.model,
                  out.start, out.end, out.http_status, out.error, out.usage.prompt_tokens, out.usage.cached_tokens,
                  out.usage.completion_tokens, out.usage.compute_micros, out.usage.queue_micros, out.usage.first_token_micros,
                  out.usage.total_micros, out.cost, out.currency, more...);
}

infra::SqlParams row_of(const TraceRecord& trace, infra::SqlValue sealed) {
  const Usage& usage = trace.usage;
  return {trace.trace_id,         trace.request_id,    trace.answer_id,      trace.tenant,       trace.project,
          trace.principal,        trace.user,          trace.operation,      trace.model,        trace.start,
          trace.end,              std::int64_t{trace.http_status},           trace.error,        usage.prompt_tokens,
          usage.cached_tokens,    usage.completion_tokens,                   usage.compute_micros, usage.queue_micros,
          usage.first_token_micros, usage.total_micros, trace.cost,          trace.currency,     std::move(sealed)};
}

void cut(std::string& text, std::size_t limit) {
  text = to_valid_utf8(std::string_view(text).substr(0, limit + 4));  // a character at the limit is looked at whole
  if (text.size() > limit) text.resize(complete_utf8_prefix(std::string_view(text).substr(0, limit)));
}

class SqlTraceStore : public TraceStore {
 public:
  SqlTraceStore(infra::SqlDatabase& database, governance::Sealer& sealer, Metrics& metrics, TraceOptions options, const Clock& clock)
      : database_(database),
        sealer_(sealer),
        options_(options),
        clock_(clock),
        written_counter_(metrics.counter("stoa_traces_written_total", "Traces written to the store.")),
        dropped_counter_(metrics.counter("stoa_traces_dropped_total", "Traces lost because the queue was full or the store could not be written.")),
        queue_(options.queue),
        writer_([this] { run(); }) {}

  ~SqlTraceStore() override {
    queue_.close();
    writer_.join();
  }

  bool record(TraceRecord record) override {
    cut(record.input, options_.max_content);
    cut(record.output, options_.max_content);
    {
      // Counted under the lock, before the writer can have finished with it: flush() compares the two counts.
      std::lock_guard lock(mutex_);
      if (queue_.try_push(std::move(record))) {
        ++accepted_;
        return true;
      }
    }
    dropped_counter_.add();
    return false;
  }

  Status flush(Deadline deadline) override {
    std::unique_lock lock(mutex_);
    const auto target = accepted_;
    const auto ready = [&] { return finished_ >= target; };
    if (deadline.at == SteadyTime::max())
      progress_.wait(lock, ready);
    else if (!progress_.wait_until(lock, deadline.at, ready))
      return fail(ErrorCode::kDeadlineExceeded, "{} traces were not written in time", target - finished_);
    return {};
  }

  Result<TraceRecord> get(const governance::Permit& permit, std::string_view id) override {
    const std::string key(id);
    STOA_TRY(row, database_.query_one(fmt::format("SELECT {}, sealed FROM traces WHERE (trace_id = ? OR request_id = ? OR "
                                                  "(answer_id = ? AND answer_id <> '')) AND tenant = ? AND (project = ? OR ? = '') "
                                                  "ORDER BY started DESC LIMIT 1", kSummaryColumns),
                                      {key, key, key, permit.tenant(), permit.project(), permit.project()}));
    if (!row)
      return fail(error(ErrorCode::kNotFound, "there is no trace of '{}'", id)
                      .with_hint("ids of traces, requests and answers work; traces are kept for a limited time (trace.retention_days)"));
    TraceRecord trace;
    Bytes sealed;
    STOA_CHECK(read_summary(*row, trace, sealed));
    if (sealed.empty()) return trace;
    STOA_TRY(keys, sealer_.project(trace.project));
    STOA_TRY(record, governance::open_record(keys, governance::row_context("traces", trace.trace_id), sealed, 3));
    STOA_TRY(decoded, decode_spans(record.text(0)));
    trace.spans = std::move(decoded);
    trace.input = record.text(1);
    trace.output = record.text(2);
    return trace;
  }

  Result<std::vector<TraceSummary>> query(const governance::Permit& permit, const TraceQuery& query) override {
    if (query.limit < 1 || query.limit > kMaxPage)
      return fail(error(ErrorCode::kInvalidArgument, "limit must be 1 to {}", kMaxPage).with_param("limit"));
    const std::string &tenant = permit.tenant(), &project = permit.project();
    std::string where = "tenant = ? AND (project = ? OR ? = '') AND started >= ? AND started < ?";
    infra::SqlParams params{tenant, project, project, query.from, query.until};
    const auto equals = [&](std::string_view column, const std::string& value) {
      if (value.empty()) return;
      where += fmt::format(" AND {} = ?", column);
      params.emplace_back(value);
    };
    equals("principal", query.principal);
    equals("model", query.model);
    equals("operation", query.operation);
    if (query.failed_only) where += " AND error <> ''";
    if (query.work_only) where += " AND (model <> '' OR error <> '')";
    if (!query.before.empty()) {
      STOA_TRY(last, database_.query_one("SELECT started FROM traces WHERE trace_id = ? AND tenant = ? AND (project = ? OR ? = '')",
                                         {query.before, tenant, project, project}));
      if (!last) return fail(error(ErrorCode::kNotFound, "there is no trace '{}' to go on from", query.before).with_param("before"));
      STOA_TRY(started, last->get<std::int64_t>(0));
      where += " AND (started, trace_id) < (?, ?)";
      params.emplace_back(started);
      params.emplace_back(query.before);
    }
    params.emplace_back(static_cast<std::int64_t>(query.limit));
    STOA_TRY(rows, database_.query(fmt::format("SELECT {} FROM traces WHERE {} ORDER BY started DESC, trace_id DESC LIMIT ?", kSummaryColumns, where), params));
    std::vector<TraceSummary> found(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) STOA_CHECK(read_summary(rows[i], found[i]));
    return found;
  }

  Result<std::int64_t> purge(Micros before, std::size_t limit) override {
    return database_.execute("DELETE FROM traces WHERE rowid IN (SELECT rowid FROM traces WHERE started < ? ORDER BY started LIMIT ?)",
                             {before, static_cast<std::int64_t>(limit)});
  }

 private:
  void run() {
    run_in_background("traces");
    auto next_purge = Deadline{};
    if (options_.retention_days > 0) next_purge = Deadline::after(std::chrono::seconds(0));
    while (true) {
      auto first = queue_.pop(next_purge);
      if (first) write(collect(std::move(*first)));
      if (!first && queue_.closed()) return;
      if (next_purge.passed()) {
        if (const auto purged = purge(clock_.now() - options_.retention_days * kDay, kPurgeBatch); !purged) log_error("old traces were not deleted", purged.error());
        next_purge = Deadline::after(kPurgeEvery);
      }
    }
  }

  // Records that come within the linger share one commit. Nobody wakes the thread meanwhile: that takes longer than to leave a record.
  std::vector<TraceRecord> collect(TraceRecord first) {
    std::vector<TraceRecord> batch;
    batch.push_back(std::move(first));
    if (!queue_.closed()) std::this_thread::sleep_for(options_.linger);
    while (batch.size() < options_.batch) {
      auto next = queue_.try_pop();
      if (!next) break;
      batch.push_back(std::move(*next));
    }
    return batch;
  }

  void write(const std::vector<TraceRecord>& batch) {
    const std::string statement = fmt::format(
        "INSERT OR IGNORE INTO traces ({}, sealed, spans, input, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '')",
        kSummaryColumns);
    std::vector<infra::SqlParams> rows;
    for (const auto& record : batch) {
      give_way();
      rows.push_back(row_of(record, sealed_part(record)));
    }
    const Status done = database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
      for (const auto& row : rows) STOA_CHECK(transaction.execute(statement, row));
      return {};
    });
    if (done) {
      written_counter_.add(static_cast<double>(batch.size()));
    } else {
      dropped_counter_.add(static_cast<double>(batch.size()));
      log_error("traces were not written", done.error(), {{"traces", static_cast<std::int64_t>(batch.size())}});
    }
    {
      std::lock_guard lock(mutex_);
      finished_ += batch.size();
    }
    progress_.notify_all();
  }

  // Nothing where there is no key to seal it with: nobody was recognised, or the project's key is revoked or out of reach. What was paid
  // and when is kept then, without the rest.
  infra::SqlValue sealed_part(const TraceRecord& record) {
    if (record.project.empty()) return Bytes();
    const auto seal = [&]() -> Result<infra::SqlValue> {
      STOA_TRY(keys, sealer_.project(record.project));
      return governance::seal_record(keys, governance::row_context("traces", record.trace_id), {encode_spans(record.spans), keys.keep().traces ? record.input : "", keys.keep().traces ? record.output : ""});
    };
    auto sealed = seal();
    if (sealed) return *std::move(sealed);
    if (sealed.error().code != ErrorCode::kPermissionDenied) log_error("a trace was written without its spans", sealed.error());
    return Bytes();
  }

  static constexpr std::size_t kPurgeBatch = 10'000;

  infra::SqlDatabase& database_;
  governance::Sealer& sealer_;
  const TraceOptions options_;
  const Clock& clock_;
  Counter& written_counter_;
  Counter& dropped_counter_;
  BoundedQueue<TraceRecord> queue_;
  std::mutex mutex_;
  std::condition_variable progress_;
  std::uint64_t accepted_ = 0, finished_ = 0;
  std::thread writer_;  // last: it uses everything above
};

}  // namespace

governance::SealedTable TraceStore::sealed_table() {
  return {.name = "traces", .ids = {"trace_id"}, .project = "t.project", .from = "traces t", .columns = {"spans", "input", "output"}};
}

Result<std::unique_ptr<TraceStore>> TraceStore::open(infra::SqlDatabase& database, governance::Sealer& sealer, Metrics& metrics, TraceOptions options,
                                                     const Clock& clock) {
  STOA_CHECK(database.migrate("feedback.traces", kMigrations));
  STOA_CHECK(governance::seal_old_rows(database, sealer, sealed_table()));
  return std::make_unique<SqlTraceStore>(database, sealer, metrics, options, clock);
}

}  // namespace stoa::feedback
