// Stored responses, for GET, for input items, and for the history that previous_response_id brings back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/chat.h"
#include "contracts/principal.h"
#include "governance/protection/sealed_table.h"
#include "governance/protection/sealer.h"
#include "infra/sql/sql.h"

namespace stoa::gateway::openai {

struct StoredResponse {
  std::string id;        // "resp_..."
  std::string previous;  // empty: the first of its conversation
  JsonObject response;   // as it was shown
  JsonArray input;       // items of this call
};

// Answers may quote what others may not read, so a response is seen by the principal who asked for it, and by no one else.
// Sealed under the key of the project. Thread-safe. Kept for kRetention; longer ones are removed as new ones come.
class ResponseStore {
 public:
  static constexpr Micros kRetention = Micros{30} * 24 * 3600 * 1'000'000;
  static constexpr int kMaxTurns = 64;  // of a history

  ResponseStore(infra::SqlDatabase& sql, governance::Sealer& sealer, const Clock& clock = Clock::system()) : sql_(sql), sealer_(sealer), clock_(clock) {}
  Status open();  // brings the tables up to date
  static governance::SealedTable sealed_table();

  // Nothing is kept where the project keeps no responses.
  Status put(const Principal& principal, const StoredResponse& response);
  // In place of the one of its id, unless that was deleted meanwhile.
  Status replace(const Principal& principal, const StoredResponse& response);
  Result<StoredResponse> find(const Principal& principal, std::string_view id);
  Status remove(const Principal& principal, std::string_view id);
  // The turns up to and with `id`, oldest first. kNotFound when one of them is gone, kTooLarge beyond kMaxTurns.
  Result<std::vector<ChatMessage>> history(const Principal& principal, std::string_view id);

 private:
  infra::SqlDatabase& sql_;
  governance::Sealer& sealer_;
  const Clock& clock_;
};

}  // namespace stoa::gateway::openai
