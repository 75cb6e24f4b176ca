// Spans as one JSON text: the format of the column `spans` in the trace store.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/trace.h"

namespace stoa::feedback {

// An array with an object a span: {"id", "parent", "name", "start", "end", "error", "attributes": {...}}; empty fields are left out.
std::string encode_spans(const std::vector<SpanRecord>& spans);
// kDataLoss when the text is not what encode_spans writes.
Result<std::vector<SpanRecord>> decode_spans(std::string_view text);

}  // namespace stoa::feedback
