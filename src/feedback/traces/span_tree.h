// The spans of a trace in the order of their tree, placed on its time axis.
#pragma once

#include <vector>

#include "base/trace.h"

namespace stoa::feedback {

struct PlacedSpan {
  const SpanRecord* span = nullptr;  // into the spans that were given
  int depth = 0;                     // 0 for roots
  Micros offset = 0;                 // from the start of the trace
  Micros duration = 0;               // of a span that never ended: up to the end of the trace
};

// Parents before their children, siblings by start. A span whose parent is missing is a root; of parents that form a cycle the
// first span in the list is taken as the root. Every span comes once.
std::vector<PlacedSpan> span_tree(const std::vector<SpanRecord>& spans, Micros start, Micros end);

}  // namespace stoa::feedback
