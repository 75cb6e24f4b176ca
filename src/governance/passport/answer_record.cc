#include "governance/passport/answer_record.h"

#include "base/json_writer.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "infra/crypto/random.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kSaltBytes = 16;

void write_asked(JsonWriter& out, const AnswerRecord& r) {
  const Principal& who = r.principal;
  out.object().member("principal", who.id).member("tenant", who.tenant).member("project", who.project).member("user", who.user).member("role", who.role);
  out.key("groups").array();
  for (const auto& group : who.groups) out.text(group);
  out.end_array().member("key", who.key).member("address", r.address).member("purpose", r.purpose);
  out.key("decisions").array();
  for (const auto& d : r.decisions)
    out.object().member("action", d.action).member("resource", d.resource).member("outcome", "allowed").member("rule", d.rule).member("place", d.place).end_object();
  out.end_array().end_object();
}

void write_model(JsonWriter& out, const AnswerModel& m) {
  out.object().member("name", m.name).member("target", m.target).member("artifact", m.artifact);
  out.key("adapter").object().member("base", m.base).member("artifact", m.adapter_artifact).end_object();
  out.key("parameters").object();
  for (const auto& [name, value] : m.parameters) out.member(name, value);
  out.end_object();
  out.key("prompt").object().member("template", m.prompt).member("version", m.prompt_version).end_object().end_object();
}

void write_grounds(JsonWriter& out, const AnswerRecord& r) {
  out.object().member("mode", r.mode).key("sources").array();
  for (const auto& s : r.sources)
    out.object().member("document", s.document).member("version", s.version).member("chunk", s.chunk).member("page", s.page).member("readers", s.readers).end_object();
  out.end_array().key("citations").array();
  for (const auto& c : r.citations)
    out.object().member("begin", c.begin).member("end", c.end).member("source", c.source).member("from", c.from).member("to", c.to).member("quote", c.quote).end_object();
  out.end_array().end_object();
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

// Written without making values of JSON first, since every answer waits for it.
std::string record_text(const AnswerRecord& r) {
  constexpr std::size_t kUsual = 2048;
  const Usage& u = r.usage;
  std::string text;
  text.reserve(kUsual);
  JsonWriter out(text);
  out.object().member("id", r.id).member("kind", r.kind).member("time", to_rfc3339(r.started)).member("request_id", r.request_id).member("trace_id", r.trace_id);
  write_asked(out.key("asked_by"), r);
  write_model(out.key("model"), r.model);
  write_grounds(out.key("grounds"), r);
  out.key("guardrails").object().member("sentences_without_source_left_out", r.dropped_sentences).member("sentences_without_source_kept", r.unsupported_sentences).member("error", r.error).end_object();
  out.key("cache").object().member("prompt_tokens_reused", u.cached_tokens).end_object();
  out.key("usage").object().member("prompt_tokens", u.prompt_tokens).member("completion_tokens", u.completion_tokens).member("reasoning_tokens", u.reasoning_tokens).end_object();
  out.key("cost").object().member("micros", r.cost).member("currency", r.currency).end_object();
  out.key("duration").object().member("total_micros", r.duration_micros).member("queue_micros", u.queue_micros).member("first_token_micros", u.first_token_micros);
  out.member("compute_micros", u.compute_micros).end_object();
  out.key("content").object().member("salt", r.salt).member("question", r.question).member("answer", r.answer).end_object().end_object();
  return text;
}

std::string record_digest(std::string_view text) { return "sha256:" + infra::sha256_hex(text); }

}  // namespace stoa::governance
