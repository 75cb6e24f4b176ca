#include "infra/config/config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <variant>

#include "infra/config/yaml.h"

namespace stoa::infra {
namespace {

constexpr std::int64_t kGiB = std::int64_t{1} << 30;
constexpr std::int64_t kMaxBytes = 1024 * kGiB;

enum class Type { kInteger, kBytes, kBoolean, kText, kPath };
using Field = std::variant<std::int64_t*, bool*, std::string*>;

struct Row {
  std::string_view key;
  Type type;
  Field (*field)(Config&);
  std::int64_t min, max;     // integers and bytes
  std::string_view choices;  // texts: "a | b", or empty for any
  std::string_view meaning;
};

// Every key of the configuration.
constexpr std::array kRows{
    Row{"home", Type::kPath, [](Config& c) -> Field { return &c.home; }, 0, 0, "",
        "Data folder: databases, blobs, models, secrets. Without it: ~/.local/share/stoa."},
    Row{"server.address", Type::kText, [](Config& c) -> Field { return &c.server.address; }, 0, 0, "",
        "Address to listen on. Anything but loopback should come with server.tls or a proxy that has it."},
    Row{"server.port", Type::kInteger, [](Config& c) -> Field { return &c.server.port; }, 0, 65535, "", "Port to listen on; 0 takes a free one."},
    Row{"server.tls.cert", Type::kPath, [](Config& c) -> Field { return &c.server.tls.cert; }, 0, 0, "",
        "Certificate chain in PEM; empty for plain HTTP. Goes with server.tls.key."},
    Row{"server.tls.key", Type::kPath, [](Config& c) -> Field { return &c.server.tls.key; }, 0, 0, "", "Private key of the certificate in PEM."},
    Row{"server.tls.minimum", Type::kText, [](Config& c) -> Field { return &c.server.tls.minimum; }, 0, 0, "1.3 | 1.2", "Oldest TLS version that clients may speak."},
    Row{"server.tls.client_ca", Type::kPath, [](Config& c) -> Field { return &c.server.tls.client_ca; }, 0, 0, "",
        "Certificates (PEM) of the authorities whose client certificates are believed; empty: clients are not asked for one."},
    Row{"server.tls.client_required", Type::kBoolean, [](Config& c) -> Field { return &c.server.tls.client_required; }, 0, 0, "",
        "Clients without a certificate of server.tls.client_ca cannot connect. The listener for nodes always asks for one."},
    Row{"server.admin.address", Type::kText, [](Config& c) -> Field { return &c.server.admin.address; }, 0, 0, "",
        "Address of a listener of its own for administration, which server.address then no longer serves; empty: one listener for both."},
    Row{"server.admin.port", Type::kInteger, [](Config& c) -> Field { return &c.server.admin.port; }, 0, 65535, "", "Port of that listener."},
    Row{"server.admin.serves_public", Type::kBoolean, [](Config& c) -> Field { return &c.server.admin.serves_public; }, 0, 0, "",
        "That listener serves the public API and the console as well, so that one URL is enough for operators."},
    Row{"server.node.address", Type::kText, [](Config& c) -> Field { return &c.server.node.address; }, 0, 0, "",
        "Address of a listener of its own for other nodes; empty: none apart."},
    Row{"server.node.port", Type::kInteger, [](Config& c) -> Field { return &c.server.node.port; }, 0, 65535, "", "Port of that listener."},
    Row{"server.workers", Type::kInteger, [](Config& c) -> Field { return &c.server.workers; }, 1, 1024, "",
        "Threads that run requests, so also how many run at the same time: a stream holds its thread until it ends."},
    Row{"server.io_threads", Type::kInteger, [](Config& c) -> Field { return &c.server.io_threads; }, 1, 64, "", "Threads that read and write connections."},
    Row{"server.max_connections", Type::kInteger, [](Config& c) -> Field { return &c.server.max_connections; }, 1, 100'000, "",
        "Open connections; further ones are refused."},
    Row{"server.drain_seconds", Type::kInteger, [](Config& c) -> Field { return &c.server.drain_seconds; }, 0, 3600, "",
        "How long running requests may go on after the signal to stop."},
    Row{"server.region", Type::kText, [](Config& c) -> Field { return &c.server.region; }, 0, 0, "",
        "Region this server works in, such as eu-central: what policies ask for as context.region. Empty: not known."},
    Row{"egress.providers", Type::kText, [](Config& c) -> Field { return &c.egress.providers; }, 0, 0, "",
        "Where requests to model providers may go: see network.md for the entries. Empty: nowhere."},
    Row{"egress.pulls", Type::kText, [](Config& c) -> Field { return &c.egress.pulls; }, 0, 0, "",
        "Where models may be fetched from, besides what a command or HF_ENDPOINT and PIP_INDEX_URL name."},
    Row{"egress.tools", Type::kText, [](Config& c) -> Field { return &c.egress.tools; }, 0, 0, "", "Where tools of agents may reach."},
    Row{"egress.crawls", Type::kText, [](Config& c) -> Field { return &c.egress.crawls; }, 0, 0, "", "Where documents may be fetched from."},
    Row{"egress.webhooks", Type::kText, [](Config& c) -> Field { return &c.egress.webhooks; }, 0, 0, "", "Where events may be posted to."},
    Row{"egress.issuers", Type::kText, [](Config& c) -> Field { return &c.egress.issuers; }, 0, 0, "", "Where the issuers of identities may be."},
    Row{"egress.kms", Type::kText, [](Config& c) -> Field { return &c.egress.kms; }, 0, 0, "", "Where key management services may be, besides the one that is configured."},
    Row{"egress.ca_file", Type::kPath, [](Config& c) -> Field { return &c.egress.ca_file; }, 0, 0, "",
        "Certificates (PEM) trusted for outgoing requests, beside the system's."},
    Row{"egress.tls_minimum", Type::kText, [](Config& c) -> Field { return &c.egress.tls_minimum; }, 0, 0, "1.3 | 1.2", "Oldest TLS version for outgoing requests."},
    Row{"alarms.webhook", Type::kText, [](Config& c) -> Field { return &c.alarms.webhook; }, 0, 0, "",
        "URL that alarms are posted to, as JSON: break-glass access that begins or ends. Empty: log, metrics and audit log alone tell."},
    Row{"limits.body_bytes", Type::kBytes, [](Config& c) -> Field { return &c.limits.body_bytes; }, 1024, kGiB, "", "Largest request body, uploads excepted."},
    Row{"limits.upload_bytes", Type::kBytes, [](Config& c) -> Field { return &c.limits.upload_bytes; }, 1024, kMaxBytes, "", "Largest uploaded file."},
    Row{"limits.request_seconds", Type::kInteger, [](Config& c) -> Field { return &c.limits.request_seconds; }, 1, 86'400, "",
        "Longest time for one request, streaming included."},
    Row{"limits.body_bytes_per_second", Type::kInteger, [](Config& c) -> Field { return &c.limits.body_bytes_per_second; }, 0, 1 << 30, "",
        "A request body that arrives more slowly, on average after ten seconds, is refused with 408; 0: any."},
    Row{"limits.address_connections", Type::kInteger, [](Config& c) -> Field { return &c.limits.address_connections; }, 0, 1'000'000, "",
        "Open connections of one client address (of IPv6: one /64); 0: any number."},
    Row{"limits.address_requests_per_second", Type::kInteger, [](Config& c) -> Field { return &c.limits.address_requests_per_second; }, 0, 1'000'000, "",
        "Requests of one client address, on average, with twice as many at once; beyond: 429. 0: any number."},
    Row{"limits.failed_attempts", Type::kInteger, [](Config& c) -> Field { return &c.limits.failed_attempts; }, 0, 1000, "",
        "Failed attempts to authenticate, by address and by key, before each further one has to wait (429), up to a minute; 0: no waiting."},
    Row{"limits.exempt_addresses", Type::kText, [](Config& c) -> Field { return &c.limits.exempt_addresses; }, 0, 0, "",
        "Addresses and ranges that the limits by address do not hold for: this machine, and proxies that many clients stand behind."},
    Row{"debug.core_dumps", Type::kBoolean, [](Config& c) -> Field { return &c.debug.core_dumps; }, 0, 0, "",
        "Allow core dumps and debuggers. Off, because memory holds keys and prompts."},
    Row{"log.level", Type::kText, [](Config& c) -> Field { return &c.log.level; }, 0, 0, "debug | info | warning | error | off", "Least important line that is written."},
    Row{"log.format", Type::kText, [](Config& c) -> Field { return &c.log.format; }, 0, 0, "text | json", "Form of the lines on standard error."},
    Row{"engine.threads", Type::kInteger, [](Config& c) -> Field { return &c.engine.threads; }, 0, 1024, "", "Compute threads; 0 for one per core."},
    Row{"engine.slots", Type::kInteger, [](Config& c) -> Field { return &c.engine.slots; }, 1, 1024, "", "Generations in one batch."},
    Row{"engine.context", Type::kInteger, [](Config& c) -> Field { return &c.engine.context; }, 0, 1 << 20, "", "Longest context in tokens; 0 for the model's own."},
    Row{"engine.kv_bytes", Type::kBytes, [](Config& c) -> Field { return &c.engine.kv_bytes; }, 1 << 20, kMaxBytes, "", "Memory for keys and values of all generations."},
    Row{"engine.kv_type", Type::kText, [](Config& c) -> Field { return &c.engine.kv_type; }, 0, 0, "f16 | q8",
        "How keys and values are kept: in half precision, or in 8 bits with a scale for each, so that almost twice as many fit."},
    Row{"engine.queue", Type::kInteger, [](Config& c) -> Field { return &c.engine.queue; }, 1, 100'000, "",
        "Generations that may wait for a slot; further ones are refused with 429."},
    Row{"engine.max_wait_seconds", Type::kInteger, [](Config& c) -> Field { return &c.engine.max_wait_seconds; }, 1, 86'400, "",
        "A generation that would wait longer for a slot, by estimate, is refused with 429."},
    Row{"engine.step_milliseconds", Type::kInteger, [](Config& c) -> Field { return &c.engine.step_milliseconds; }, 1, 10'000, "",
        "Longest pause between two tokens that the prompts of others may cause: they are computed in parts of about this time."},
    Row{"engine.prefix_cache", Type::kBoolean, [](Config& c) -> Field { return &c.engine.prefix_cache; }, 0, 0, "",
        "Keep keys and values of answered requests in free KV memory, for requests of the same tenant that begin alike."},
    Row{"engine.guess_rows", Type::kInteger, [](Config& c) -> Field { return &c.engine.guess_rows; }, 0, 16, "",
        "While few generations run: tokens, guesses included, computed in one step. 0: no guesses."},
    Row{"engine.draft_model", Type::kPath, [](Config& c) -> Field { return &c.engine.draft_model; }, 0, 0, "",
        "A small GGUF model with the same tokens that guesses ahead; empty: guesses come from the prompt alone."},
    Row{"models.generator", Type::kText, [](Config& c) -> Field { return &c.models.generator; }, 0, 0, "", "Model that answers, by its name in the catalog."},
    Row{"models.embedder", Type::kText, [](Config& c) -> Field { return &c.models.embedder; }, 0, 0, "", "Model that embeds, by its name in the catalog."},
    Row{"models.reranker", Type::kText, [](Config& c) -> Field { return &c.models.reranker; }, 0, 0, "",
        "Cross-encoder that scores documents for /v1/rerank, by its folder in models/ of the data folder; empty for none."},
    Row{"models.catalog", Type::kPath, [](Config& c) -> Field { return &c.models.catalog; }, 0, 0, "", "Model catalog; empty for the one that comes with Stoa."},
    Row{"identity.providers", Type::kPath, [](Config& c) -> Field { return &c.identity.providers; }, 0, 0, "",
        "File of identity providers (OpenID Connect) whose tokens are accepted beside API keys; empty for none. docs/operating/identity.md describes it."},
    Row{"cost.prices", Type::kPath, [](Config& c) -> Field { return &c.cost.prices; }, 0, 0, "", "Price file; empty for the one that comes with Stoa."},
    Row{"audit.witness", Type::kPath, [](Config& c) -> Field { return &c.audit.witness; }, 0, 0, "",
        "File that every signed checkpoint of the audit log is added to as well, best on another machine's disk; empty for none."},
    Row{"audit.sync_milliseconds", Type::kInteger, [](Config& c) -> Field { return &c.audit.sync_milliseconds; }, 0, 10'000, "",
        "Longest time that audit entries and usage of answers that are out may be in the system's memory only: what a loss of power can cost. 0: an answer waits for the disk."},
    Row{"policies.folder", Type::kPath, [](Config& c) -> Field { return &c.policies.folder; }, 0, 0, "",
        "Folder whose files *.policy hold for the whole installation, best under version control. Changes are taken over within a second; empty for none."},
    Row{"kms.provider", Type::kText, [](Config& c) -> Field { return &c.kms.provider; }, 0, 0, "file | pkcs11 | vault | aws",
        "Who keeps the master key that protects everything stored: a file, a PKCS#11 token, HashiCorp Vault's transit engine, or AWS KMS."},
    Row{"kms.previous", Type::kText, [](Config& c) -> Field { return &c.kms.previous; }, 0, 0, "",
        "While moving to another provider: the one before (file, pkcs11, vault, aws), so that what it wrapped still opens; `stoa kms rewrap` ends the need."},
    Row{"kms.file", Type::kPath, [](Config& c) -> Field { return &c.kms.file; }, 0, 0, "",
        "File of the master keys, outside of the data folder; made at the first start. Without it: the data folder's name and .keys."},
    Row{"kms.pkcs11.module", Type::kPath, [](Config& c) -> Field { return &c.kms.pkcs11.module; }, 0, 0, "",
        "Shared library of the token."},
    Row{"kms.pkcs11.token", Type::kText, [](Config& c) -> Field { return &c.kms.pkcs11.token; }, 0, 0, "",
        "Label of the token."},
    Row{"kms.pkcs11.key", Type::kText, [](Config& c) -> Field { return &c.kms.pkcs11.key; }, 0, 0, "",
        "Label of the keys in it; the first is made when there is none."},
    Row{"kms.pkcs11.pin_file", Type::kPath, [](Config& c) -> Field { return &c.kms.pkcs11.pin_file; }, 0, 0, "",
        "File with the user's PIN, readable by the server's user alone; without it the variable STOA_PKCS11_PIN."},
    Row{"kms.vault.address", Type::kText, [](Config& c) -> Field { return &c.kms.vault.address; }, 0, 0, "",
        "URL of Vault."},
    Row{"kms.vault.mount", Type::kText, [](Config& c) -> Field { return &c.kms.vault.mount; }, 0, 0, "",
        "Path of the transit engine."},
    Row{"kms.vault.key", Type::kText, [](Config& c) -> Field { return &c.kms.vault.key; }, 0, 0, "",
        "Name of the key in it."},
    Row{"kms.vault.namespace", Type::kText, [](Config& c) -> Field { return &c.kms.vault.name_space; }, 0, 0, "",
        "Namespace, with Vault Enterprise."},
    Row{"kms.vault.token_file", Type::kPath, [](Config& c) -> Field { return &c.kms.vault.token_file; }, 0, 0, "",
        "File with the token, read again before each call; without it the variable VAULT_TOKEN."},
    Row{"kms.aws.region", Type::kText, [](Config& c) -> Field { return &c.kms.aws.region; }, 0, 0, "",
        "Region of the key. Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."},
    Row{"kms.aws.key", Type::kText, [](Config& c) -> Field { return &c.kms.aws.key; }, 0, 0, "",
        "Key: id, ARN or alias/NAME."},
    Row{"kms.aws.endpoint", Type::kText, [](Config& c) -> Field { return &c.kms.aws.endpoint; }, 0, 0, "",
        "URL of KMS where it is not the region's own, such as a VPC endpoint."},
    Row{"answers.prompts", Type::kPath, [](Config& c) -> Field { return &c.answers.prompts; }, 0, 0, "", "Prompt templates; empty for those that come with Stoa."},
    Row{"metrics.router_names", Type::kBoolean, [](Config& c) -> Field { return &c.metrics.router_names; }, 0, 0, "",
        "Show the engine's metrics a second time under the names that request routers made for vLLM read (`vllm:num_requests_waiting`)."},
    Row{"trace.content", Type::kBoolean, [](Config& c) -> Field { return &c.trace.content; }, 0, 0, "",
        "Keep the text of prompts and answers in traces of projects that do not say (`stoa kms keep`). Off: only sizes, times and ids."},
    Row{"trace.retention_days", Type::kInteger, [](Config& c) -> Field { return &c.trace.retention_days; }, 1, 3650, "", "Days after which traces are deleted."},
    Row{"ingest.max_file_bytes", Type::kBytes, [](Config& c) -> Field { return &c.ingest.max_file_bytes; }, 1024, 4 * kGiB, "", "Largest file that is ingested."},
    Row{"batches.parallel", Type::kInteger, [](Config& c) -> Field { return &c.batches.parallel; }, 1, 256, "",
        "Lines of batches that run at once, behind everybody who waits for an answer."},
    Row{"batches.max_lines", Type::kInteger, [](Config& c) -> Field { return &c.batches.max_lines; }, 1, 1'000'000, "", "Requests in one batch."},
    Row{"batches.max_bytes", Type::kBytes, [](Config& c) -> Field { return &c.batches.max_bytes; }, 1024, kMaxBytes, "", "Largest input of one batch."},
    Row{"chunk.tokens", Type::kInteger, [](Config& c) -> Field { return &c.chunk.tokens; }, 16, 8192, "", "Size of a chunk in tokens of the embedder that is aimed at."},
};

constexpr std::size_t kMaxText = 4096;

std::string env_name(std::string_view key) {
  std::string name = "STOA_";
  for (const char c : key) name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Result<std::int64_t> parse_integer(std::string_view text, bool bytes) {
  constexpr std::array<std::pair<std::string_view, int>, 3> kUnits{{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}}};
  int shift = 0;
  std::string_view digits = text;
  for (const auto& [unit, bits] : kUnits)
    if (bytes && digits.ends_with(unit)) {
      digits.remove_suffix(unit.size());
      while (digits.ends_with(' ')) digits.remove_suffix(1);
      shift = bits;
      break;
    }
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failed != std::errc() || end != digits.data() + digits.size() || value > (INT64_MAX >> shift) || value < (INT64_MIN >> shift))
    return fail(ErrorCode::kInvalidArgument, "{} is expected, not '{}'", bytes ? "a number of bytes (8388608, 8 MiB)" : "a whole number", text.substr(0, 100));
  return value * (std::int64_t{1} << shift);
}

bool is_choice(std::string_view choices, std::string_view text) {
  while (!choices.empty()) {
    const std::size_t bar = choices.find(" | ");
    if (choices.substr(0, bar) == text) return true;
    choices = bar == std::string_view::npos ? "" : choices.substr(bar + 3);
  }
  return false;
}

// Puts a value, as written, into its field.
Status assign(Config& config, const Row& row, const std::string& text) {
  const Field field = row.field(config);
  if (const auto* number = std::get_if<std::int64_t*>(&field)) {
    STOA_TRY(value, parse_integer(text, row.type == Type::kBytes));
    if (value < row.min || value > row.max) return fail(ErrorCode::kInvalidArgument, "{} is out of range: {} to {}", value, row.min, row.max);
    **number = value;
  } else if (const auto* flag = std::get_if<bool*>(&field)) {
    if (text != "true" && text != "false") return fail(ErrorCode::kInvalidArgument, "true or false is expected, not '{}'", text);
    **flag = text == "true";
  } else {
    if (!row.choices.empty() && !is_choice(row.choices, text))
      return fail(ErrorCode::kInvalidArgument, "'{}' is not one of: {}", text.substr(0, 100), row.choices);
    if (text.size() > kMaxText) return fail(ErrorCode::kInvalidArgument, "a text of {} bytes, more than {}", text.size(), kMaxText);
    *std::get<std::string*>(field) = text;
  }
  return {};
}

std::string value_text(const Field& field, Type type) {
  if (const auto* number = std::get_if<std::int64_t*>(&field))
    return type == Type::kBytes && **number >= 1 << 20 && **number % (1 << 20) == 0 ? fmt::format("{} MiB", **number >> 20) : fmt::format("{}", **number);
  if (const auto* flag = std::get_if<bool*>(&field)) return **flag ? "true" : "false";
  return *std::get<std::string*>(field);
}

std::string_view type_name(const Row& row) {
  if (!row.choices.empty()) return row.choices;
  constexpr std::array<std::string_view, 5> kNames{"integer", "bytes", "boolean", "text", "path"};
  return kNames[static_cast<std::size_t>(row.type)];
}

// Walks the file's maps; `prefix` is the key of the map that `node` is.
Status read_node(Config& config, const YamlNode& node, const std::string& prefix) {
  for (const auto& [name, value] : node.entries()) {
    const std::string key = prefix.empty() ? name : prefix + "." + name;
    const auto row = std::ranges::find(kRows, key, &Row::key);
    const bool is_section = std::ranges::any_of(kRows, [&](const Row& each) { return each.key.starts_with(key + "."); });
    if (row == kRows.end() && !is_section) {
      std::vector<std::string_view> keys;
      for (const Row& each : kRows) keys.push_back(each.key);
      Error unknown = value.wrong(fmt::format("unknown key '{}'", key));
      const auto near = nearest_name(key, keys);
      unknown.hint = near.empty() ? "see docs/operating/configuration.md for the keys" : fmt::format("did you mean '{}'?", near);
      return fail(std::move(unknown));
    }
    if (value.is_null()) continue;  // "key:" without a value keeps the default
    if (is_section) {
      if (value.kind() != YamlNode::Kind::kMap) return fail(value.wrong(fmt::format("'{}' is a section: put its keys under it", key)));
      STOA_CHECK(read_node(config, value, key));
      continue;
    }
    STOA_TRY(text, value.text());
    if (const auto status = assign(config, *row, text); !status) return fail(value.wrong(fmt::format("{}: {}", key, status.error().message)));
  }
  return {};
}

Status check_together(const Config& config) {
  if (config.server.tls.cert.empty() != config.server.tls.key.empty())
    return fail(ErrorCode::kInvalidArgument, "server.tls.cert and server.tls.key go together: set both or neither");
  if (!config.server.tls.client_ca.empty() && config.server.tls.cert.empty())
    return fail(ErrorCode::kInvalidArgument, "server.tls.client_ca needs server.tls.cert: client certificates come with TLS");
  if (config.server.tls.client_required && config.server.tls.client_ca.empty())
    return fail(ErrorCode::kInvalidArgument, "server.tls.client_required needs server.tls.client_ca: without it no certificate is believed");
  return {};
}

}  // namespace

