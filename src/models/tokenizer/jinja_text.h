// Python's string operations over UTF-8: characters are code points, case and white space are Unicode's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stoa::models::jinja {

std::size_t text_length(std::string_view text);
std::vector<std::string_view> characters(std::string_view text);
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
// `after_any`: a word begins after anything but a letter (str.title); otherwise after white space, "-" or an opening bracket (|title).
std::string to_title(std::string_view text, bool after_any);
bool is_space(char32_t rune);
// Takes off the characters of `set` (white space when null).
std::string_view strip(std::string_view text, const std::string* set, bool left, bool right);
std::string replace_all(std::string_view text, std::string_view from, std::string_view to, std::int64_t most);

}  // namespace stoa::models::jinja
