// Methods of strings and mappings, global functions, and what indexing needs.
#include "models/tokenizer/jinja_builtins.h"

#include <algorithm>
#include <ctime>
#include <limits>

#include "models/tokenizer/jinja_text.h"

namespace stoa::models::jinja {
namespace {

std::unexpected<Error> wrong(std::string_view what) { return fail(ErrorCode::kInvalidArgument, "{}", what); }

Result<std::string> text_argument(const Arguments& arguments, std::size_t place, std::string_view name) {
  const Value* value = arguments.get(place, name);
  if (value == nullptr || value->string() == nullptr) return wrong(fmt::format("argument '{}' must be a string", name));
  return *value->string();
}
std::int64_t integer_argument(const Arguments& arguments, std::size_t place, std::string_view name, std::int64_t fallback) {
  const Value* value = arguments.get(place, name);
  return value == nullptr || value->is_none() ? fallback : value->as_integer();
}

std::size_t replaced_bytes(std::string_view text, std::string_view from, std::string_view to) {
  std::size_t count = from.empty() ? text.size() + 1 : 0;
  for (std::size_t at = from.empty() ? std::string_view::npos : text.find(from); at != std::string_view::npos; at = text.find(from, at + from.size())) ++count;
  return text.size() + count * to.size();
}

Result<Value> split(Context& context, const std::string& text, const Arguments& arguments, bool from_right) {
  const Value* separator = arguments.get(0, "sep");
  std::int64_t most = integer_argument(arguments, 1, "maxsplit", -1);
  List out;
  const auto add = [&](std::string_view part) { out.emplace_back(std::string(part)); };
  std::string_view rest = text;
  STOA_CHECK(context.spend(text.size() * (1 + sizeof(Value)) / 2, text.size()));
  if (separator == nullptr || separator->is_none()) {
    if (from_right) return fail(ErrorCode::kUnsupported, "rsplit without a separator is not supported");
    for (rest = strip(rest, nullptr, true, false); !rest.empty(); rest = strip(rest, nullptr, true, false)) {
      std::size_t size = 0;
      if (most-- == 0) size = rest.size();
      for (const auto character : characters(size == 0 ? rest : std::string_view())) {
        if (!strip(character, nullptr, true, false).empty()) size += character.size();
        else break;
      }
      add(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    return context.list(std::move(out));
  }
  const auto* by = separator->string();
  if (by == nullptr || by->empty()) return wrong("split needs a separator that is not empty");
  while (most-- != 0) {
    const std::size_t found = from_right ? rest.rfind(*by) : rest.find(*by);
    if (found == std::string_view::npos) break;
    add(from_right ? rest.substr(found + by->size()) : rest.substr(0, found));
    rest = from_right ? rest.substr(0, found) : rest.substr(found + by->size());
  }
  add(rest);
  if (from_right) std::ranges::reverse(out);
  return context.list(std::move(out));
}

Result<Value> affix(const std::string& text, const Arguments& arguments, bool starts) {
  const Value* what = arguments.get(0, "prefix");
  const auto matches = [&](const Value& value) {
    const auto* part = value.string();
    return part != nullptr && (starts ? text.starts_with(*part) : text.ends_with(*part));
  };
  if (what != nullptr && what->list() != nullptr) return std::ranges::any_of(*what->list(), matches);
  if (what == nullptr || what->string() == nullptr) return wrong("startswith and endswith need a string or a tuple of strings");
  return matches(*what);
}

Result<Value> string_method(Context& context, const std::string& text, std::string_view name, const Arguments& arguments) {
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Value* set = arguments.get(0, "chars");
    return context.text(std::string(strip(text, set == nullptr ? nullptr : set->string(), name != "rstrip", name != "lstrip")));
  }
  if (name == "startswith" || name == "endswith") return affix(text, arguments, name == "startswith");
  if (name == "split" || name == "rsplit") return split(context, text, arguments, name == "rsplit");
  if (name == "upper") return context.text(to_upper(text));
  if (name == "lower") return context.text(to_lower(text));
  if (name == "title") return context.text(to_title(text, true));
  if (name == "capitalize") return context.text(capitalize(text));
  if (name == "replace") {
    STOA_TRY(from, text_argument(arguments, 0, "old"));
    STOA_TRY(to, text_argument(arguments, 1, "new"));
    const std::size_t places = from.empty() ? text.size() + 1 : text.size() / from.size() + 1;
    std::size_t largest = 0;
    if (__builtin_mul_overflow(places, to.size(), &largest)) largest = std::numeric_limits<std::size_t>::max();
    // The bound is loose, so it is checked only where it could matter.
    if (largest > context.limits().max_output_bytes) STOA_CHECK(context.spend(0, replaced_bytes(text, from, to)));
    return context.text(replace_all(text, from, to, integer_argument(arguments, 2, "count", -1)));
  }
  if (name == "find" || name == "rfind" || name == "count") {
    STOA_TRY(part, text_argument(arguments, 0, "sub"));
    if (name != "count") {
      const std::size_t found = name == "find" ? text.find(part) : text.rfind(part);
      return found == std::string::npos ? std::int64_t{-1} : static_cast<std::int64_t>(text_length(std::string_view(text).substr(0, found)));
    }
    if (part.empty()) return static_cast<std::int64_t>(text_length(text) + 1);
    std::int64_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
    return count;
  }
  if (name == "join") {
    const Value* items = arguments.get(0, "iterable");
    return apply_filter(context, "join", items == nullptr ? Value() : *items, {{Value(text)}, {}});
  }
  if (name == "isdigit") return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (name == "splitlines") {
    List lines;
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = rest.find_first_of("\r\n");
      lines.emplace_back(std::string(rest.substr(0, end)));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1));
    }
    return context.list(std::move(lines));
  }
  return fail(ErrorCode::kUnsupported, "strings have no method '{}' here", name);
}

