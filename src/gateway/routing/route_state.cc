#include "gateway/routing/route_state.h"

#include <algorithm>
#include <chrono>

namespace stoa::gateway {
namespace {

// FNV-1a, eight bytes at a time once the text is long enough to matter.
struct Hash {
  std::uint64_t value = 0xcbf29ce484222325;
  void add(std::string_view text) {
    for (const char byte : text) value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
};

}  // namespace

void PartBudget::add(int percent) {
  std::lock_guard lock(mutex_);
  balance_ = std::min(kMost, balance_ + percent / 100.0);
}

bool PartBudget::take(SteadyTime now) {
  std::lock_guard lock(mutex_);
  reserve_ = std::min(kMostReserve, filled_ == SteadyTime{} ? per_second_ : reserve_ + std::chrono::duration<double>(now - filled_).count() * per_second_);
  filled_ = now;
  for (double* from : {&balance_, &reserve_})
    if (*from >= 1) {
      *from -= 1;
      return true;
    }
  return false;
}

std::vector<std::uint64_t> PrefixTable::blocks(const ChatRequest& request, std::string_view salt) {
  std::vector<std::uint64_t> ends;
  Hash hash;
  hash.add(salt);
  std::size_t filled = 0;
  const auto add = [&](std::string_view text) {
    while (!text.empty() && ends.size() < kMostBlocks) {
      const std::string_view part = text.substr(0, kBlockBytes - filled);
      hash.add(part);
      text.remove_prefix(part.size());
      filled += part.size();
      if (filled < kBlockBytes) return;
      filled = 0;
      ends.push_back(hash.value);
    }
  };
  for (const ToolDefinition& tool : request.tools) {
    add(tool.name);
    add(tool.parameters);
  }
  for (const ChatMessage& message : request.messages) {
    add(message.role);
    add(message.content);
  }
  add(request.prompt);
  add(request.suffix);
  if (filled > 0 && ends.size() < kMostBlocks) ends.push_back(hash.value);  // an equal prompt is known to its end
  return ends;
}

std::size_t PrefixTable::matched(std::string_view target, const std::vector<std::uint64_t>& blocks) const {
  std::lock_guard lock(mutex_);
  const auto known = targets_.find(target);
  if (known == targets_.end()) return 0;
  std::size_t count = 0;
  while (count < blocks.size() && known->second.places.contains(blocks[count])) ++count;
  return count;
}

void PrefixTable::sent(std::string_view target, const std::vector<std::uint64_t>& blocks) {
  std::lock_guard lock(mutex_);
  auto found = targets_.find(target);
  if (found == targets_.end()) found = targets_.emplace(target, Known{}).first;
  Known& known = found->second;
  // The last blocks first: the beginnings are used by more prompts, and are forgotten later.
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    if (const auto place = known.places.find(*block); place != known.places.end()) {
      known.recent.splice(known.recent.begin(), known.recent, place->second);
      continue;
    }
    known.recent.push_front(*block);
    known.places.emplace(*block, known.recent.begin());
  }
  for (; known.recent.size() > kMostKnown; known.recent.pop_back()) known.places.erase(known.recent.back());
}

void RouteState::served(std::string_view target, const Usage& usage) {
  std::lock_guard lock(mutex_);
  auto found = means_.find(target);
  if (found == means_.end()) found = means_.emplace(target, Mean{static_cast<double>(usage.completion_tokens), static_cast<double>(usage.compute_micros)}).first;
  Mean& mean = found->second;
  mean.completion += (static_cast<double>(usage.completion_tokens) - mean.completion) * kWeight;
  mean.compute_micros += (static_cast<double>(usage.compute_micros) - mean.compute_micros) * kWeight;
}

Usage RouteState::expected(std::string_view target) const {
  std::lock_guard lock(mutex_);
  const auto found = means_.find(target);
  const Mean mean = found == means_.end() ? Mean{} : found->second;
  return {.completion_tokens = static_cast<std::int64_t>(mean.completion), .compute_micros = static_cast<std::int64_t>(mean.compute_micros)};
}

}  // namespace stoa::gateway
