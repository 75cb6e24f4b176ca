// Blobs as files: <root>/ab/cdef... where "abcdef..." is the hexadecimal digest; unfinished ones in <root>/tmp.
// A blob is written, fsynced, renamed, and its folder fsynced, so a crash leaves it whole or absent.
#pragma once

#include <filesystem>
#include <memory>

#include "infra/blob/blob.h"

namespace stoa::infra {

// Creates `root` when absent and removes what earlier processes left unfinished: one process at a time owns a root.
Result<std::unique_ptr<BlobStore>> open_disk_blobs(const std::filesystem::path& root);

}  // namespace stoa::infra
