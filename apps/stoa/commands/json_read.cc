#include "commands/json_read.h"

namespace stoa::cli {

std::string text_of(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

double number_of(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::int64_t integer_of(const JsonObject& object, std::string_view key) { return static_cast<std::int64_t>(number_of(object, key)); }

const JsonObject* object_of(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr ? value->if_object() : nullptr;
}

std::vector<const JsonObject*> objects_of(const JsonObject& object, std::string_view key) {
  std::vector<const JsonObject*> items;
  if (const Json* value = find(object, key); value != nullptr && value->is_array())
    for (const auto& item : value->get_array())
      if (item.is_object()) items.push_back(&item.get_object());
  return items;
}

std::vector<std::string> strings_of(const JsonObject& object, std::string_view key) {
  std::vector<std::string> items;
  if (const Json* value = find(object, key); value != nullptr && value->is_array())
    for (const auto& item : value->get_array())
      if (item.is_string()) items.emplace_back(item.get_string());
  return items;
}

}  // namespace stoa::cli
