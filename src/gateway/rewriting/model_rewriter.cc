#include "gateway/rewriting/model_rewriter.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/utf8.h"
#include "gateway/grounding/settings.h"
#include "infra/config/required.h"

namespace stoa::gateway {
namespace {

constexpr std::array<std::string_view, 6> kKeys{"system", "user", "query_bytes", "phrasing_tokens", "seconds", "temperature"};
constexpr std::size_t kMaxPhrasing = 300, kMaxSaid = 16 * 1024;  // bytes
constexpr std::int64_t kMicrosPerPromptToken = 1'000, kMicrosPerToken = 20'000;  // for reservations

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Without white space, "1. ", "2) ", "- ", "* " before it and quotation marks around it.
std::string_view bare(std::string_view line) {
  const auto trim = [&](std::string_view these) {
    line.remove_prefix(std::min(line.find_first_not_of(these), line.size()));
    line = line.substr(0, line.find_last_not_of(these) + 1);
  };
  trim(" \t\r");
  const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  if (digits > 0 && digits <= 2 && digits + 1 < line.size() && (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ') line.remove_prefix(digits + 1);
  else if (line.starts_with("- ") || line.starts_with("* ")) line.remove_prefix(1);
  trim(" \t");
  if (line.size() > 1 && line.front() == line.back() && (line.front() == '"' || line.front() == '\'')) trim("\"'");
  return line;
}

}  // namespace

Result<RewriteSettings> parse_rewrite_settings(std::string_view yaml, std::string_view name) {
  STOA_TRY(document, infra::parse_yaml(yaml, name));
  STOA_TRY(section, document.at("rewrite"));
  const infra::YamlNode& map = *section;
  STOA_CHECK(map.only(kKeys));
  RewriteSettings out;
  STOA_CHECK(infra::read_required(map, "system", out.system));
  STOA_CHECK(infra::read_required(map, "user", out.user));
  STOA_CHECK(infra::read_required(map, "query_bytes", out.query_bytes, 32'768));
  STOA_CHECK(infra::read_required(map, "phrasing_tokens", out.phrasing_tokens, 256));
  STOA_CHECK(infra::read_required(map, "seconds", out.seconds, 600));
  STOA_TRY(node, map.at("temperature"));
  STOA_TRY(temperature, node->number());
  if (temperature < 0 || temperature > 2) return fail(node->wrong("'temperature' must be from 0 to 2"));
  out.temperature = temperature;
  if (!out.user.contains("{query}")) return fail(map.wrong("'user' must contain {query}"));
  return out;
}

std::vector<std::string> phrasings_of(std::string_view said, std::string_view query, std::size_t count) {
  std::vector<std::string> out;
  std::vector<std::string> known{lower(bare(query))};
  while (!said.empty() && out.size() < count) {
    const auto end = std::min(said.find('\n'), said.size());
    const std::string_view line = bare(said.substr(0, end));
    said.remove_prefix(std::min(end + 1, said.size()));
    // A line that ends in a colon announces the others.
    if (line.empty() || line.size() > kMaxPhrasing || line.ends_with(':') || !is_valid_utf8(line)) continue;
    std::string same = lower(line);
    if (std::ranges::find(known, same) != known.end()) continue;
    known.push_back(std::move(same));
    out.emplace_back(line);
  }
  return out;
}

ChatRequest ModelRewriter::prompt(const std::string& query, std::size_t count) const {
  std::string asked = query.substr(0, std::min(query.size(), static_cast<std::size_t>(settings_.query_bytes)));
  while (!asked.empty() && !is_valid_utf8(asked)) asked.pop_back();  // it was cut inside a character
  std::ranges::replace(asked, '\n', ' ');
  ChatRequest request;
  request.model = model_;
  request.messages = {{"system", settings_.system}, {"user", fill_template(settings_.user, {{"count", std::to_string(count)}, {"query", asked}})}};
  request.max_tokens = settings_.phrasing_tokens * static_cast<int>(count);
  request.sampling.temperature = settings_.temperature;
  request.sampling.seed = 1;
  request.whole = true;
  return request;
}

Result<data::Rewriting> ModelRewriter::rewrite(const Call& call, const std::string& query, std::size_t count) {
  Span span = call.span("query rewriting");
  Call bounded = call;
  bounded.deadline.at = std::min(call.deadline.at, Deadline::after(std::chrono::seconds(settings_.seconds)).at);
  std::string said;
  auto outcome = generator_.generate(bounded, prompt(query, count), [&](const ChatDelta& delta) {
    said += delta.text;
    return said.size() < kMaxSaid;
  });
  if (!outcome) {
    span.fail(outcome.error().message);
    return fail(std::move(outcome).error());
  }
  data::Rewriting made{.queries = {}, .usage = outcome->usage};
  if (outcome->finish == FinishReason::kLength) said = said.substr(0, said.rfind('\n') + 1);  // its last line was cut off
  made.queries = phrasings_of(said, query, count);
  span.set("stoa.rewriting.phrasings", static_cast<std::int64_t>(made.queries.size()));
  return made;
}

Usage ModelRewriter::estimate(const std::string& query, std::size_t count) const {
  const ChatRequest request = prompt(query, count);
  Usage usage;
  usage.prompt_tokens = generator_.count_prompt_tokens(request).value_or(0);
  usage.completion_tokens = request.max_tokens;
  usage.compute_micros = usage.prompt_tokens * kMicrosPerPromptToken + usage.completion_tokens * kMicrosPerToken;
  return usage;
}

}  // namespace stoa::gateway
