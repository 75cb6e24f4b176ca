#include "gateway/cache/settings.h"

#include <algorithm>
#include <array>

#include "infra/config/yaml.h"

namespace stoa::gateway {
namespace {

using infra::YamlNode;

constexpr std::int64_t kMostSeconds = 30LL * 86'400, kMostEntries = 100'000, kMostBytes = 1LL << 30;
constexpr std::array<std::string_view, 3> kAnswers{"off", "deterministic", "all"};

Status read_integer(const YamlNode& map, std::string_view key, std::int64_t most, std::int64_t& out) {
  const YamlNode* node = map.find(key);
  if (node == nullptr) return {};
  STOA_TRY(value, node->integer(1, most));
  out = value;
  return {};
}

Status read_flag(const YamlNode& map, std::string_view key, bool& out) {
  const YamlNode* node = map.find(key);
  if (node == nullptr) return {};
  STOA_TRY(value, node->boolean());
  out = value;
  return {};
}

}  // namespace

Result<CacheSettings> parse_cache_settings(std::string_view text, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(text, name, {.max_bytes = 16u << 10, .max_depth = 3, .max_nodes = 64}));
  if (root.kind() != YamlNode::Kind::kMap) return fail(root.wrong("a map such as {answers: deterministic} is expected"));
  constexpr std::array<std::string_view, 7> kKeys{"answers", "ttl_seconds", "max_entries", "max_bytes", "share", "semantic", "embeddings"};
  STOA_CHECK(root.only(kKeys));
  CacheSettings settings;
  if (const YamlNode* node = root.find("answers")) {
    STOA_TRY(answers, node->text());
    const auto found = std::ranges::find(kAnswers, answers);
    if (found == kAnswers.end()) return fail(node->wrong(fmt::format("'{}' says not which answers are kept: off, deterministic or all", answers.substr(0, 100))));
    settings.answers = static_cast<CacheSettings::Answers>(found - kAnswers.begin());
  }
  STOA_CHECK(read_integer(root, "ttl_seconds", kMostSeconds, settings.ttl_seconds));
  STOA_CHECK(read_integer(root, "max_entries", kMostEntries, settings.max_entries));
  STOA_CHECK(read_integer(root, "max_bytes", kMostBytes, settings.max_bytes));
  STOA_CHECK(read_flag(root, "share", settings.share));
  STOA_CHECK(read_flag(root, "embeddings", settings.embeddings));
  if (const YamlNode* node = root.find("semantic"); node != nullptr && !node->is_null()) {
    constexpr std::array<std::string_view, 2> kSemantic{"threshold", "ttl_seconds"};
    if (node->kind() != YamlNode::Kind::kMap) return fail(node->wrong("a map such as {threshold: 0.95} is expected"));
    STOA_CHECK(node->only(kSemantic));
    if (settings.answers == CacheSettings::Answers::kOff) return fail(node->wrong("'semantic' needs 'answers': deterministic or all"));
    auto& semantic = settings.semantic.emplace();
    if (const YamlNode* threshold = node->find("threshold")) {
      STOA_TRY(value, threshold->number());
      if (value < 0.5 || value > 1) return fail(threshold->wrong("a similarity from 0.5 to 1 is expected"));
      semantic.threshold = value;
    }
    STOA_CHECK(read_integer(*node, "ttl_seconds", kMostSeconds, semantic.ttl_seconds));
  }
  return settings;
}

}  // namespace stoa::gateway
