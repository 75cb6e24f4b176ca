// Ratings as training data: the place where the loop from use back to data closes.
#pragma once

#include <string>

#include "base/result.h"
#include "contracts/call.h"
#include "data/lake/lake.h"
#include "feedback/ratings/rating_store.h"

namespace stoa::feedback {

// Makes a version of dataset `name` of the ratings of the caller's project that `filter` selects (its `after` and `limit` do not
// apply: all are taken, oldest first). The same ratings give the same version. One row a rating:
//   {"messages": [{"role", "content"}...], "answer", "rating": {"scale", "score", "good", "comment"}, "citations": [...],
//    "chosen", "rejected",     where the rating carries a correction: the correction, and the answer as it was
//    "answer_id", "request_id", "model", "time": RFC 3339}
// kNotFound when no rating is selected. The permit is for kDatasetWrite, of the call's principal.
Result<data::DatasetVersion> dataset_from_ratings(const governance::Permit& permit, const Call& call, RatingStore& ratings, data::Lake& lake,
                                                  const std::string& name, RatingFilter filter = {});

}  // namespace stoa::feedback
