// The filters, tests, functions and string methods that templates may use. Meanings are Jinja's and Python's.
#pragma once

#include <string_view>

#include "base/result.h"
#include "models/tokenizer/jinja_context.h"
#include "models/tokenizer/jinja_value.h"

namespace stoa::models::jinja {

// Each gives kUnsupported for an unknown name, kInvalidArgument for wrong types.
Result<Value> apply_filter(Context& context, std::string_view name, const Value& subject, const Arguments& arguments);
Result<bool> apply_test(Context& context, std::string_view name, const Value& subject, const Arguments& arguments);
Result<Value> call_method(Context& context, const Value& self, std::string_view name, const Arguments& arguments);
Result<Value> call_function(Context& context, std::string_view name, const Arguments& arguments);
bool is_function(std::string_view name);

// What a loop goes over: items, keys or characters. An undefined value has none.
Result<List> iterate(Context& context, const Value& value);
Result<std::int64_t> length_of(const Value& value);
// Python's x[start:stop:step] over `size` items: the chosen places in order. Absent bounds are nullptr or none.
Result<std::vector<std::size_t>> slice_places(std::size_t size, const Value* start, const Value* stop, const Value* step);
// container contains item, as Python's `in`.
Result<bool> contains(Context& context, const Value& container, const Value& item);

}  // namespace stoa::models::jinja
