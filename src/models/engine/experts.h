// A mixture of experts: a router sends each row through a few of many feed-forwards.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/compute/compute.h"
#include "models/engine/decoder_weights.h"

namespace stoa::models {

// gate = activation(gate) * up
void activate(Compute& compute, Activation activation, float* gate, const float* up, std::int64_t count);

// Rows are sorted by expert, so that each expert's matrices are read once a step however many rows take it. Owns scratch memory that
// keeps the size of the largest step; one thread at a time.
class ExpertMixture {
 public:
  // out += what the experts (and the shared one) make of x; both [rows][config.width], contiguous.
  void run(Compute& compute, const DecoderConfig& config, const LayerWeights& layer, const float* x, int rows, float* out);

  // Of the scratch memory for so many rows.
  static std::size_t bytes(const DecoderConfig& config, int rows);

 private:
  struct Choice {
    std::int32_t expert = 0;
    float weight = 0;
    std::int32_t place = 0;  // of the row among those sorted by expert
  };

  void route(Compute& compute, const DecoderConfig& config, const LayerWeights& layer, const float* x, int rows);
  void add_shared(Compute& compute, const DecoderConfig& config, const LayerWeights& layer, const float* x, int rows, float* out);

  std::vector<float> scores_;          // [rows][experts]
  std::vector<Choice> choices_;        // [rows][used]
  std::vector<std::int32_t> begin_;    // of each expert's rows among the sorted ones; one more at the end
  std::vector<std::int32_t> ranking_;  // of experts, for one row
  std::vector<float> sorted_, gate_, up_;
};

}  // namespace stoa::models
