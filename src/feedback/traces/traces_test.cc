#include <gtest/gtest.h>

#include "feedback/traces/span_codec.h"
#include "feedback/traces/span_tree.h"
#include "feedback/traces/trace_store.h"
#include "governance/access/test_access.h"
#include "governance/protection/memory_protection.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::feedback {
namespace {

using governance::Action;
using governance::Permit;

class TraceTest : public testing::Test {
 protected:
  TraceTest() {
    auto opened = infra::open_memory();
    EXPECT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
    protection_ = std::make_unique<governance::MemoryProtection>(*database_);
  }
  std::unique_ptr<TraceStore> open(TraceOptions options = {}) {
    options.linger = milliseconds(1);
    auto store = TraceStore::open(*database_, *protection_->sealer, metrics_, options);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  static Principal principal(std::string project, std::string role = "admin", std::string tenant = "tenant_a") {
    return {"key_1", std::move(tenant), std::move(project), "ann", {}, std::move(role)};
  }
  // For its project, or for `all` of the tenant's.
  Permit permit(const Principal& who, bool all = false) const {
    auto traces = governance::Resource::of(who, "trace");
    if (all) traces.project.clear();
    return *access_->check(Call::of(who), Action::kTraceRead, traces);
  }
  static TraceRecord record(int number, std::string project = "proj_a") {
    TraceRecord trace;
    trace.trace_id = fmt::format("{:032x}", number);
    trace.request_id = fmt::format("req_{}", number);
    trace.answer_id = number % 2 == 0 ? fmt::format("resp_{}", number) : "";
    trace.tenant = "tenant_a";
    trace.project = std::move(project);
    trace.principal = number % 3 == 0 ? "key_3" : "key_1";
    trace.operation = "POST /v1/responses";
    trace.model = number % 2 == 0 ? "even" : "odd";
    trace.start = now_ + number * 1000;
    trace.end = trace.start + 500;
    trace.http_status = 200;
    trace.usage.prompt_tokens = number;
    trace.usage.first_token_micros = 7;
    trace.cost = 42;
    trace.currency = "USD";
    trace.spans = {{"aaaaaaaaaaaaaaaa", "", "chat even", trace.start, trace.end, {{"gen_ai.usage.input_tokens", std::int64_t{3}}}, ""}};
    trace.input = "the question";
    trace.output = "the answer";
    return trace;
  }
  static Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }
  static std::string ids(const Result<std::vector<TraceSummary>>& found) {
    if (!found) return found.error().message;
    std::string out;
    for (const auto& trace : *found) out += trace.request_id.substr(4) + " ";
    return out;
  }

  static inline const Micros now_ = Clock::system().now();
  std::unique_ptr<governance::Access> access_ = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<infra::SqlDatabase> database_;
  std::unique_ptr<governance::MemoryProtection> protection_;
  Metrics metrics_;
};

TEST_F(TraceTest, KeepsWhatItWasGiven) {
  auto store = open();
  ASSERT_TRUE(store->record(record(2)));
  ASSERT_TRUE(store->flush(soon()));
  const Principal ann = principal("proj_a");
  for (const auto& id : {fmt::format("{:032x}", 2), std::string("req_2"), std::string("resp_2")}) {
    const auto trace = store->get(permit(ann), id);
    ASSERT_TRUE(trace) << id << ": " << trace.error().message;
    EXPECT_EQ(trace->model, "even");
    EXPECT_EQ(trace->usage.prompt_tokens, 2);
    EXPECT_EQ(trace->usage.first_token_micros, 7);
    EXPECT_EQ(trace->cost, 42);
    EXPECT_EQ(trace->end - trace->start, 500);
    ASSERT_EQ(trace->spans.size(), 1u);
    EXPECT_EQ(trace->spans[0].name, "chat even");
    EXPECT_EQ(std::get<std::int64_t>(trace->spans[0].attributes.at(0).second), 3);
    EXPECT_EQ(trace->input + trace->output, "") << "content is not kept unless told so";
  }
}

TEST_F(TraceTest, KeepsContentOnlyWhenToldSoAndCutsItAtACharacter) {
  protection_ = std::make_unique<governance::MemoryProtection>(*database_, governance::SealerOptions{.content = {.traces = true}});
  auto store = open({.max_content = 6});
  auto trace = record(1);
  trace.input = "abcde\xC3\xA9z";
  ASSERT_TRUE(store->record(trace));
  ASSERT_TRUE(store->flush(soon()));
  const Principal ann = principal("proj_a");
  const auto read = store->get(permit(ann), "req_1");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->input, "abcde");
  EXPECT_EQ(read->output, "the an");
}

