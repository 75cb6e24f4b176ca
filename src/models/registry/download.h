// One download into a file: resumed where an earlier one broke off, synced, and only then given its name.
#pragma once

#include <filesystem>
#include <string>

#include "models/registry/pull.h"

namespace stoa::models {

// Fetches `url` into `target`. Bytes arrive in `target`.part, which stays when the transfer breaks and is continued by the next call
// through a Range request (from the start again where the server does not do ranges or the content has changed). `report` is called
// with the bytes so far and in all (0 unknown). kNotFound for 404 and 410, kUnavailable for other statuses and transport errors.
Status download(infra::HttpSender& http, const std::string& url, const infra::HttpHeaders& headers, const std::filesystem::path& target,
                const PullOptions& options, const std::function<void(std::uint64_t, std::uint64_t)>& report);

}  // namespace stoa::models
