// Verbs that show what a server did and does: status, trace, traces, usage.
#include "commands/commands.h"

#include <algorithm>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"

namespace stoa::cli {
namespace {

// A bar that shows when in the whole a span ran.
std::string waterfall(double start, double length, double whole) {
  constexpr int kColumns = 30;
  const auto column = [&](double at) { return whole <= 0 ? 0 : std::min(kColumns, static_cast<int>(at / whole * kColumns + .5)); };
  const int from = std::min(column(start), kColumns - 1), to = std::max(column(start + length), from + 1);
  std::string bar;
  for (int i = 0; i < kColumns; ++i) bar += i >= from && i < to ? "█" : "·";
  return bar;
}

void print_spans(const JsonObject& trace) {
  const auto spans = objects_of(trace, "spans");
  double whole = 0;
  for (const JsonObject* span : spans) whole = std::max(whole, number_of(*span, "offset_ms") + number_of(*span, "duration_ms"));
  std::vector<std::vector<std::string>> rows{{"span", "start ms", "ms", ""}};
  for (const JsonObject* span : spans) {
    const std::string indent(static_cast<std::size_t>(integer_of(*span, "depth")) * 2, ' ');
    const std::string error = text_of(*span, "error");
    rows.push_back({indent + text_of(*span, "name"), fmt::format("{:.1f}", number_of(*span, "offset_ms")),
                    fmt::format("{:.1f}", number_of(*span, "duration_ms")),
                    waterfall(number_of(*span, "offset_ms"), number_of(*span, "duration_ms"), whole) + (error.empty() ? "" : " " + bad(error))});
  }
  fmt::print("{}", table(rows));
}

}  // namespace

int trace(const Global& global, const std::string& id) {
  auto api = connect(global);
  auto found = api.get("/v1/stoa/traces/" + id);
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  for (const char* field : {"trace_id", "request_id", "time", "principal", "operation", "model", "status", "error"})
    if (const std::string value = text_of(*found, field); !value.empty()) fmt::print("{:<11} {}\n", field, value);
  if (const JsonObject* usage = object_of(*found, "usage"); usage != nullptr)
    fmt::print("{:<11} {} in, {} out, cost {}\n", "tokens", integer_of(*usage, "prompt_tokens"), integer_of(*usage, "completion_tokens"),
               human_cost(integer_of(*found, "cost_micro_usd")));
  fmt::print("\n");
  print_spans(*found);
  return kExitOk;
}

int traces(const Global& global, int count, bool all) {
  auto api = connect(global);
  auto found = api.get(fmt::format("/v1/stoa/traces?limit={}{}", count, all ? "" : "&work=true"));
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{"time", "operation", "model", "ms", "cost", "status", "trace"}};
  for (const JsonObject* item : objects_of(*found, "data"))
    rows.push_back({text_of(*item, "time"), text_of(*item, "operation"), text_of(*item, "model"), fmt::format("{:.1f}", number_of(*item, "duration_ms")),
                    human_cost(integer_of(*item, "cost_micro_usd")), text_of(*item, "status"), text_of(*item, "trace_id")});
  fmt::print("{}", table(rows));
  return kExitOk;
}

int usage(const Global& global, const std::string& by, const std::string& tag) {
  auto api = connect(global);
  auto found = api.get("/v1/stoa/usage?by=" + by + (tag.empty() ? "" : "&tag=" + percent_encoded(tag)));
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows{{by, "requests", "tokens in", "tokens out", "compute s", "cost"}};
  for (const JsonObject* item : objects_of(*found, "data"))
    rows.push_back({text_of(*item, "key"), fmt::format("{}", integer_of(*item, "requests")), fmt::format("{}", integer_of(*item, "prompt_tokens")),
                    fmt::format("{}", integer_of(*item, "completion_tokens")), fmt::format("{:.3f}", number_of(*item, "compute_micros") / 1e6),
                    human_cost(integer_of(*item, "cost_micro_usd"))});
  fmt::print("{}", table(rows));
  return kExitOk;
}

int status(const Global& global) {
  auto api = connect(global);
  auto found = api.get("/v1/stoa/status");
  if (!found) return report(found.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*found));
    return kExitOk;
  }
  fmt::print("{} {} at {}, up {:.0f} s\n", bold("stoa"), text_of(*found, "version"), api.url(), number_of(*found, "uptime_seconds"));
  const auto listeners = objects_of(*found, "listeners");
  for (const JsonObject* listener : listeners)
    if (listeners.size() > 1) fmt::print("listens at {} for {}\n", text_of(*listener, "url"), text_of(*listener, "roles"));
  std::vector<std::vector<std::string>> rows{{"model", "kind", "format", "instructions", "context"}};
  for (const JsonObject* model : objects_of(*found, "models"))
    rows.push_back({text_of(*model, "id"), text_of(*model, "kind"), text_of(*model, "format"), text_of(*model, "isa"), fmt::format("{}", integer_of(*model, "context"))});
  fmt::print("{}", table(rows));
  if (const JsonObject* engine = object_of(*found, "engine"); engine != nullptr)
    fmt::print("engine: {} of {} slots busy, {} waiting\n", integer_of(*engine, "running"), integer_of(*engine, "slots"), integer_of(*engine, "waiting"));
  if (const JsonObject* documents = object_of(*found, "documents"); documents != nullptr)
    fmt::print("documents: {} in {} chunks, {} collections\n", integer_of(*documents, "documents"), integer_of(*documents, "chunks"), integer_of(*documents, "collections"));
  return kExitOk;
}

int models_show(const Global& global, const std::string& name) {
  auto api = connect(global);
  auto found = api.get("/v1/stoa/status");
  if (!found) return report(found.error(), global.json);
  const auto models = objects_of(*found, "models");
  const auto model = std::ranges::find_if(models, [&](const JsonObject* m) { return name.empty() || text_of(*m, "id") == name; });
  if (model == models.end()) return report(error(ErrorCode::kNotFound, "the server at {} has loaded no model '{}'", api.url(), name).with_hint("stoa status"), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(**model));
    return kExitOk;
  }
  fmt::print("{} ({})\n", bold(text_of(**model, "id")), text_of(**model, "kind"));
  std::vector<std::vector<std::string>> weights{{"weights", "matrices", "size", "kernel"}}, choices{{"choice", "value", "why"}};
  for (const JsonObject* w : objects_of(**model, "weights")) weights.push_back({text_of(*w, "type"), fmt::format("{}", integer_of(*w, "tensors")), human_bytes(integer_of(*w, "bytes")), text_of(*w, "kernel")});
  for (const JsonObject* c : objects_of(**model, "choices")) choices.push_back({text_of(*c, "what"), text_of(*c, "value"), text_of(*c, "why")});
  fmt::print("{}\n{}", table(weights), table(choices));
  return kExitOk;
}

}  // namespace stoa::cli
