#include "models/engine/model_report.h"

#include <algorithm>
#include <map>

#include "base/log.h"

namespace stoa::models {

std::vector<TensorGroup> group_tensors(const GgufFile& file, const Backend& backend) {
  std::map<DType, TensorGroup> groups;
  for (const TensorView& tensor : file.tensors()) {
    // Vectors (norms, biases) take no part in products.
    if (tensor.shape.size() < 2 || !can_compute(tensor.dtype)) continue;
    TensorGroup& group = groups[tensor.dtype];
    ++group.tensors;
    group.bytes += tensor.data.size();
  }
  std::vector<TensorGroup> out;
  for (auto& [dtype, group] : groups) {
    group.type = dtype_info(dtype).name;
    group.kernel = backend.product_kernel(dtype);
    out.push_back(std::move(group));
  }
  std::ranges::stable_sort(out, [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  return out;
}

void log_report(const ModelReport& r, const std::string& file) {
  log(LogLevel::kInfo, "model loaded",
      {{"model", r.name}, {"file", file}, {"draft_model", r.draft_model}, {"architecture", r.architecture}, {"weights", r.weight_type}, {"isa", r.isa},
       {"threads", std::int64_t{r.threads}}, {"context", std::int64_t{r.context_length}}, {"weight_bytes", static_cast<std::int64_t>(r.memory.weights)},
       {"kv_bytes", static_cast<std::int64_t>(r.memory.keys_and_values)}, {"activation_bytes", static_cast<std::int64_t>(r.memory.activations)},
       {"available_bytes", static_cast<std::int64_t>(r.available.value_or(0))}, {"seconds", r.load_seconds}});
  for (const TensorGroup& group : r.tensors)
    log(LogLevel::kInfo, "weights", {{"model", r.name}, {"type", group.type}, {"tensors", std::int64_t{group.tensors}}, {"bytes", static_cast<std::int64_t>(group.bytes)}, {"kernel", group.kernel}});
  for (const ReportedChoice& choice : r.choices) log(LogLevel::kInfo, choice.what, {{"model", r.name}, {"value", choice.value}, {"why", choice.why}});
}

}  // namespace stoa::models
