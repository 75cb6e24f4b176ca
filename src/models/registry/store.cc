#include "models/registry/store.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"
#include "models/formats/gguf.h"
#include "models/registry/catalog.h"

namespace stoa::models {
namespace {

namespace fs = std::filesystem;
constexpr const char* kManifest = "manifest.json";
constexpr std::size_t kBlock = 1u << 20;
constexpr std::size_t kMaxConfigBytes = 1u << 20;

Result<StoredModel> parse_manifest(const std::string& text, const fs::path& file) {
  const auto wrong = [&](std::string_view what) { return fail(ErrorCode::kDataLoss, "{}: {}", file.string(), what); };
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return wrong("not a JSON object");
  const auto& object = json->get_object();
  const auto get = [](const JsonObject& from, std::string_view key) { return read_string(from, key).value_or(std::nullopt).value_or(""); };
  StoredModel model{get(object, "name"), get(object, "kind"), get(object, "about"), get(object, "license"), {}, 0, {}};
  if (const auto time = parse_rfc3339(get(object, "pulled"))) model.pulled = *time;
  const Json* files = find(object, "files");
  if (files == nullptr || !files->is_array()) return wrong("'files' is missing");
  for (const auto& item : files->get_array()) {
    if (!item.is_object()) return wrong("'files' must hold objects");
    const auto bytes = read_int(item.get_object(), "bytes", 0, INT64_MAX);
    StoredFile stored{get(item.get_object(), "name"), get(item.get_object(), "sha256"), get(item.get_object(), "source"),
                      static_cast<std::uint64_t>(bytes.value_or(0).value_or(0))};
    if (!is_model_name(stored.name)) return wrong("a file has no plain name");
    model.files.push_back(std::move(stored));
  }
  return model;
}

// llama.cpp's number of pooling by a classifier.
constexpr std::int64_t kRankPooling = 4;

std::string kind_of_gguf(const fs::path& path) {
  const auto file = GgufFile::open(path);
  if (!file || file->get_string_or("general.architecture", "").value_or("") != "bert") return "generator";
  return file->get_int_or("bert.pooling_type", 0).value_or(0) == kRankPooling ? "reranker" : "embedder";
}

std::string kind_of_config(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxConfigBytes, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  const auto json = parse_json(text);
  const Json* architectures = json && json->is_object() ? find(json->get_object(), "architectures") : nullptr;
  const bool classifier = architectures != nullptr && architectures->is_array() && std::ranges::any_of(architectures->get_array(), [](const Json& name) {
    return name.is_string() && std::string_view(name.get_string()).ends_with("ForSequenceClassification");
  });
  return classifier ? "reranker" : "embedder";
}

}  // namespace

std::string kind_of(const fs::path& folder, const std::vector<StoredFile>& files) {
  const auto gguf = std::ranges::find_if(files, [](const auto& file) { return file.name.ends_with(".gguf"); });
  return gguf != files.end() ? kind_of_gguf(folder / gguf->name) : kind_of_config(folder / "config.json");
}

std::uint64_t StoredModel::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& file : files) sum += file.bytes;
  return sum;
}

Result<fs::path> StoredModel::weights() const {
  for (const auto& file : files)
    if (file.name.ends_with(".gguf")) return folder / file.name;
  return fail(ErrorCode::kNotFound, "{} holds no .gguf file", folder.string());
}

Result<StoredModel> ModelStore::read(const fs::path& folder) const {
  StoredModel model;
  const fs::path manifest = folder / kManifest;
  std::error_code problem;
  if (fs::exists(manifest, problem)) {
    std::ifstream in(manifest, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    STOA_TRY(parsed, parse_manifest(text, manifest));
    model = std::move(parsed);
  } else {
    for (const auto& entry : fs::directory_iterator(folder, problem))
      if (entry.is_regular_file(problem)) model.files.push_back({entry.path().filename().string(), {}, {}, entry.file_size(problem)});
    std::ranges::sort(model.files, {}, &StoredFile::name);
    model.kind = kind_of(folder, model.files);
  }
  model.name = folder.filename().string();
  model.folder = folder;
  return model;
}

Result<std::vector<StoredModel>> ModelStore::list() const {
  std::vector<StoredModel> models;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(root_, problem)) {
    if (!entry.is_directory(problem) || !is_model_name(entry.path().filename().string())) continue;
    STOA_TRY(model, read(entry.path()));
    if (!model.files.empty()) models.push_back(std::move(model));
  }
  std::ranges::sort(models, {}, &StoredModel::name);
  return models;
}

Result<StoredModel> ModelStore::find(const std::string& name) const {
  std::error_code problem;
  if (is_model_name(name) && fs::is_directory(root_ / name, problem)) {
    STOA_TRY(model, read(root_ / name));
    if (!model.files.empty()) return std::move(model);
  }
  return fail(error(ErrorCode::kNotFound, "model '{}' is not on this machine", name).with_hint("stoa pull " + name));
}

Result<std::string> file_sha256(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kNotFound, "cannot read {}", path.string());
  infra::Sha256 hash;
  std::string block(kBlock, '\0');
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0)
    hash.update(std::string_view(block).substr(0, static_cast<std::size_t>(in.gcount())));
  if (in.bad()) return fail(ErrorCode::kUnavailable, "cannot read {}", path.string());
  return infra::to_hex(hash.finish());
}

Status ModelStore::verify(const std::string& name) const {
  STOA_TRY(model, find(name));
  for (const auto& file : model.files) {
    if (file.sha256.empty())
      return fail(error(ErrorCode::kUnsupported, "{} has no recorded digest to compare with", (model.folder / file.name).string())
                      .with_hint("it was put there by hand; `stoa pull` records digests"));
    STOA_TRY(found, file_sha256(model.folder / file.name));
    if (found != file.sha256)
      return fail(error(ErrorCode::kDataLoss, "{} has changed: digest {} instead of {}", (model.folder / file.name).string(), found, file.sha256)
                      .with_hint(fmt::format("stoa models remove {0} && stoa pull {0}", name)));
  }
  return {};
}

Status ModelStore::remove(const std::string& name) const {
  STOA_TRY(model, find(name));
  std::error_code problem;
  fs::remove_all(model.folder, problem);
  if (problem) return fail(ErrorCode::kUnavailable, "cannot remove {}: {}", model.folder.string(), problem.message());
  return {};
}

Status ModelStore::write_manifest(const StoredModel& model) const {
  JsonArray files;
  for (const auto& file : model.files)
    files.push_back(JsonObject{{"name", file.name}, {"sha256", file.sha256}, {"bytes", file.bytes}, {"source", file.source}});
  const JsonObject manifest{{"name", model.name},       {"kind", model.kind}, {"about", model.about}, {"license", model.license},
                            {"pulled", to_rfc3339(model.pulled)}, {"files", files}};
  const fs::path path = model.folder / kManifest, fresh = model.folder / "manifest.json.new";
  std::ofstream out(fresh, std::ios::binary);
  out << dump_json_pretty(manifest) << '\n';
  out.close();
  std::error_code problem;
  if (out) fs::rename(fresh, path, problem);
  if (!out || problem) return fail(ErrorCode::kUnavailable, "cannot write {}", path.string());
  return {};
}

}  // namespace stoa::models
