// Lenient reading of a server's replies for printing: what is absent or of another type reads as empty.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace stoa::cli {

std::string text_of(const JsonObject& object, std::string_view key);
double number_of(const JsonObject& object, std::string_view key);
std::int64_t integer_of(const JsonObject& object, std::string_view key);
const JsonObject* object_of(const JsonObject& object, std::string_view key);  // null when absent
std::vector<const JsonObject*> objects_of(const JsonObject& object, std::string_view key);
std::vector<std::string> strings_of(const JsonObject& object, std::string_view key);

}  // namespace stoa::cli