Env system_env() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

Result<Config> load_config(const std::filesystem::path& file, const Env& env) {
  Config config;
  if (!file.empty()) {
    STOA_TRY(root, read_yaml(file));
    if (root.kind() != YamlNode::Kind::kMap && !root.is_null()) return fail(root.wrong("the configuration is a map of sections"));
    STOA_CHECK(read_node(config, root, ""));
  }
  for (const Row& row : kRows) {
    const std::string name = env_name(row.key);
    const auto value = env(name);
    if (!value) continue;
    if (const auto status = assign(config, row, *value); !status)
      return fail(ErrorCode::kInvalidArgument, "environment variable {}: {}", name, status.error().message);
  }
  if (config.home.empty()) {
    const auto user = env("HOME");
    if (!user || user->empty())
      return fail(error(ErrorCode::kInvalidArgument, "there is no data folder").with_hint("set STOA_HOME, or home in the configuration file"));
    config.home = *user + "/.local/share/stoa";
  }
  STOA_CHECK(check_together(config));
  return config;
}

const std::vector<ConfigKey>& describe_config() {
  static const std::vector<ConfigKey> keys = [] {
    std::vector<ConfigKey> described;
    Config defaults;
    for (const Row& row : kRows) {
      const bool number = row.type == Type::kInteger || row.type == Type::kBytes;
      described.push_back({std::string(row.key), std::string(type_name(row)), value_text(row.field(defaults), row.type), env_name(row.key),
                           number ? fmt::format("{} to {}", row.min, row.max) : "", std::string(row.meaning)});
    }
    return described;
  }();
  return keys;
}

