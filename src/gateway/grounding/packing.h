// Which text of the passages a model reads.
//
// The most relevant passages come first. Each has its sentences around the best one; while there is room, the text that surrounds it in its section
// joins it, sentence by sentence. Passages of one section never bring the same text twice.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/grounding/evidence.h"

namespace stoa::gateway {

// Bytes [begin, end) of the text around passages[passage].
struct PackedPassage {
  std::size_t passage = 0;
  std::string_view home;  // the passage's context where its text stands in it, else its text
  std::size_t begin = 0, end = 0;

  std::string_view text() const { return home.substr(begin, end - begin); }
};

// The first `count` passages, each with at most `bytes` around its most relevant sentence. A passage whose text an earlier one has is left out. The
// texts outlive the result.
std::vector<PackedPassage> pack_passages(const Evidence& evidence, std::span<const Passage> passages, std::size_t count, std::size_t bytes);

// Gives each in turn what surrounds it, up to `bytes` and as far as `fits` says. Errors: those of `fits`.
Status grow_passages(std::vector<PackedPassage>& packed, std::size_t bytes, const std::function<Result<bool>(const std::vector<PackedPassage>&)>& fits);

}  // namespace stoa::gateway
