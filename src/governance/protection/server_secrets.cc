#include "governance/protection/server_secrets.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "infra/crypto/encoding.h"
#include "infra/files/files.h"

namespace stoa::governance {
namespace {

namespace fs = std::filesystem;
using infra::File;
using infra::SecretKey;

constexpr std::string_view kMagic = "stoa-wrapped-secret ", kFormat = "1";
constexpr std::size_t kMaxFile = 16 << 10;  // a wrapped key of a service and its names are a few hundred bytes
constexpr int kAttempts = 4;
constexpr auto kLockPause = std::chrono::milliseconds(10);
constexpr int kLockAttempts = 500;

// What it takes to go on without the secret.
std::string_view if_lost(ServerSecret secret) {
  switch (secret) {
    case ServerSecret::kApiKeys: return "delete the file and make all keys anew";
    case ServerSecret::kTokenSigning: return "delete the file; tokens of jobs and break-glass tokens then have to be made anew";
    case ServerSecret::kAuditSigning: return "delete the file, and give out the new key of the audit log's checkpoints";
  }
  return "delete the file";
}

// What it is bound to at the key management.
std::string context_of(ServerSecret secret) { return fmt::format("secret {}", secret_name(secret)); }

Error damaged(const fs::path& path, ServerSecret secret, std::string_view what) {
  return error(ErrorCode::kUnavailable, "{}: damaged, {}", path.string(), what).with_hint(fmt::format("restore it from a backup, or {}", if_lost(secret)));
}

// `forbidden`: mode bits of group and others that let them have or replace the secret.
Status check_mode(const File& file, unsigned forbidden, std::string_view mode, ServerSecret secret) {
  const fs::path& path = file.path();
  struct stat info {};
  if (::fstat(file.descriptor(), &info) != 0) return fail(infra::file_error(path, "look at"));
  if ((info.st_mode & forbidden) == 0) return {};
  return fail(error(ErrorCode::kUnavailable, "{}: mode {:04o} gives other users of this machine access to the secret", path.string(), info.st_mode & 07777u)
                  .with_hint(fmt::format("chmod {} {}; if others may have read it, {}", mode, path.string(), if_lost(secret))));
}

// Nothing where there is no file.
Result<std::optional<std::string>> read_text(const fs::path& path, ServerSecret secret) {
  const File file(path, O_RDONLY);
  if (!file.is_open()) {
    if (errno == ENOENT) return std::nullopt;
    return fail(infra::file_error(path, "open"));
  }
  STOA_CHECK(check_mode(file, 077, "600", secret));
  STOA_TRY(bytes, file.read_at(0, kMaxFile + 1));
  if (bytes.size() > kMaxFile) return fail(damaged(path, secret, "it is far too long"));
  std::string text(as_text(bytes));
  infra::wipe(bytes);
  return text;
}

bool is_wrapped(std::string_view text) { return text.starts_with(kMagic); }

Result<infra::WrappedKey> parse_wrapped(const fs::path& path, ServerSecret secret, std::string_view text) {
  text.remove_prefix(kMagic.size());
  const auto line = [&text](std::string_view name) -> std::optional<std::string_view> {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !text.starts_with(name)) return std::nullopt;
    const std::string_view value = text.substr(name.size(), end - name.size());
    text.remove_prefix(end + 1);
    return value;
  };
  const auto format = line("");
  if (format && *format != kFormat)
    return fail(error(ErrorCode::kUnavailable, "{}: format {} is not known to this release", path.string(), format->substr(0, 20)).with_hint("use the release that wrote it, or a later one"));
  const auto provider = line("provider "), master = line("master "), blob = line("wrapped ");
  if (!format || !provider || !master || !blob || !text.empty()) return fail(damaged(path, secret, "a provider, a master key and a wrapped secret are expected, a line each"));
  auto bytes = infra::from_base64(*blob);
  if (!bytes || bytes->empty()) return fail(damaged(path, secret, "what is wrapped is no base64"));
  return infra::WrappedKey{std::string(*provider), std::string(*master), std::move(*bytes)};
}

// As releases before this one wrote them: hexadecimal digits.
Result<SecretKey> parse_plain(const fs::path& path, ServerSecret secret, std::string_view digits) {
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  auto bytes = infra::from_hex(digits);
  if (bytes && bytes->size() == SecretKey::kBytes) {
    auto key = SecretKey::from(*bytes);
    infra::wipe(*bytes);
    return key;
  }
  return fail(damaged(path, secret, fmt::format("'{}{}' is expected", kMagic, kFormat)));
}

// Until the folder is closed.
Status lock(const File& folder) {
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    if (::flock(folder.descriptor(), LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK && errno != EINTR) return fail(infra::file_error(folder.path(), "lock"));
    std::this_thread::sleep_for(kLockPause);
  }
  return fail(error(ErrorCode::kUnavailable, "{}: another process holds it", folder.path().string()).with_hint("try again"));
}

// Those of a process that was killed while it wrote; earlier releases wrote secrets there in plain.
void remove_leftovers(const fs::path& folder, std::string_view name) {
  std::error_code problem;
  for (fs::directory_iterator each(folder, problem), end; !problem && each != end; each.increment(problem)) {
    const std::string file = each->path().filename().string();
    if (file.size() > name.size() && file.starts_with(name) && file[name.size()] == '.') ::unlink(each->path().c_str());
  }
}

}  // namespace