std::string config_table_markdown() {
  const auto cell = [](const std::string& text) { return text.empty() ? std::string("–") : "`" + text + "`"; };
  std::string table = "| Key | Type | Default | Environment | Limits | Meaning |\n|---|---|---|---|---|---|\n";
  for (const ConfigKey& key : describe_config()) {
    std::string type = key.type;
    for (std::size_t bar = 0; (bar = type.find(" |", bar)) != std::string::npos;) type.replace(bar, 2, ",");  // a bar would end the cell
    table += fmt::format("| `{}` | {} | {} | `{}` | {} | {} |\n", key.key, type, cell(key.fallback), key.env, key.limits.empty() ? "–" : key.limits, key.meaning);
  }
  return table;
}

std::string config_as_yaml(const Config& config) {
  Config copy = config;
  std::string yaml;
  std::vector<std::string> open;  // the sections that the last key was in
  for (const Row& row : kRows) {
    std::vector<std::string> parts(1);
    for (const char c : row.key) {
      if (c == '.') parts.emplace_back();
      else parts.back() += c;
    }
    const std::string leaf = parts.back();
    parts.pop_back();
    std::size_t same = 0;
    while (same < parts.size() && same < open.size() && parts[same] == open[same]) ++same;
    for (std::size_t i = same; i < parts.size(); ++i) yaml += std::string(2 * i, ' ') + parts[i] + ":\n";
    open = parts;
    std::string value = value_text(row.field(copy), row.type);
    if (row.type == Type::kText || row.type == Type::kPath) {
      std::string quoted = "'";
      for (const char c : value) quoted += c == '\'' ? std::string("''") : std::string(1, c);
      value = quoted + "'";
    }
    yaml += std::string(2 * parts.size(), ' ') + leaf + ": " + value + "\n";
  }
  return yaml;
}

}  // namespace stoa::infra
