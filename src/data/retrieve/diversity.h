// Maximal marginal relevance (Carbonell and Goldstein 1998): an order in which a passage that says what better ones have said already stands further down.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace stoa::data {

struct Chosen {
  std::size_t passage = 0;  // which one
  double likeness = 0;      // greatest cosine to one chosen before; 0 for the first
};

// Chooses up to `k`, one after the other, each time the one with the greatest (1 - diversity) * score - diversity * likeness; of equal ones the first. `vectors`: of unit
// length, or empty where nothing is known, which is like nothing. diversity 0 keeps the order of the scores. Time: k * scores.size() cosines.
std::vector<Chosen> choose_diverse(std::span<const double> scores, std::span<const std::vector<float>> vectors, double diversity, std::size_t k);

}  // namespace stoa::data