using TraceAttacks = TraceTest;

TEST_F(TraceAttacks, ShowsATraceOnlyInsideItsWalls) {
  auto store = open();
  store->record(record(1));
  ASSERT_TRUE(store->flush(soon()));
  struct Case {
    Principal who;
    std::string id;
    bool found;
    bool all = false;
  };
  for (const auto& test : {
           Case{principal("proj_a", "operator"), "req_1", true},
           Case{principal("proj_b", "operator"), "req_1", false},
           Case{principal("proj_b", "admin"), "req_1", false},
           Case{principal("proj_b", "admin"), "req_1", true, true},
           Case{principal("proj_a", "admin", "tenant_b"), "req_1", false, true},
           Case{principal("proj_a"), "req_9", false},
           Case{principal("proj_a"), "", false},
       }) {
    const auto read = store->get(permit(test.who, test.all), test.id);
    EXPECT_EQ(read.has_value(), test.found) << test.who.tenant << " " << test.who.project << " " << test.id;
    if (!read) {
      EXPECT_EQ(read.error().code, ErrorCode::kNotFound);
    }
  }
  const Principal other = principal("proj_b");
  EXPECT_EQ(ids(store->query(permit(other), {})), "");
}

TEST_F(TraceTest, QueriesNewestFirstInPages) {
  auto store = open();
  for (int i = 1; i <= 7; ++i) store->record(record(i));
  store->record(record(8, "proj_b"));
  ASSERT_TRUE(store->flush(soon()));
  const Principal ann = principal("proj_a");
  EXPECT_EQ(ids(store->query(permit(ann), {})), "7 6 5 4 3 2 1 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.limit = 3})), "7 6 5 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.before = fmt::format("{:032x}", 5), .limit = 3})), "4 3 2 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.model = "even"})), "6 4 2 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.principal = "key_3"})), "6 3 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.from = now_ + 2000, .until = now_ + 4000})), "3 2 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.failed_only = true})), "");
  TraceRecord lookup = record(20), failed = record(21);
  lookup.model.clear();
  failed.model.clear();
  failed.error = "not_found";
  store->record(lookup);
  store->record(failed);
  ASSERT_TRUE(store->flush(soon()));
  EXPECT_EQ(ids(store->query(permit(ann), {.failed_only = true})), "21 ");
  EXPECT_EQ(ids(store->query(permit(ann), {.work_only = true, .limit = 2})), "21 7 ");
  EXPECT_EQ(store->query(permit(ann), {.limit = 0}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->query(permit(ann), {.limit = 1001}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->query(permit(ann), {.before = fmt::format("{:032x}", 8)}).error().code, ErrorCode::kNotFound);
}

TEST_F(TraceTest, DropsAndCountsWhenTheQueueIsFull) {
  auto store = open({.queue = 2, .batch = 1});
  // The writer cannot write while this transaction holds the store's one write lock.
  const Status done = database_->transaction([&](infra::SqlTransaction&) -> Status {
    int accepted = 0;
    for (int i = 0; i < 10; ++i) accepted += store->record(record(i)) ? 1 : 0;
    EXPECT_GE(accepted, 2);
    EXPECT_LE(accepted, 3);
    EXPECT_EQ(metrics_.counter("stoa_traces_dropped_total", "").value(), 10 - accepted);
    return {};
  });
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_TRUE(store->flush(soon()));
}

TEST_F(TraceTest, WritesWhatIsQueuedBeforeItEnds) {
  { open()->record(record(4)); }
  const Principal ann = principal("proj_a");
  EXPECT_TRUE(open()->get(permit(ann), "req_4"));
}

TEST_F(TraceTest, PurgesOldOnesInBatches) {
  auto store = open({.retention_days = 0});
  for (int i = 1; i <= 5; ++i) store->record(record(i));
  ASSERT_TRUE(store->flush(soon()));
  EXPECT_EQ(store->purge(now_ + 4000, 2).value(), 2);
  EXPECT_EQ(store->purge(now_ + 4000).value(), 1);
  const Principal ann = principal("proj_a");
  EXPECT_EQ(ids(store->query(permit(ann), {})), "5 4 ");
}

TEST(SpanCodec, RoundTripsEveryKindOfValue) {
  const std::vector<SpanRecord> spans{
      {"01", "", "root", 10, 20, {{"i", std::int64_t{-5}}, {"d", 1.5}, {"b", true}, {"s", std::string("te\"xt")}}, ""},
      {"02", "01", "child", 12, 0, {}, "went wrong"},
      {"03", "01", "odd\xFF", 1, 2, {{"nan", std::numeric_limits<double>::quiet_NaN()}, {"bad", std::string("\xC3")}}, ""},
  };
  const auto back = decode_spans(encode_spans(spans));
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_EQ(back->size(), 3u);
  EXPECT_EQ((*back)[0].attributes, spans[0].attributes);
  EXPECT_EQ((*back)[1].parent_id, "01");
  EXPECT_EQ((*back)[1].end, 0);
  EXPECT_EQ((*back)[1].error, "went wrong");
  EXPECT_EQ((*back)[2].name, "odd\xEF\xBF\xBD");
  ASSERT_EQ((*back)[2].attributes.size(), 1u);
  for (const char* bad : {"", "{}", "[1]", "[{\"id\":3}]", "[{\"start\":\"x\"}]"}) {
    const auto read = decode_spans(bad);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().code, ErrorCode::kDataLoss) << bad;
  }
}

