#include "gateway/grounding/settings.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "data/index/analysis/languages.h"
#include "infra/config/required.h"
#include "infra/crypto/hash.h"

namespace stoa::gateway {
namespace {

constexpr auto kKeys = std::to_array<std::string_view>(
    {"system",     "passage",       "user",           "no_answer",        "max_passages",    "passage_bytes", "section_bytes", "prompt_tokens",
     "answer_tokens", "max_sentences", "quoted_sentences", "relevance", "temperature", "lexical_support", "semantic_support", "history_tokens",
     "citations",  "unsupported",   "judge",          "judge_support",    "judge_prompt",    "rewrite",       "rewrite_tokens", "rewrite_prompt", "answerable",
     "negations"});
constexpr auto kAnswerableKeys = std::to_array<std::string_view>({"intercept", "cosine", "coverage", "missing_names", "answer_type", "negation", "least"});

Status requires_fields(const infra::YamlNode& map, std::string_view key, const std::string& text, std::initializer_list<std::string_view> fields) {
  for (const std::string_view field : fields)
    if (!text.contains(field)) return fail(map.wrong(fmt::format("'{}' must contain {}", key, field)));
  return {};
}

// One of `words`, as its place among them.
Status read_word(const infra::YamlNode& map, std::string_view key, std::initializer_list<std::string_view> words, int& out) {
  STOA_TRY(node, map.at(key));
  STOA_TRY(text, node->text());
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) return fail(node->wrong(fmt::format("'{}' must be one of {}", key, fmt::join(words, ", "))));
  out = static_cast<int>(found - words.begin());
  return {};
}

// When a statement counts as supported, and what becomes of one that does not.
Status read_support(const infra::YamlNode& map, GroundingSettings& out) {
  STOA_CHECK(infra::read_required(map, "lexical_support", out.lexical_support));
  STOA_CHECK(infra::read_required(map, "semantic_support", out.semantic_support));
  STOA_CHECK(infra::read_required(map, "citations", out.citations, 20));
  int unsupported = 0;
  STOA_CHECK(read_word(map, "unsupported", {"drop", "flag"}, unsupported));
  out.flag_unsupported = unsupported == 1;
  STOA_CHECK(infra::read_required(map, "judge", out.judge));
  if (out.judge == "none") out.judge.clear();
  STOA_CHECK(infra::read_required(map, "judge_support", out.judge_support));
  STOA_CHECK(infra::read_required(map, "judge_prompt", out.judge_prompt));
  return requires_fields(map, "judge_prompt", out.judge_prompt, {"{quote}", "{statement}"});
}

Status read_coefficient(const infra::YamlNode& map, std::string_view key, double& out) {
  constexpr double kMost = 100;
  STOA_TRY(node, map.at(key));
  STOA_TRY(number, node->number());
  if (number < -kMost || number > kMost) return fail(node->wrong(fmt::format("'{}' must be from -{} to {}", key, kMost, kMost)));
  out = number;
  return {};
}

Status read_answerable(const infra::YamlNode& grounding, AnswerFormula& out) {
  STOA_TRY(map, grounding.at("answerable"));
  STOA_CHECK(map->only(kAnswerableKeys));
  STOA_CHECK(read_coefficient(*map, "intercept", out.intercept));
  STOA_CHECK(read_coefficient(*map, "cosine", out.cosine));
  STOA_CHECK(read_coefficient(*map, "coverage", out.coverage));
  STOA_CHECK(read_coefficient(*map, "missing_names", out.missing_names));
  STOA_CHECK(read_coefficient(*map, "answer_type", out.answer_type));
  STOA_CHECK(read_coefficient(*map, "negation", out.negation));
  return infra::read_required(*map, "least", out.least);
}

Status read_rewrite(const infra::YamlNode& map, GroundingSettings& out) {
  int rewrite = 0;
  STOA_CHECK(read_word(map, "rewrite", {"never", "auto", "always"}, rewrite));
  out.rewrite = static_cast<GroundingSettings::Rewrite>(rewrite);
  STOA_CHECK(infra::read_required(map, "rewrite_tokens", out.rewrite_tokens, 1'000));
  STOA_CHECK(infra::read_required(map, "rewrite_prompt", out.rewrite_prompt));
  return requires_fields(map, "rewrite_prompt", out.rewrite_prompt, {"{conversation}", "{question}"});
}

Status read_negations(const infra::YamlNode& grounding, Negations& out) {
  STOA_TRY(map, grounding.at("negations"));
  if (map->kind() != infra::YamlNode::Kind::kMap) return fail(map->wrong("'negations' must have lists of words by language"));
  for (const auto& [language, words] : map->entries()) {
    const auto tells = [&](const data::Language& known) { return known.name == language && !known.stop_words.empty(); };
    if (language != kAnyLanguage && std::ranges::none_of(data::languages(), tells))
      return fail(words.wrong(fmt::format("'{}' is neither '{}' nor the name of a language that its function words tell", language, kAnyLanguage)));
    if (words.kind() != infra::YamlNode::Kind::kSequence) return fail(words.wrong("must be a list of words"));
    for (const infra::YamlNode& word : words.items()) {
      STOA_TRY(text, word.text());
      out[language].insert(std::move(text));
    }
  }
  return {};
}

}  // namespace

Result<GroundingSettings> parse_grounding_settings(std::string_view yaml, std::string_view name) {
  STOA_TRY(document, infra::parse_yaml(yaml, name));
  STOA_TRY(node, document.at("grounding"));
  const infra::YamlNode& map = *node;
  STOA_CHECK(map.only(kKeys));
  GroundingSettings out;
  out.version = "sha256:" + infra::sha256_hex(yaml);
  STOA_CHECK(infra::read_required(map, "system", out.system));
  STOA_CHECK(infra::read_required(map, "passage", out.passage));
  STOA_CHECK(infra::read_required(map, "user", out.user));
  STOA_CHECK(infra::read_required(map, "no_answer", out.no_answer));
  STOA_CHECK(infra::read_required(map, "max_passages", out.max_passages, 20));
  STOA_CHECK(infra::read_required(map, "passage_bytes", out.passage_bytes, 100'000));
  STOA_CHECK(infra::read_required(map, "section_bytes", out.section_bytes, 100'000));
  STOA_CHECK(infra::read_required(map, "prompt_tokens", out.prompt_tokens, 1'000'000));
  STOA_CHECK(infra::read_required(map, "history_tokens", out.history_tokens, 100'000));
  STOA_CHECK(infra::read_required(map, "answer_tokens", out.answer_tokens, 100'000));
  STOA_CHECK(infra::read_required(map, "max_sentences", out.max_sentences, 100));
  STOA_CHECK(infra::read_required(map, "quoted_sentences", out.quoted_sentences, 20));
  STOA_CHECK(infra::read_required(map, "relevance", out.relevance));
  STOA_CHECK(infra::read_required(map, "temperature", out.temperature));
  STOA_CHECK(read_support(map, out));
  STOA_CHECK(read_rewrite(map, out));
  STOA_CHECK(read_answerable(map, out.answerable));
  STOA_CHECK(read_negations(map, out.negations));
  STOA_CHECK(requires_fields(map, "passage", out.passage, {"{text}"}));
  STOA_CHECK(requires_fields(map, "user", out.user, {"{passages}", "{question}"}));
  return out;
}

std::string fill_template(std::string_view pattern, std::initializer_list<std::pair<std::string_view, std::string_view>> values) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size();) {
    bool replaced = false;
    for (const auto& [name, value] : values) {
      if (pattern[i] != '{' || !pattern.substr(i + 1).starts_with(name) || i + 1 + name.size() >= pattern.size() || pattern[i + 1 + name.size()] != '}') continue;
      out += value;
      i += name.size() + 2;
      replaced = true;
      break;
    }
    if (!replaced) out += pattern[i++];
  }
  return out;
}

}  // namespace stoa::gateway
