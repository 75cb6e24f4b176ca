#include "gateway/passport/page.h"

#include <algorithm>

#include "base/html.h"
#include "base/json.h"
#include "governance/audit/entry_line.h"
#include "infra/crypto/encoding.h"
#include "models/tokenizer/chat_template.h"

namespace stoa::gateway {
namespace {

std::int64_t integer_at(const JsonObject& record, std::string_view object, std::string_view name) {
  const Json* part = find(record, object);
  const Json* value = part != nullptr && part->is_object() ? find(part->get_object(), name) : nullptr;
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

std::string duration_text(std::int64_t micros) {
  if (micros < 1'000) return fmt::format("{} \u00b5s", micros);
  if (micros < 1'000'000) return fmt::format("{:.1f} ms", static_cast<double>(micros) / 1e3);
  return fmt::format("{:.2f} s", static_cast<double>(micros) / 1e6);
}

// Micro-units without rounding: "0.000034".
std::string money_text(std::int64_t micros) {
  const std::uint64_t size = micros < 0 ? 0 - static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
  return fmt::format("{}{}.{:06}", micros < 0 ? "-" : "", size / 1'000'000, size % 1'000'000);
}

// Where a stage of the answer stands in its time, in percent.
JsonObject stage(std::string_view name, std::int64_t begin, std::int64_t end, std::int64_t total) {
  const auto percent = [total](std::int64_t at) { return total > 0 ? static_cast<std::int64_t>(100.0 * static_cast<double>(std::clamp<std::int64_t>(at, 0, total)) / static_cast<double>(total)) : 0; };
  return {{"name", name}, {"begin", percent(begin)}, {"width", std::max<std::int64_t>(1, percent(end) - percent(begin))}, {"text", duration_text(std::max<std::int64_t>(0, end - begin))}};
}

}  // namespace

Result<std::string> passport_page(const std::string& page_template, const governance::PassportCheck& check) {
  const JsonObject& record = check.record;
  const std::int64_t total = integer_at(record, "duration", "total_micros"), queue = integer_at(record, "duration", "queue_micros"),
                     first = integer_at(record, "duration", "first_token_micros");
  JsonArray stages;
  if (first > 0) {
    stages.push_back(stage("waiting", 0, queue, total));
    stages.push_back(stage("reading", queue, first, total));
    stages.push_back(stage("writing", first, total, total));
  }
  const std::string line = governance::audit_line(check.entry);
  const JsonObject shown{{"record", html_escaped(record)},
                         {"entry", html_escaped(parse_json(line).value_or(Json()))},
                         {"leaf", infra::to_hex(governance::merkle_leaf(as_bytes(line)))},
                         {"log", html_escaped(std::string_view(check.checkpoint.log))},
                         {"log_size", check.checkpoint.size},
                         {"root", infra::to_hex(check.checkpoint.root)},
                         {"cost", money_text(integer_at(record, "cost", "micros"))},
                         {"total", duration_text(total)},
                         {"stages", std::move(stages)}};
  STOA_TRY(page, models::ChatTemplate::parse(page_template));
  return page.render({.messages = {}, .add_generation_prompt = false, .bos_token = {}, .eos_token = {}, .tools_json = {}, .extra_json = dump_json(shown), .now = 0});
}

}  // namespace stoa::gateway
