#include "governance/passport/answer_record.h"

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kSaltBytes = 16;

JsonObject asked_json(const AnswerRecord& r) {
  JsonArray groups;
  for (const auto& group : r.principal.groups) groups.push_back(Json(group));
  JsonArray decisions;
  for (const auto& d : r.decisions)
    decisions.push_back(JsonObject{{"action", d.action}, {"resource", d.resource}, {"outcome", "allowed"}, {"rule", d.rule}, {"place", d.place}});
  return {{"principal", r.principal.id}, {"tenant", r.principal.tenant}, {"project", r.principal.project}, {"user", r.principal.user}, {"role", r.principal.role},
          {"groups", std::move(groups)}, {"key", r.principal.key}, {"address", r.address}, {"purpose", r.purpose}, {"decisions", std::move(decisions)}};
}

JsonObject model_json(const AnswerModel& m) {
  JsonObject parameters;
  for (const auto& [name, value] : m.parameters) parameters[name] = value;
  return {{"name", m.name}, {"target", m.target}, {"artifact", m.artifact}, {"adapter", JsonObject{{"base", m.base}, {"artifact", m.adapter_artifact}}}, {"parameters", std::move(parameters)},
          {"prompt", JsonObject{{"template", m.prompt}, {"version", m.prompt_version}}}};
}

JsonObject grounds_json(const AnswerRecord& r) {
  JsonArray sources, citations;
  for (const auto& s : r.sources)
    sources.push_back(JsonObject{{"document", s.document}, {"version", s.version}, {"chunk", s.chunk}, {"page", s.page}, {"readers", s.readers}});
  for (const auto& c : r.citations)
    citations.push_back(JsonObject{{"begin", c.begin}, {"end", c.end}, {"source", static_cast<std::int64_t>(c.source)}, {"from", c.from}, {"to", c.to}, {"quote", c.quote}});
  return {{"mode", r.mode}, {"sources", std::move(sources)}, {"citations", std::move(citations)}};
}

}  // namespace

std::string new_salt() {
  const auto random = infra::random_bytes(kSaltBytes);
  return random ? infra::to_hex(*random) : std::string();
}

std::string salted_digest(std::string_view salt, std::string_view text) {
  if (salt.empty() || text.empty()) return {};
  infra::Sha256 hash;
  hash.update(salt);
  hash.update(text);
  return "sha256:" + infra::to_hex(hash.finish());
}

std::string record_text(const AnswerRecord& r) {
  const Usage& u = r.usage;
  return dump_json(JsonObject{
      {"id", r.id}, {"kind", r.kind}, {"time", to_rfc3339(r.started)}, {"request_id", r.request_id}, {"trace_id", r.trace_id},
      {"asked_by", asked_json(r)},
      {"model", model_json(r.model)},
      {"grounds", grounds_json(r)},
      {"guardrails", JsonObject{{"sentences_without_source_left_out", r.dropped_sentences}, {"error", r.error}}},
      {"cache", JsonObject{{"prompt_tokens_reused", u.cached_tokens}}},
      {"usage", JsonObject{{"prompt_tokens", u.prompt_tokens}, {"completion_tokens", u.completion_tokens}, {"reasoning_tokens", u.reasoning_tokens}}},
      {"cost", JsonObject{{"micros", r.cost}, {"currency", r.currency}}},
      {"duration", JsonObject{{"total_micros", r.duration_micros}, {"queue_micros", u.queue_micros}, {"first_token_micros", u.first_token_micros},
                              {"compute_micros", u.compute_micros}}},
      {"content", JsonObject{{"salt", r.salt}, {"question", r.question}, {"answer", r.answer}}}});
}

std::string record_digest(std::string_view text) { return "sha256:" + infra::sha256_hex(text); }

}  // namespace stoa::governance
