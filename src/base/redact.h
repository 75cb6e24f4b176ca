// The last line of defence against secrets where people read: log lines, spans, error texts. Code that handles secrets keeps them out by itself;
// this catches what a caller has put where it does not belong, such as a key in a path.
#pragma once

#include <string>
#include <string_view>

namespace stoa {

// Replaces, by "***": what follows "sk-stoa-", the token behind "Bearer " or "Basic " (from 8 characters), and JSON Web Tokens ("eyJ...", three
// parts). Letters' case does not matter for the words. Everything else stays as it is.
std::string redact_secrets(std::string text);

}  // namespace stoa
