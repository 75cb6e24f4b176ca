// Tensors of a model file by name, with their shapes checked: the one place that words what is wrong with them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/compute/weights.h"
#include "models/formats/gguf.h"
#include "models/formats/safetensors.h"

namespace stoa::models {

// Refers to the file: what it hands out lives as long as the file does. Errors are kDataLoss (missing, ill-shaped; both shapes are
// named) or kUnsupported (a type no kernel takes), and name file and tensor.
class TensorSource {
 public:
  explicit TensorSource(const GgufFile& file);
  explicit TensorSource(const SafetensorsFile& file);

  std::span<const std::byte> mapped() const { return mapped_; }  // the file's bytes, where it is mapped
  bool has(std::string_view name) const { return find_(name) != nullptr; }
  // A matrix in place: `rows` outputs by `cols` inputs.
  Result<Weights> matrix(const std::string& name, int rows, int cols) const;
  // `count` matrices of that shape in one tensor of three dimensions (experts).
  Result<std::vector<Weights>> matrices(const std::string& name, int count, int rows, int cols) const;
  // A vector of n values, copied as float32 (it is small and may be stored in any float type).
  Result<std::vector<float>> vector(const std::string& name, int n) const;
  // The same, or an empty vector when the file has no such tensor.
  Result<std::vector<float>> optional_vector(const std::string& name, int n) const;

 private:
  Result<const TensorView*> need(const std::string& name, std::vector<std::int64_t> shape) const;

  std::string file_;
  std::span<const std::byte> mapped_;
  std::function<const TensorView*(std::string_view)> find_;
};

// All values as float32, whatever float type they are stored in. Error: kUnsupported for other types.
Result<std::vector<float>> read_floats(const TensorView& tensor);

// `count` rows of w from row `first` on, which it has.
Weights rows_of(const Weights& w, int first, int count);

}  // namespace stoa::models
