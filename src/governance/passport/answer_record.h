// What is recorded of one answer: who asked under which decisions, what answered, on which sources, and what it took. Ids, digests and
// numbers only: whether questions and answers themselves are kept is the project's choice, and is decided elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "contracts/chat.h"
#include "contracts/principal.h"

namespace stoa::governance {

struct AnswerDecision {
  std::string action, resource;  // "model.use", "model smollm2-135m-instruct"
  std::string rule;              // "role \"developer\""
  std::string place;             // "roles.policy:5"; empty for a rule that is no policy
};

// A passage that the answer could stand on.
struct AnswerSource {
  std::string document;          // "doc_..."
  std::string version;           // digest of the document's bytes
  std::string chunk;             // "chunk_..."
  int page = 0;                  // 1-based; 0: none
  std::string readers;           // what let it through: the entry of the document's access list
};

// Code points [begin, end) of the answer stand on code points [from, to) of sources[source]'s passage; both 0: on text around it, in its section.
struct AnswerCitation {
  std::int64_t begin = 0, end = 0;
  std::size_t source = 0;
  std::int64_t from = 0, to = 0;
  std::string quote;             // SHA-256 of the salt and the quoted text, as of question and answer
};

struct AnswerModel {
  std::string name;              // as served
  std::string artifact;          // "sha256:..." of the weights; empty: not known, as of models of providers
  std::string prompt, prompt_version;                           // template that worded the prompt, and its digest; empty: the caller's own words
  std::vector<std::pair<std::string, std::string>> parameters;  // "temperature": "0.7"; in the order they are shown
  std::string base, adapter_artifact;  // of an adapter: the model it adapts, whose weights `artifact` is of, and "sha256:..." of its own; else empty
  std::string target{};                // where `name` is a route: what answered ("provider/model", or a model of this server), whose weights `artifact` is of
};

struct AnswerRecord {
  std::string id;                // "resp_...", "chatcmpl-..."; empty: the request gave no answer
  std::string kind;              // "response", "chat", "completion"
  std::string mode;              // "generative", "extractive"; empty for a plain answer
  std::string request_id, trace_id;
  Principal principal;
  std::string address, purpose;  // where the call came from, and what the caller said it is for; may be empty
  std::vector<AnswerDecision> decisions;
  AnswerModel model;
  std::vector<AnswerSource> sources;
  std::vector<AnswerCitation> citations;
  int dropped_sentences = 0;     // generated, and left out because no source supports them
  int unsupported_sentences = 0; // ... and kept, since the settings say so
  Usage usage;
  std::int64_t cost = 0;         // micro-units of `currency`
  std::string currency;
  Micros started = 0;
  std::int64_t duration_micros = 0;
  std::string error;             // stable name; empty when the answer is whole
  std::string salt;              // 32 hexadecimal digits, random: digests of short texts cannot be found by trying
  std::string question, answer;  // salted_digest of each; empty where there was none
};

// 32 random hexadecimal digits. Without a source of randomness there is none, and then no digest of a text either.
std::string new_salt();
// "sha256:" and the digest of salt and text; empty where either is.
std::string salted_digest(std::string_view salt, std::string_view text);

// One line of JSON, members in a fixed order, whole numbers and strings only: a form that any JSON library can write again byte for byte.
std::string record_text(const AnswerRecord& record);
// What the audit log says of a record: "sha256:" and the digest of its text.
std::string record_digest(std::string_view text);

}  // namespace stoa::governance
