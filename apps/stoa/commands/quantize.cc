// stoa quantize: a GGUF file in another weight type.
#include "commands/commands.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "base/json.h"
#include "commands/terminal.h"
#include "models/quantize/quantize.h"

namespace stoa::cli {
namespace {

// Ctrl-C ends the work between two pieces, so that no half-written file stays. A handler reaches only what is global.
std::atomic<bool> interrupted = false;

models::QuantizeOptions options_of(const models::Recipe& recipe, const QuantizeArguments& arguments, Progress& progress) {
  models::QuantizeOptions options{.recipe = recipe, .pure = arguments.pure, .requantize = arguments.requantize, .force = arguments.force, .progress = {}};
  options.progress = [&progress](const models::QuantizeProgress& state) {
    progress.show(fmt::format("{}/{} {}: {} of {} ({} %)", state.done, state.tensors, state.tensor, human_bytes(static_cast<std::int64_t>(state.bytes)),
                              human_bytes(static_cast<std::int64_t>(state.total_bytes)), 100 * state.bytes / std::max<std::uint64_t>(state.total_bytes, 1)));
    return !interrupted.load();
  };
  return options;
}

JsonObject to_json(const models::QuantizeReport& done, const models::Recipe& recipe, double seconds) {
  JsonArray tensors;
  for (const auto& tensor : done.tensors) {
    JsonObject object{{"name", tensor.name}, {"from", models::dtype_info(tensor.from).name}, {"to", models::dtype_info(tensor.to).name}, {"bytes", tensor.bytes}};
    if (!tensor.note.empty()) object["note"] = tensor.note;
    tensors.push_back(std::move(object));
  }
  return {{"type", recipe.name}, {"bytes_in", done.bytes_in}, {"bytes_out", done.bytes_out}, {"bits_per_weight", done.bits_per_weight},
          {"seconds", seconds}, {"tensors", std::move(tensors)}};
}

void print(const models::QuantizeReport& done, const QuantizeArguments& arguments, double seconds) {
  std::map<std::string_view, int> kinds;
  std::map<std::string, int> fallbacks;
  for (const auto& tensor : done.tensors) {
    ++kinds[models::dtype_info(tensor.to).name];
    if (!tensor.note.empty()) ++fallbacks[fmt::format("{}: {} instead", tensor.note, models::dtype_info(tensor.to).name)];
  }
  std::string types;
  for (const auto& [name, count] : kinds) types += fmt::format("{}{} x {}", types.empty() ? "" : ", ", count, name);
  fmt::print("{} {} -> {} {}, {:.2f} bits a weight, in {:.1f} s\n", arguments.input, human_bytes(static_cast<std::int64_t>(done.bytes_in)), bold(arguments.output),
             human_bytes(static_cast<std::int64_t>(done.bytes_out)), done.bits_per_weight, seconds);
  fmt::print("tensors: {}\n", types);
  for (const auto& [note, count] : fallbacks) fmt::print("{} of {} tensors: {}\n", count, done.tensors.size(), note);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> quantize_types() {
  std::vector<std::pair<std::string, std::string>> types;
  for (const auto& recipe : models::recipes()) types.emplace_back(recipe.name, recipe.about);
  return types;
}

int quantize(const Global& global, const QuantizeArguments& arguments) {
  const auto recipe = models::find_recipe(arguments.type);
  if (!recipe) return report(recipe.error(), global.json);
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  const auto start = std::chrono::steady_clock::now();
  models::ThreadPool threads(arguments.threads > 0 ? arguments.threads : static_cast<int>(std::thread::hardware_concurrency()));
  Progress progress;
  const auto done = models::quantize_file(arguments.input, arguments.output, options_of(*recipe, arguments, progress), threads);
  progress.finish();
  if (!done) return report(done.error(), global.json);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (global.json) fmt::print("{}\n", dump_json_pretty(to_json(*done, *recipe, seconds)));
  else print(*done, arguments, seconds);
  return kExitOk;
}

}  // namespace stoa::cli
