// Master keys in a file: the embedded default. The file has to lie outside of the data folder, so that a copy of that folder alone reveals
// nothing, and has to be backed up apart from it: who loses it loses the data.
//
// Format: lines of text; '#' begins a comment. "stoa-master-keys 1", then for each version "<number> <time, RFC 3339> <base64 of 32 bytes>".
#pragma once

#include <filesystem>
#include <memory>

#include "infra/keys/keys.h"

namespace stoa::infra {

// Opens the file, or makes it with one key (mode 0600, written whole and synced before it appears) when it is absent and `create` is set;
// this is logged once. kNotFound when absent otherwise; kPermissionDenied when others than its owner may read it; kDataLoss when it is
// damaged. Several processes may use one file: a version that another added is found when it is asked for.
Result<std::unique_ptr<KeyManagement>> open_file_keys(const std::filesystem::path& file, bool create, const Clock& clock = Clock::system());

}  // namespace stoa::infra
