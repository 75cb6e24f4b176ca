#include "data/retrieve/diversity.h"

#include <algorithm>

#include "data/index/index.h"

namespace stoa::data {

std::vector<Chosen> choose_diverse(std::span<const double> scores, std::span<const std::vector<float>> vectors, double diversity, std::size_t k) {
  std::vector<Chosen> chosen;
  std::vector<double> likeness(scores.size(), 0);
  std::vector<bool> taken(scores.size(), false);
  while (chosen.size() < std::min(k, scores.size())) {
    std::size_t best = scores.size();
    double most = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double gain = (1 - diversity) * scores[i] - diversity * likeness[i];
      if (taken[i] || (best < scores.size() && gain <= most)) continue;
      best = i;
      most = gain;
    }
    taken[best] = true;
    chosen.push_back({best, likeness[best]});
    const std::vector<float>& own = vectors[best];
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (!taken[i] && !own.empty() && vectors[i].size() == own.size()) likeness[i] = std::max(likeness[i], static_cast<double>(dot(own.data(), vectors[i].data(), own.size())));
  }
  return chosen;
}

}  // namespace stoa::data
