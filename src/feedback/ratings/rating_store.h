// Ratings that people give to answers, with the question and the answer they speak of, so that they can become training data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/chat.h"
#include "governance/access/access.h"
#include "governance/protection/sealed_table.h"
#include "governance/protection/sealer.h"
#include "infra/sql/sql.h"

namespace stoa::feedback {

enum class RatingScale { kThumbs, kStars };  // -1 or +1; 1 to 5
std::string_view scale_name(RatingScale scale);  // "thumbs", "stars"
Result<RatingScale> parse_scale(std::string_view name);

struct Rating {
  std::string id;                   // "rate_...", given by the store
  std::string answer_id;            // what was rated: "resp_...", "chatcmpl-..." or another id of 1..128 printable bytes
  std::string request_id, model;    // may be empty
  RatingScale scale = RatingScale::kThumbs;
  int score = 0;
  std::string comment;              // at most 4 KiB
  std::string correction;           // the answer as it should have been; at most 64 KiB
  std::vector<ChatMessage> prompt;  // what was asked, oldest first; at least one message, at most 1 MiB in all
  std::string answer;               // what was answered; not empty, at most 256 KiB
  std::vector<std::string> citations;  // chunk or document ids, at most 64
  std::string tenant, project, principal, user;  // given by the store
  Micros time = 0;                  // of the last change, given by the store

  bool good() const { return scale == RatingScale::kThumbs ? score > 0 : score >= 4; }
  bool bad() const { return scale == RatingScale::kThumbs ? score < 0 : score <= 2; }
};

struct RatingFilter {
  std::string answer_id{}, model{}, principal{};  // empty: all
  bool good_only = false, bad_only = false, corrected_only = false;
  Micros from = 0, until = INT64_MAX;       // [from, until)
  std::string after{};                      // id of the last rating of the page before
  std::size_t limit = 100;                  // 1 to 10,000
};

// What people wrote is sealed under the key of the project. Thread-safe. A principal has one rating for an answer: rating again replaces it and keeps its id.
class RatingStore {
 public:
  static Result<std::unique_ptr<RatingStore>> open(infra::SqlDatabase& database, governance::Sealer& sealer, const Clock& clock = Clock::system());
  static governance::SealedTable sealed_table();

  // Durable when it returns; gives the rating as stored. kInvalidArgument names the field.
  Result<Rating> rate(const governance::Permit& permit, Rating rating);
  // Ratings of the permit's project, by id, which is oldest first.
  Result<std::vector<Rating>> list(const governance::Permit& permit, const RatingFilter& filter);
  struct Count {
    std::int64_t good = 0, all = 0;
  };
  // Of a project's ratings of a model's answers. For the server itself: it tells of no person.
  Result<Count> count(std::string_view project, std::string_view model, Micros from);
  // Withdraws one's own rating. kNotFound when it is not there or somebody else's.
  Status remove(const governance::Permit& permit, std::string_view id);

 private:
  RatingStore(infra::SqlDatabase& database, governance::Sealer& sealer, const Clock& clock) : database_(database), sealer_(sealer), clock_(clock) {}
  infra::SqlDatabase& database_;
  governance::Sealer& sealer_;
  const Clock& clock_;
};

}  // namespace stoa::feedback
