#include "wiring/master_keys.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "governance/protection/sealer.h"
#include "governance/protection/server_secrets.h"
#include "infra/keys/aws/aws.h"
#include "infra/keys/file/file.h"
#include "infra/keys/pkcs11/pkcs11.h"
#include "infra/keys/vault/vault.h"
#include "wiring/egress.h"

namespace stoa::wiring {
namespace {

namespace fs = std::filesystem;

// Beside the data folder: a copy of that folder does not bring the key along.
Result<fs::path> key_file(const infra::Config& config) {
  std::error_code problem;
  const fs::path home = fs::weakly_canonical(config.home, problem);
  if (config.kms.file.empty()) return fs::path((home.has_filename() ? home : home.parent_path()).string() + ".keys");
  const fs::path file = fs::weakly_canonical(config.kms.file, problem);
  const auto apart = std::ranges::mismatch(home, file);
  if (apart.in1 == home.end())
    return fail(error(ErrorCode::kInvalidArgument, "kms.file: {} lies in the data folder, so whoever copies that folder has the key as well", file.string())
                    .with_hint(fmt::format("move it out, for example to {}.keys", home.string())));
  return file;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The secret in a file, without the line break at its end; or that of a variable where no file is named.
Result<std::string> secret(const std::string& file, const char* variable, std::string_view what, std::string_view key) {
  if (file.empty()) {
    std::string value = environment(variable);
    if (value.empty()) return fail(error(ErrorCode::kInvalidArgument, "there is no {}", what).with_hint(fmt::format("set {} to a file that holds it, or the variable {}", key, variable)));
    return value;
  }
  std::ifstream in(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (!in || text.empty() || text.size() > 4096) return fail(error(ErrorCode::kInvalidArgument, "{}: there is no {} in it", file, what).with_hint(fmt::format("check {}", key)));
  return text;
}

Result<infra::AwsCredentials> aws_credentials() {
  infra::AwsCredentials credentials{environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"), environment("AWS_SESSION_TOKEN")};
  if (credentials.access_key.empty() || credentials.secret_key.empty())
    return fail(error(ErrorCode::kPermissionDenied, "there are no credentials for AWS KMS").with_hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
  return credentials;
}

Result<std::unique_ptr<infra::KeyManagement>> open_provider(const infra::Config& config, std::string_view name, infra::HttpSender& http, bool create) {
  const auto& kms = config.kms;
  if (name == "file") {
    STOA_TRY(file, key_file(config));
    return infra::open_file_keys(file, create);
  }
  if (name == "pkcs11") {
    STOA_TRY(pin, secret(kms.pkcs11.pin_file, "STOA_PKCS11_PIN", "PIN of the token", "kms.pkcs11.pin_file"));
    return infra::open_pkcs11_keys({kms.pkcs11.module, kms.pkcs11.token, kms.pkcs11.key, std::move(pin)}, create);
  }
  if (name == "vault") {
    infra::VaultOptions options{.address = kms.vault.address, .mount = kms.vault.mount, .key = kms.vault.key, .name_space = kms.vault.name_space};
    options.token = [file = kms.vault.token_file] { return secret(file, "VAULT_TOKEN", "token for Vault", "kms.vault.token_file"); };
    return infra::open_vault_keys(http, std::move(options));
  }
  if (name == "aws") {
    infra::AwsKeysOptions options{.region = kms.aws.region, .key = kms.aws.key, .endpoint = kms.aws.endpoint, .credentials = aws_credentials};
    return infra::open_aws_keys(http, std::move(options));
  }
  return fail(ErrorCode::kInvalidArgument, "kms.previous: '{}' is not one of: file, pkcs11, vault, aws", name.substr(0, 40));
}

Result<std::unique_ptr<infra::Egress>> way_to_services(const infra::Config& config, governance::AuditLog& audit) {
  NamedPlaces places;
  for (const std::string& name : {config.kms.provider, config.kms.previous}) {
    if (name == "vault") places.emplace_back(infra::EgressPurpose::kKms, config.kms.vault.address);
    if (name == "aws") places.emplace_back(infra::EgressPurpose::kKms, config.kms.aws.endpoint.empty() ? fmt::format("https://kms.{}.amazonaws.com", config.kms.aws.region) : config.kms.aws.endpoint);
  }
  return open_egress(config, places, audit_egress(audit));
}

}  // namespace

Result<MasterKeyAccess> MasterKeyAccess::open(const infra::Config& config, infra::SqlDatabase& database, governance::AuditLog& audit) {
  MasterKeyAccess access;
  STOA_TRY(sealed_before, governance::Sealer::has_keys(database));
  STOA_TRY(wrapped_before, governance::ServerSecrets::any_wrapped(config.home));
  STOA_TRY(egress, way_to_services(config, audit));
  access.egress = std::move(egress);
  infra::HttpSender& http = access.egress->sender(infra::EgressPurpose::kKms);
  std::vector<std::unique_ptr<infra::KeyManagement>> providers;
  // A new provider beside a previous one may make its first key: what there is was wrapped by the other.
  const bool moving = !config.kms.previous.empty() && config.kms.previous != config.kms.provider;
  STOA_TRY(keys, open_provider(config, config.kms.provider, http, (!sealed_before && !wrapped_before) || moving));
  providers.push_back(std::move(keys));
  if (moving) {
    STOA_TRY(previous, open_provider(config, config.kms.previous, http, false));
    providers.push_back(std::move(previous));
  }
  access.keys = infra::join_keys(std::move(providers));
  return access;
}

}  // namespace stoa::wiring
