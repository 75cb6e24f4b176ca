// stoa bench: how fast this machine runs a model.
#include "commands/commands.h"

#include <algorithm>
#include <map>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "commands/connect.h"
#include "commands/terminal.h"
#include "models/formats/gguf.h"
#include "models/measure/engine_speed.h"
#include "models/registry/store.h"
#include "wiring/models.h"

namespace stoa::cli {
namespace {

namespace fs = std::filesystem;

struct WeightFacts {
  std::map<std::string_view, std::size_t> bytes_of_type;
  std::size_t read_per_token = 0;
};

Result<WeightFacts> weights_of(const fs::path& path) {
  STOA_TRY(file, models::GgufFile::open(path));
  WeightFacts facts;
  for (const auto& tensor : file.tensors()) facts.bytes_of_type[models::dtype_info(tensor.dtype).name] += tensor.data.size();
  facts.read_per_token = models::bytes_per_token(file);
  return facts;
}

Result<fs::path> weights_file(const infra::Config& config, const std::string& model) {
  std::error_code ignored;
  if (fs::is_regular_file(model, ignored)) return fs::path(model);
  STOA_TRY(stored, models::ModelStore(config.home).find(model.empty() ? config.models.generator : model));
  return stored.weights();
}

struct Measured {
  fs::path file;
  models::ModelReport model;
  WeightFacts weights;
  std::vector<models::SpeedRow> rows;
};

Result<Measured> measure(const Global& global, const BenchArguments& arguments) {
  configure_log(LogLevel::kWarning, LogFormat::kText);
  STOA_TRY(config, load_config(global));
  Measured measured;
  STOA_TRY(file, weights_file(config, arguments.model));
  measured.file = file;
  STOA_TRY(weights, weights_of(file));
  measured.weights = std::move(weights);
  models::EngineOptions options;
  options.scheduler.slots = models::kMeasureStreams;
  options.scheduler.outbox = models::kMeasureOutbox;
  options.scheduler.stall_limit = std::chrono::minutes(30);  // readers wait for all streams to have begun
  options.scheduler.guess_rows = 0;  // guesses come off or not with the text: the rows are what every text gets
  const int configured = arguments.threads > 0 ? arguments.threads : static_cast<int>(config.engine.threads);
  models::ThreadPool threads(configured > 0 ? configured : static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  STOA_TRY(backend, wiring::make_backend(threads, arguments.isa));
  Metrics metrics;
  STOA_TRY(generator, models::LocalGenerator::load(file, file.stem().string(), options, *backend, metrics));
  measured.model = generator->report();
  Progress progress;
  STOA_TRY(rows, models::measure_engine(*generator, threads, {arguments.runs, measured.weights.read_per_token, [&](std::string_view what) { progress.show(what); }}));
  measured.rows = std::move(rows);
  return measured;
}

JsonObject to_json(const Measured& measured) {
  JsonArray rows;
  for (const auto& row : measured.rows) {
    JsonObject object{{"row", row.what}, {"unit", row.unit}, {"median", row.median}, {"lowest", row.lowest}, {"highest", row.highest}, {"runs", row.runs}};
    if (row.bandwidth_share > 0) object["bandwidth_share"] = row.bandwidth_share;
    rows.push_back(std::move(object));
  }
  JsonObject types;
  for (const auto& [name, bytes] : measured.weights.bytes_of_type) types[name] = bytes;
  const auto& model = measured.model;
  return {{"file", measured.file.string()}, {"model", JsonObject{{"name", model.name}, {"architecture", model.architecture}, {"weight_type", model.weight_type}, {"tensor_bytes", types}}},
          {"kernels", model.isa}, {"threads", model.threads}, {"load_seconds", model.load_seconds}, {"rows", std::move(rows)}};
}

void print(const Measured& measured) {
  const auto& model = measured.model;
  std::string types;
  for (const auto& [name, bytes] : measured.weights.bytes_of_type) types += fmt::format("{}{} {}", types.empty() ? "" : ", ", name, human_bytes(static_cast<std::int64_t>(bytes)));
  fmt::print("{}: {} ({}), weights {}\n", measured.file.string(), model.name, model.architecture, types);
  fmt::print("kernels {}, {} threads, loaded in {:.2f} s\n\n", model.isa, model.threads, model.load_seconds);
  std::vector<std::vector<std::string>> lines{{"row", "median", "lowest", "highest", "unit", "of bandwidth"}};
  for (const auto& row : measured.rows)
    lines.push_back({row.what, fmt::format("{:.1f}", row.median), fmt::format("{:.1f}", row.lowest), fmt::format("{:.1f}", row.highest), row.unit,
                     row.bandwidth_share > 0 ? fmt::format("{:.0f} %", 100 * row.bandwidth_share) : ""});
  fmt::print("{}", table(lines));
}

}  // namespace

int bench_engine(const Global& global, const BenchArguments& arguments) {
  const auto measured = measure(global, arguments);
  if (!measured) return report(measured.error(), global.json);
  if (global.json) fmt::print("{}\n", dump_json_pretty(to_json(*measured)));
  else print(*measured);
  return kExitOk;
}

}  // namespace stoa::cli