Result<Value> map_method(Context& context, const Value& self, std::string_view name, const Arguments& arguments) {
  const Map& map = *self.map();
  if (name == "get") {
    STOA_TRY(key, text_argument(arguments, 0, "key"));
    if (const Value* found = map.find(key)) return *found;
    const Value* fallback = arguments.get(1, "default");
    return fallback == nullptr ? Value(None{}) : *fallback;
  }
  if (name == "items") return apply_filter(context, "items", self, {});
  if (name == "keys" || name == "values") {
    List out;
    for (const auto& [key, value] : map.items) out.push_back(name == "keys" ? Value(key) : value);
    return context.list(std::move(out));
  }
  return fail(ErrorCode::kUnsupported, "mappings have no method '{}' here", name);
}

Result<Value> range(Context& context, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (given.empty() || given.size() > 3) return wrong("range takes 1 to 3 numbers");
  const std::int64_t start = given.size() > 1 ? given[0].as_integer() : 0;
  const std::int64_t stop = given[given.size() > 1 ? 1 : 0].as_integer();
  const std::int64_t step = given.size() > 2 ? given[2].as_integer() : 1;
  if (step == 0) return wrong("range: the step is 0");
  constexpr std::size_t kMost = 100'000;  // the sandbox's own limit
  List out;
  for (std::int64_t at = start; step > 0 ? at < stop : at > stop;) {
    if (out.size() >= kMost) return fail(ErrorCode::kTooLarge, "range has more than {} numbers", kMost);
    out.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  return context.list(std::move(out));
}

Result<Value> now_text(Context& context, const Arguments& arguments) {
  STOA_TRY(format, text_argument(arguments, 0, "format"));
  constexpr std::size_t kMostFormat = 200;
  if (format.size() > kMostFormat || format.find('\0') != std::string::npos) return wrong("strftime_now: the format is too long");
  if (format.empty()) return context.text({});
  const std::time_t seconds = context.now() / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char buffer[4096];
  const std::size_t size = std::strftime(buffer, sizeof buffer, format.c_str(), &parts);
  return context.text(std::string(buffer, size));
}

}  // namespace

Result<Value> call_method(Context& context, const Value& self, std::string_view name, const Arguments& arguments) {
  if (const auto* text = self.string()) return string_method(context, *text, name, arguments);
  if (self.map() != nullptr) return map_method(context, self, name, arguments);
  if (const auto* list = self.list()) {
    const Value* item = arguments.get(0, "value");
    if (item != nullptr && (name == "count" || name == "index")) {
      std::int64_t count = 0;
      for (std::size_t i = 0; i < list->size(); ++i) {
        if (!equal((*list)[i], *item, context.steps_left())) continue;
        if (name == "index") return static_cast<std::int64_t>(i);
        ++count;
      }
      STOA_CHECK(context.step());
      if (name == "count") return count;
      return wrong("index: the list does not hold the value");
    }
  }
  return fail(ErrorCode::kUnsupported, "{} has no method '{}' here", self.type_name(), name);
}

