// Signatures of requests to AWS, version 4 (AWS General Reference, "Signature Version 4 signing process").
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "infra/http/message.h"
#include "infra/http/sender.h"

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
// and x-amz-date; `path` is absolute, as it is sent: it is encoded once more, as all services but S3 want it.
std::string sign_v4(const AwsCredentials& credentials, const SigningScope& scope, std::string_view method, std::string_view path, const HttpHeaders& headers,
                    std::string_view body);

// Adds what makes `request`, whole but for this, one that a service of AWS takes: time, session token and signature. kInvalidArgument for a URL that
// cannot be read or has a query.
Status sign_request(HttpClientRequest& request, const AwsCredentials& credentials, std::string_view region, std::string_view service, Micros now);

}  // namespace stoa::infra
