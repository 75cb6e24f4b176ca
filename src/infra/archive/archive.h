// One file out of a zip (a Python wheel is one) or tar archive, within limits. Nothing in an archive is trusted or run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace stoa::infra {

struct ArchiveLimits {
  std::uint64_t max_bytes = 16ull << 30;  // of the extracted file
  std::size_t max_members = 1'000'000;    // looked at before giving up
};

// Writes the member named exactly `member` to the new file `target` (its folder exists), synced to disk. The name of the target is
// the caller's choice, so a hostile member name cannot lead elsewhere. On an error `target` does not exist.
// Errors: kNotFound (no such member), kDataLoss (not an archive, or broken), kTooLarge, kUnavailable / kResourceExhausted (writing).
Status extract_member(const std::filesystem::path& archive, const std::string& member, const std::filesystem::path& target,
                      const ArchiveLimits& limits = {});

}  // namespace stoa::infra