bool is_function(std::string_view name) { return name == "range" || name == "namespace" || name == "dict" || name == "raise_exception" || name == "strftime_now"; }

Result<Value> call_function(Context& context, std::string_view name, const Arguments& arguments) {
  if (name == "range") return range(context, arguments);
  if (name == "strftime_now") return now_text(context, arguments);
  if (name == "raise_exception") {
    std::string message;
    if (!arguments.positional.empty()) STOA_CHECK(append_text(arguments.positional[0], context.text_limits(), message));
    return fail(ErrorCode::kInvalidArgument, "the chat template refuses the messages: {}", message);
  }
  if (name == "namespace" || name == "dict") {
    Map out;
    if (!arguments.positional.empty() && arguments.positional[0].map() != nullptr) out = *arguments.positional[0].map();
    for (const auto& [key, value] : arguments.named) out.at(key) = value;
    return context.map(std::move(out), name == "namespace");
  }
  return fail(ErrorCode::kUnsupported, "the function '{}' is not supported", name);
}

Result<List> iterate(Context& context, const Value& value) {
  if (const auto* list = value.list()) {
    STOA_CHECK(context.spend(list->size() * sizeof(Value), 0));
    return *list;
  }
  List out;
  if (value.is_undefined()) return out;
  if (const auto* map = value.map(); map != nullptr && !value.is_namespace()) {
    for (const auto& [key, item] : map->items) out.emplace_back(key);
    return out;
  }
  if (const auto* text = value.string()) {
    STOA_CHECK(context.spend(text->size() * sizeof(Value), text->size()));
    for (const auto character : characters(*text)) out.emplace_back(std::string(character));
    return out;
  }
  return wrong(fmt::format("{} cannot be looped over", value.type_name()));
}

Result<std::int64_t> length_of(const Value& value) {
  if (value.is_undefined()) return 0;
  if (const auto* text = value.string()) return static_cast<std::int64_t>(text_length(*text));
  if (const auto* list = value.list()) return static_cast<std::int64_t>(list->size());
  if (const auto* map = value.map(); map != nullptr && !value.is_namespace()) return static_cast<std::int64_t>(map->items.size());
  return wrong(fmt::format("{} has no length", value.type_name()));
}

Result<std::vector<std::size_t>> slice_places(std::size_t size, const Value* start, const Value* stop, const Value* step) {
  const auto given = [](const Value* value) { return value != nullptr && !value->is_none(); };
  for (const Value* value : {start, stop, step})
    if (given(value) && value->integer() == nullptr && value->boolean() == nullptr) return wrong("slice bounds must be integers");
  const auto count = static_cast<std::int64_t>(size);
  const std::int64_t stride = given(step) ? step->as_integer() : 1;
  if (stride == 0) return wrong("the step of a slice is 0");
  const bool forward = stride > 0;
  const auto bound = [&](const Value* value, std::int64_t fallback) {
    if (!given(value)) return fallback;
    std::int64_t at = value->as_integer();
    if (at < 0) at = at < -count ? -1 : at + count;
    else return std::min(at, forward ? count : count - 1);
    return at < 0 ? (forward ? std::int64_t{0} : std::int64_t{-1}) : at;
  };
  const std::int64_t first = bound(start, forward ? 0 : count - 1), last = bound(stop, forward ? count : -1);
  std::vector<std::size_t> places;
  for (std::int64_t at = first; forward ? at < last : at > last;) {
    places.push_back(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, stride, &at)) break;
  }
  return places;
}

Result<bool> contains(Context& context, const Value& container, const Value& item) {
  if (const auto* text = container.string()) {
    if (item.string() == nullptr) return wrong(fmt::format("'in' a string needs a string, found {}", item.type_name()));
    return text->find(*item.string()) != std::string::npos;
  }
  if (const auto* map = container.map()) return item.string() != nullptr && map->find(*item.string()) != nullptr;
  if (const auto* list = container.list()) {
    for (const auto& member : *list)
      if (equal(member, item, context.steps_left())) return true;
    STOA_CHECK(context.step());
    return false;
  }
  if (container.is_undefined()) return false;
  return wrong(fmt::format("{} cannot contain anything", container.type_name()));
}

}  // namespace stoa::models::jinja