TEST(SpanTree, PlacesEverySpanOnce) {
  const auto span = [](std::string id, std::string parent, Micros start, Micros end) { return SpanRecord{id, parent, id, start, end, {}, ""}; };
  struct Case {
    std::string name;
    std::vector<SpanRecord> spans;
    std::string expected;  // id:depth@offset+duration
  };
  for (const auto& test : {
           Case{"empty", {}, ""},
           Case{"nested", {span("a", "", 100, 200), span("c", "b", 130, 140), span("b", "a", 110, 190)}, "a:0@0+100 b:1@10+80 c:2@30+10 "},
           Case{"siblings by start", {span("a", "", 100, 200), span("y", "a", 150, 160), span("x", "a", 120, 130)}, "a:0@0+100 x:1@20+10 y:1@50+10 "},
           Case{"missing parent", {span("a", "gone", 100, 120)}, "a:0@0+20 "},
           Case{"never ended", {span("a", "", 150, 0)}, "a:0@50+50 "},
           Case{"cycle", {span("a", "b", 100, 110), span("b", "a", 105, 110)}, "a:0@0+10 b:1@5+5 "},
           Case{"own parent", {span("a", "a", 100, 110)}, "a:0@0+10 "},
       }) {
    std::string got;
    for (const auto& placed : span_tree(test.spans, 100, 200)) got += fmt::format("{}:{}@{}+{} ", placed.span->id, placed.depth, placed.offset, placed.duration);
    EXPECT_EQ(got, test.expected) << test.name;
  }
}

}  // namespace
}  // namespace stoa::feedback
