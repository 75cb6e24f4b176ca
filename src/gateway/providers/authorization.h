// What proves to a cloud who asks, where that is more than a key in a header: signatures of AWS, tokens of Google.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "gateway/providers/provider.h"
#include "infra/http/sender.h"

namespace stoa::gateway {

// Adds it to a request that is otherwise whole; for families that put their key into a header themselves, and without a credential, it does nothing. Errors: kUnavailable
// with the next step for a credential or a region that cannot be used; those of AccessTokens::get.
Status authorize(const ProviderTarget& target, const std::string& credential, infra::HttpSender& sender, infra::HttpClientRequest& request, const Clock& clock = Clock::system());

// What of a request and its credential nobody may read in a message.
std::vector<std::string> secrets_of(const infra::HttpClientRequest& request, const std::string& credential);

// "eu-central-1" of "https://bedrock-runtime.eu-central-1.amazonaws.com"; empty: the URL does not tell.
std::string region_of_url(std::string_view url);

}  // namespace stoa::gateway
