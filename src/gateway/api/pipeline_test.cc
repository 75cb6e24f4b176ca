#include "gateway/api/pipeline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "governance/access/test_access.h"
#include "governance/identity/authenticator.h"
#include "governance/identity/identity.h"
#include "infra/journal/write_behind.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::gateway {
namespace {

namespace fs = std::filesystem;

template <class T>
T must(Result<T> result) {
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

constexpr std::string_view kPrices = "currency: USD\nas_of: \"2026-01-01\"\nsource: test\nprices: [{model: \"*\", per_compute_second: 1000000}]\n";

infra::HttpResponse error_body(const Error& problem, std::string_view) { return infra::HttpResponse::json(problem.code == ErrorCode::kUnavailable ? 503 : 500, problem.message); }

// A server that records behind its answers, and whose store is not reached for a while.
class CrowdedPipeline : public testing::Test {
 protected:
  static infra::WriteBehindOptions small_journal() {
    infra::WriteBehindOptions options;
    options.journal.max_bytes = 64'000;
    options.journal.segment_bytes = 4'000;
    return options;
  }
  void SetUp() override {
    ASSERT_TRUE(identity_->ensure_default());
    ASSERT_TRUE(behind_->add(9, [](infra::SqlTransaction&, std::span<const ByteSpan>) -> Status { return {}; }));  // what fills the journal
    key_ = must(identity_->issue_key(Call::of(must(identity_->local_operator())), {.project = "default", .user = "", .label = "", .role = "developer", .expires = {}})).secret;
    const auto work = [this](RequestScope& scope) -> Result<std::optional<infra::HttpResponse>> {
      STOA_CHECK(scope.reserve("chat", "m", {}));
      ++worked_;
      STOA_CHECK(scope.settle({}));
      return infra::HttpResponse::json(200, "{}");
    };
    ASSERT_TRUE(pipeline_.route(router_, "POST", "/work", governance::Action::kModelUse, "work", error_body, work));
  }
  void TearDown() override { behind_->stop(); }
  infra::HttpResponse ask() {
    infra::HttpRequest request;
    request.method = "POST";
    EXPECT_TRUE(infra::set_target(request, "/work"));
    request.headers.set("authorization", "Bearer " + key_);
    infra::MemoryResponder responder;
    router_.dispatch(std::move(request), responder);
    return responder.response();
  }

  struct Folder {
    const fs::path path = fs::temp_directory_path() / fmt::format("stoa-pipeline-test-{}", ::getpid());
    ~Folder() { fs::remove_all(path); }
  } folder_;  // first: it goes when nothing uses it any more
  std::unique_ptr<infra::SqlDatabase> sql_ = must(infra::open_memory());
  std::unique_ptr<infra::WriteBehind> behind_ = must(infra::WriteBehind::open(*sql_, folder_.path, small_journal()));
  std::unique_ptr<governance::AuditLog> audit_ = must(governance::AuditLog::open(*sql_, Clock::system(), behind_.get()));
  std::unique_ptr<governance::Access> access_ = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<governance::Identity> identity_ = must(governance::Identity::open(*sql_, *audit_, *access_, Bytes(32, std::byte{7})));
  governance::PriceBook prices_ = must(governance::PriceBook::parse(kPrices, "prices"));
  std::unique_ptr<governance::Ledger> ledger_ = must(governance::Ledger::open(*sql_, prices_, Clock::system(), behind_.get()));
  Metrics metrics_;
  governance::Authenticator authenticator_{*identity_};
  Pipeline pipeline_{{.access = *access_, .authenticator = authenticator_, .audit = *audit_, .ledger = *ledger_, .metrics = metrics_, .behind = behind_.get()}};
  infra::Router router_;
  std::string key_;
  int worked_ = 0;
};

TEST_F(CrowdedPipeline, WorkThatCouldNotBeRecordedIsRefusedBeforeItIsDone) {
  EXPECT_EQ(ask().status, 200);
  const std::string filler(1'000, 'x');
  while (!behind_->crowded()) ASSERT_TRUE(behind_->append(9, filler));
  const auto refused = ask();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.get("retry-after"), "5");
  EXPECT_EQ(refused.headers.get("x-should-retry"), "true");
  EXPECT_TRUE(refused.body.contains("record")) << refused.body;
  EXPECT_EQ(worked_, 1);
  ASSERT_TRUE(behind_->catch_up());
  EXPECT_EQ(ask().status, 200);
  EXPECT_EQ(worked_, 2);
}

}  // namespace
}  // namespace stoa::gateway
