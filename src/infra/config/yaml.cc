#include "infra/config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include "base/utf8.h"

namespace stoa::infra {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row.back();
}

}  // namespace

// Builds the tree from the parser's events, which come before the library would expand an alias: refusing aliases here keeps a
// small file from growing into a large tree. Throws the Error to leave the parser.
class YamlBuilder final : public YAML::EventHandler {
 public:
  YamlBuilder(std::string_view name, const YamlLimits& limits) : name_(std::make_shared<const std::string>(name)), limits_(limits) {
    root_.name_ = name_;
  }
  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { throw wrong(mark, "aliases are not supported: write the value out"); }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(make(mark, "", anchor, YamlNode::Kind::kNull)); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    YamlNode node = make(mark, tag, anchor, YamlNode::Kind::kScalar);
    node.quoted_ = tag == "!";
    node.scalar_ = value;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, make(mark, tag, anchor, YamlNode::Kind::kSequence));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, make(mark, tag, anchor, YamlNode::Kind::kMap));
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    std::string key;
    bool has_key = false;
  };

  Error wrong(const YAML::Mark& mark, std::string_view what) const {
    return error(ErrorCode::kInvalidArgument, "{}:{}: {}", *name_, mark.line + 1, what);
  }

  YamlNode make(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (anchor != YAML::NullAnchor) throw wrong(mark, "anchors are not supported");
    if (!tag.empty() && tag != "?" && tag != "!") throw wrong(mark, "tags are not supported");
    if (++count_ > limits_.max_nodes) throw wrong(mark, fmt::format("more than {} values", limits_.max_nodes));
    YamlNode node;
    node.kind_ = kind;
    node.line_ = mark.line + 1;
    node.name_ = name_;
    return node;
  }

  void open(const YAML::Mark& mark, YamlNode node) {
    if (stack_.size() >= limits_.max_depth) throw wrong(mark, fmt::format("nested more than {} levels deep", limits_.max_depth));
    if (!stack_.empty() && stack_.back().node.kind_ == YamlNode::Kind::kMap && !stack_.back().has_key) throw wrong(mark, "a key must be a plain word");
    stack_.push_back({std::move(node), {}, false});
  }
  void close() {
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind_ == YamlNode::Kind::kSequence) {
      parent.node.items_.push_back(std::move(node));
    } else if (!parent.has_key) {
      if (node.kind_ != YamlNode::Kind::kScalar) throw node.wrong("a key must be a plain word");
      if (parent.node.find(node.scalar_) != nullptr) throw node.wrong(fmt::format("key '{}' appears twice", node.scalar_));
      parent.key = std::move(node.scalar_);
      parent.has_key = true;
    } else {
      parent.node.entries_.emplace_back(std::move(parent.key), std::move(node));
      parent.has_key = false;
    }
  }

  const std::shared_ptr<const std::string> name_;
  const YamlLimits limits_;
  std::size_t count_ = 0;
  std::vector<Open> stack_;
  YamlNode root_;
};

std::string YamlNode::where() const { return fmt::format("{}:{}", name_ == nullptr ? "yaml" : *name_, line_); }
Error YamlNode::wrong(std::string_view what) const { return error(ErrorCode::kInvalidArgument, "{}: {}", where(), what); }

Result<std::string> YamlNode::text() const {
  if (kind_ != Kind::kScalar) return fail(wrong("a text is expected"));
  return scalar_;
}

Result<std::int64_t> YamlNode::integer(std::int64_t min, std::int64_t max) const {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(scalar_.data(), scalar_.data() + scalar_.size(), value);
  if (kind_ != Kind::kScalar || quoted_ || failed != std::errc() || end != scalar_.data() + scalar_.size())
    return fail(wrong(fmt::format("a whole number is expected, not '{}'", scalar_)));
  if (value < min || value > max) return fail(wrong(fmt::format("{} is out of range: {} to {}", value, min, max)));
  return value;
}

Result<double> YamlNode::number() const {
  double value = 0;
  const auto [end, failed] = std::from_chars(scalar_.data(), scalar_.data() + scalar_.size(), value);
  if (kind_ != Kind::kScalar || quoted_ || failed != std::errc() || end != scalar_.data() + scalar_.size() || !std::isfinite(value))
    return fail(wrong(fmt::format("a number is expected, not '{}'", scalar_)));
  return value;
}

Result<bool> YamlNode::boolean() const {
  if (kind_ == Kind::kScalar && !quoted_ && (scalar_ == "true" || scalar_ == "false")) return scalar_ == "true";
  return fail(wrong(fmt::format("true or false is expected, not '{}'", scalar_)));
}

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto at = std::ranges::find(entries_, key, &Entry::first);
  return at == entries_.end() ? nullptr : &at->second;
}

Result<const YamlNode*> YamlNode::at(std::string_view key) const {
  if (kind_ != Kind::kMap) return fail(wrong(fmt::format("a map with the key '{}' is expected", key)));
  const YamlNode* node = find(key);
  if (node == nullptr) return fail(wrong(fmt::format("the key '{}' is missing", key)));
  return node;
}

Status YamlNode::only(std::span<const std::string_view> known) const {
  for (const auto& [key, value] : entries_) {
    if (std::ranges::find(known, key) != known.end()) continue;
    Error unknown = value.wrong(fmt::format("unknown key '{}'", key));
    if (const auto near = nearest_name(key, known); !near.empty()) unknown.hint = fmt::format("did you mean '{}'?", near);
    return fail(std::move(unknown));
  }
  return {};
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view name, const YamlLimits& limits) {
  if (text.size() > limits.max_bytes) return fail(ErrorCode::kTooLarge, "{}: {} bytes, more than {}", name, text.size(), limits.max_bytes);
  if (!is_valid_utf8(text)) return fail(ErrorCode::kInvalidArgument, "{}: not valid UTF-8", name);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    YamlBuilder builder(name, limits);
    if (!parser.HandleNextDocument(builder)) return builder.take();
    YamlBuilder surplus(name, limits);
    if (parser.HandleNextDocument(surplus)) return fail(ErrorCode::kInvalidArgument, "{}: one document is expected, not several", name);
    return builder.take();
  } catch (const Error& wrong) {
    return fail(wrong);
  } catch (const YAML::Exception& thrown) {
    return fail(ErrorCode::kInvalidArgument, "{}:{}: {}", name, thrown.mark.line + 1, thrown.msg);
  } catch (const std::exception& thrown) {
    return fail(ErrorCode::kInvalidArgument, "{}: {}", name, thrown.what());
  }
}

Result<YamlNode> read_yaml(const std::filesystem::path& file, const YamlLimits& limits) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fail(ErrorCode::kNotFound, "{}: cannot be opened", file.string());
  std::string text(limits.max_bytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (stream.fail() && !stream.eof())) return fail(ErrorCode::kUnavailable, "{}: cannot be read", file.string());
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse_yaml(text, file.string(), limits);
}

std::string_view nearest_name(std::string_view text, std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongest = 100;  // the distance takes the product of the lengths
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
  if (text.size() > kLongest) return best;
  for (const std::string_view candidate : candidates)
    if (const std::size_t distance = edit_distance(text, candidate); distance < best_distance) best = candidate, best_distance = distance;
  return best;
}

}  // namespace stoa::infra
