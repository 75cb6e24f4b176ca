// What a request's head must not contain, beyond what the parser refuses: everything that two readers of the same bytes could take differently.
// Pure functions on text; the parser calls them, tests and fuzzing hold them to their promises.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "infra/http/message.h"

namespace stoa::infra {

inline constexpr std::size_t kMaxFields = 100;   // header fields of a request; beyond: 431
inline constexpr std::size_t kMaxTarget = 8192;  // bytes of a request target; beyond: 414

struct HeadProblem {
  int status = 400;
  Error error;
};

// Of a head that is still arriving: `from` is where bytes not yet looked at begin, `from` - 1 having been looked at. Refuses at once what no later
// byte can mend: a line that does not end in CR LF, a control character, a first line that is no request line, a line that continues the one before.
std::optional<HeadProblem> check_head_bytes(std::string_view bytes, std::size_t from);

// Of a head that was parsed. Methods that are not served (501), a target that is too long (414), codings of the body (415), more than one of the
// fields that may come once, a Host that is none or that contradicts an absolute target.
std::optional<HeadProblem> check_head(const HttpRequest& request);

// Of a path as it was sent. Refuses backslashes, control characters and what is not UTF-8, encoded or not, and "." and ".." as parts, also behind an
// encoded slash. (An encoded slash by itself belongs to the part that it is in: it separates nothing, since paths are taken apart before decoding.)
Status check_path(std::string_view path);

}  // namespace stoa::infra
