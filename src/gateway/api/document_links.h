// Links that open a document in a browser, which has no API key: signed, expiring, for one document and one reader.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "contracts/principal.h"

namespace stoa::gateway {

// A link shows its document to whoever holds it, as long as its reader may read it: it names the key that asked, or the user who came
// without one, and whoever follows it is taken for who that is at that moment: revoking the key or leaving a group ends its links. Thread-safe.
class DocumentLinks {
 public:
  // Keys are derived from the installation's secret. `lifetime` bounds what a link that leaks is worth.
  explicit DocumentLinks(ByteSpan installation_secret, std::chrono::seconds lifetime = std::chrono::hours(1), const Clock& clock = Clock::system());

  // "/v1/stoa/documents/doc_.../content?token=...", then "#anchor", or "#page=3" for paginated documents.
  std::string path(const Principal& reader, std::string_view document, std::string_view anchor = {}, int page = 0) const;

  // The id of the key, or of the user, that the token was made for. kUnauthenticated for a token that is not ours, of another document, or expired.
  Result<std::string> open(std::string_view document, std::string_view token) const;

 private:
  std::string sign(std::string_view payload) const;

  Bytes key_;
  std::chrono::seconds lifetime_;
  const Clock& clock_;
};

}  // namespace stoa::gateway
