// Signatures of requests to AWS, version 4 (AWS General Reference, "Signature Version 4 signing process").
#pragma once

#include <string>
#include <string_view>

#include "infra/http/message.h"

namespace stoa::infra {

struct AwsCredentials {
  std::string access_key, secret_key;
  std::string session_token{};  // of temporary ones; empty: none
};

struct SigningScope {
  std::string region, service;
  std::string time;  // "20150830T123600Z"
};

// What a request without query is signed with: the header Authorization for these headers, all of which are signed. `headers` must have host
// and x-amz-date; `path` is absolute and needs no escaping.
std::string sign_v4(const AwsCredentials& credentials, const SigningScope& scope, std::string_view method, std::string_view path, const HttpHeaders& headers,
                    std::string_view body);

}  // namespace stoa::infra
