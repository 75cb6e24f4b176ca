#include "wiring/answers.h"

namespace stoa::wiring {

Result<gateway::admin::AnsweredQuestion> answered_question(gateway::openai::ResponseStore& responses, const Call& call, const std::string& id) {
  STOA_TRY(turns, responses.history(call.principal, id));
  STOA_TRY(stored, responses.find(call.principal, id));
  gateway::admin::AnsweredQuestion answered;
  // The last turn is the answer; what comes before it was asked.
  if (turns.empty() || turns.back().role != "assistant") return fail(ErrorCode::kNotFound, "{} holds no answer", id);
  answered.answer = turns.back().content;
  turns.pop_back();
  answered.prompt = std::move(turns);
  answered.model = read_string(stored.response, "model").value_or(std::nullopt).value_or("");
  return answered;
}

gateway::admin::EngineStatus engine_status(Metrics& metrics, const std::string& model, std::int64_t slots) {
  const Labels labels{{"model", model}};
  const auto value = [&](std::string_view name) { return static_cast<std::int64_t>(metrics.gauge(name, "", labels).value()); };
  return {slots, value("stoa_engine_running_requests"), value("stoa_engine_queue_depth"), value("stoa_engine_kv_used_bytes"), value("stoa_engine_kv_size_bytes")};
}

}  // namespace stoa::wiring