std::string_view secret_name(ServerSecret secret) {
  switch (secret) {
    case ServerSecret::kApiKeys: return "api-keys";
    case ServerSecret::kTokenSigning: return "token-signing";
    case ServerSecret::kAuditSigning: return "audit-signing";
  }
  return "unknown";
}

Result<bool> ServerSecrets::any_wrapped(const fs::path& home) {
  for (const ServerSecret secret : kServerSecrets) {
    STOA_TRY(text, read_text(home / "secrets" / secret_name(secret), secret));
    if (text && is_wrapped(*text)) return true;
  }
  return false;
}

Result<std::string> ServerSecrets::wrapped(ServerSecret secret, const SecretKey& key) {
  auto blob = keys_.wrap(key, context_of(secret));
  if (!blob) return fail(std::move(blob).error().in(fmt::format("{}: cannot be wrapped", (folder_ / secret_name(secret)).string())));
  return fmt::format("{}{}\nprovider {}\nmaster {}\nwrapped {}\n", kMagic, kFormat, blob->provider, blob->master, infra::to_base64(blob->blob));
}

Result<SecretKey> ServerSecrets::unwrapped(ServerSecret secret, const infra::WrappedKey& blob) {
  auto key = keys_.unwrap(blob, context_of(secret));
  if (key) return key;
  Error problem = std::move(key).error().in(fmt::format("{}: cannot be unwrapped", (folder_ / secret_name(secret)).string()));
  if (problem.code != ErrorCode::kUnavailable)
    problem.hint = fmt::format("bring back the master key that this data folder was written with (kms.*: {}, version '{}'); if it is lost for good, {}", blob.provider.substr(0, 40), blob.master.substr(0, 200),
                               if_lost(secret));
  return fail(std::move(problem));
}

Result<bool> ServerSecrets::exchange(ServerSecret secret, const std::optional<std::string>& seen, std::string_view text) const {
  const fs::path path = folder_ / secret_name(secret);
  const File folder(folder_, O_RDONLY | O_DIRECTORY);
  if (!folder.is_open()) return fail(infra::file_error(folder_, "open"));
  STOA_CHECK(lock(folder));
  STOA_TRY(now, read_text(path, secret));
  if (now != seen) return false;
  remove_leftovers(folder_, secret_name(secret));
  return infra::write_whole(path, as_bytes(text), infra::IfExists::kReplace);
}

Result<SecretKey> ServerSecrets::load(ServerSecret secret) {
  std::lock_guard lock(mutex_);
  if (const auto known = loaded_.find(secret); known != loaded_.end()) return known->second;
  STOA_TRY(key, read(secret));
  loaded_.emplace(secret, key);
  return key;
}

Result<SecretKey> ServerSecrets::read(ServerSecret secret) {
  const fs::path path = folder_ / secret_name(secret);
  if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return fail(infra::file_error(folder_, "make"));
  {
    const File folder(folder_, O_RDONLY | O_DIRECTORY);
    if (!folder.is_open()) return fail(infra::file_error(folder_, "open"));
    STOA_CHECK(check_mode(folder, 022, "700", secret));
  }
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    STOA_TRY(text, read_text(path, secret));
    if (text && is_wrapped(*text)) {
      STOA_TRY(blob, parse_wrapped(path, secret, *text));
      return unwrapped(secret, blob);
    }
    STOA_TRY(key, text ? parse_plain(path, secret, *text) : SecretKey::random());
    STOA_TRY(fresh, wrapped(secret, key));
    STOA_TRY(placed, exchange(secret, text, fresh));
    if (placed && text) log(LogLevel::kInfo, "a secret that lay in plain is wrapped by the master key now", {{"file", path.string()}});
    if (text) infra::wipe(std::as_writable_bytes(std::span(*text)));
    if (placed) return key;
  }
  return fail(error(ErrorCode::kUnavailable, "{}: is being changed by others", path.string()).with_hint("try again"));
}

Result<std::int64_t> ServerSecrets::rewrap(const infra::MasterKeyStatus& current) {
  std::int64_t count = 0;
  for (const ServerSecret secret : kServerSecrets) {
    const fs::path path = folder_ / secret_name(secret);
    STOA_TRY(text, read_text(path, secret));
    if (!text) continue;  // made when it is first needed
    if (!is_wrapped(*text)) {
      STOA_CHECK(read(secret));
      ++count;
      continue;
    }
    STOA_TRY(blob, parse_wrapped(path, secret, *text));
    if (blob.provider == current.provider && !current.current.empty() && blob.master == current.current) continue;
    STOA_TRY(key, unwrapped(secret, blob));
    STOA_TRY(fresh, wrapped(secret, key));
    STOA_TRY(placed, exchange(secret, text, fresh));  // otherwise another process has done it just now
    count += placed ? 1 : 0;
  }
  return count;
}

Result<std::vector<ServerSecretStatus>> ServerSecrets::status() const {
  std::vector<ServerSecretStatus> all;
  for (const ServerSecret secret : kServerSecrets) {
    const fs::path path = folder_ / secret_name(secret);
    STOA_TRY(text, read_text(path, secret));
    if (!text || !is_wrapped(*text)) continue;
    STOA_TRY(blob, parse_wrapped(path, secret, *text));
    all.push_back({secret_name(secret), std::move(blob.provider), std::move(blob.master)});
  }
  return all;
}

}  // namespace stoa::governance
