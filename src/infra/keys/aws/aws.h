// Master keys in AWS KMS: a symmetric key encrypts and decrypts, and stays there. The context is KMS's encryption context, under the name
// "stoa", so that key policies and CloudTrail see which project a call was for. Rotation is KMS's own (yearly, or on demand): nothing has to be
// wrapped anew for it.
//
// The role needs kms:Encrypt, kms:Decrypt and kms:DescribeKey on the key.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "infra/aws/sigv4.h"
#include "infra/http/sender.h"
#include "infra/keys/keys.h"

namespace stoa::infra {

struct AwsKeysOptions {
  std::string region;                // "eu-central-1"
  std::string key;                   // id, ARN, or "alias/NAME"
  std::string endpoint{};            // empty: the region's own
  std::function<Result<AwsCredentials>()> credentials;  // asked before each call
  milliseconds timeout{5'000};       // of one attempt
  int attempts = 3;                  // when throttled or out of reach
  milliseconds pause{100};           // before the second attempt; twice as long before each further one
};

// `http` and `clock` outlive it. kInvalidArgument without region or key.
Result<std::unique_ptr<KeyManagement>> open_aws_keys(HttpSender& http, AwsKeysOptions options, const Clock& clock = Clock::system());

}  // namespace stoa::infra
