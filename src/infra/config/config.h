// The configuration of a Stoa process: built-in defaults, then one YAML file, then environment variables. Every key stands once,
// in the table behind describe(), which loading, the documentation and its test share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::infra {

// Defaults are the initialisers; meaning, limits and environment name of each key: docs/operating/configuration.md.
struct Config {
  std::string home;  // data folder; default: STOA_HOME, else ~/.local/share/stoa
  struct Server {
    std::string address = "127.0.0.1";
    std::int64_t port = 8080;
    struct Tls {
      std::string cert, key;
      std::string minimum = "1.3";
      std::string client_ca;
      bool client_required = false;
    } tls;
    struct Admin {
      std::string address;
      std::int64_t port = 8081;
      bool serves_public = true;
    } admin;
    struct Node {
      std::string address;
      std::int64_t port = 8082;
    } node;
    std::int64_t workers = 64;
    std::int64_t io_threads = 1;
    std::int64_t max_connections = 1024;
    std::int64_t drain_seconds = 30;
    std::string region;
  } server;
  struct Egress {
    std::string providers;
    std::string pulls = "*";
    std::string tools, crawls, webhooks;
    std::string issuers = "*";
    std::string kms;
    std::string ca_file;
    std::string tls_minimum = "1.3";
  } egress;
  struct Alarms {
    std::string webhook;
  } alarms;
  struct Limits {
    std::int64_t body_bytes = 8 << 20;
    std::int64_t upload_bytes = 512 << 20;
    std::int64_t request_seconds = 600;
    std::int64_t body_bytes_per_second = 1024;
    std::int64_t address_connections = 256;
    std::int64_t address_requests_per_second = 200;
    std::int64_t failed_attempts = 10;
    std::string exempt_addresses = "127.0.0.0/8, ::1";
  } limits;
  struct Log {
    std::string level = "info";
    std::string format = "text";
  } log;
  struct Debug {
    bool core_dumps = false;
  } debug;
  struct Engine {
    std::int64_t threads = 0;
    std::int64_t slots = 8;
    std::int64_t context = 0;
    std::int64_t kv_bytes = 256 << 20;
    std::string kv_type = "f16";
    std::int64_t queue = 64;
    std::int64_t max_wait_seconds = 120;
    std::int64_t step_milliseconds = 50;
    bool prefix_cache = true;
    std::int64_t guess_rows = 4;
    std::string draft_model;
  } engine;
  struct Models {
    std::string generator = "smollm2-135m-instruct";
    std::string embedder = "all-minilm-l6-v2";
    std::string reranker;
    std::string catalog;
  } models;
  struct Identity {
    std::string providers;
  } identity;
  struct Cost {
    std::string prices;
  } cost;
  struct Audit {
    std::string witness;
    std::int64_t sync_milliseconds = 20;
  } audit;
  struct Policies {
    std::string folder;
  } policies;
  struct Kms {
    std::string provider = "file";
    std::string previous;
    std::string file;
    struct Pkcs11 {
      std::string module, token, pin_file;
      std::string key = "stoa";
    } pkcs11;
    struct Vault {
      std::string address, name_space, token_file;
      std::string mount = "transit", key = "stoa";
    } vault;
    struct Aws {
      std::string region, key, endpoint;
    } aws;
  } kms;
  struct Answers {
    std::string prompts;
  } answers;
  struct Metrics {
    bool router_names = false;
  } metrics;
  struct Trace {
    bool content = false;
    std::int64_t retention_days = 30;
  } trace;
  struct Ingest {
    std::int64_t max_file_bytes = 64 << 20;
  } ingest;
  struct Batches {
    std::int64_t parallel = 4;
    std::int64_t max_lines = 50'000;
    std::int64_t max_bytes = 200 << 20;
  } batches;
  struct Chunk {
    std::int64_t tokens = 200;
  } chunk;
};

struct ConfigKey {
  std::string key;       // "server.port"
  std::string type;      // "integer", "bytes", "boolean", "text", "path", or its choices "debug | info | ..."
  std::string fallback;  // the default, as it would be written in the file; empty for none
  std::string env;       // "STOA_SERVER_PORT"
  std::string limits;    // "1 to 65535"; empty for none
  std::string meaning;
};

// Looks a variable up; nullopt when unset. system_env() reads the process environment.
using Env = std::function<std::optional<std::string>(const std::string& name)>;
Env system_env();

// `file` empty: defaults and environment only. Unknown keys, wrong types and values out of limits are kInvalidArgument and name
// file:line (or the variable) and the nearest valid key. Byte counts may be written with KiB, MiB or GiB.
Result<Config> load_config(const std::filesystem::path& file, const Env& env = system_env());

const std::vector<ConfigKey>& describe_config();
std::string config_table_markdown();              // the table of docs/operating/configuration.md
std::string config_as_yaml(const Config& config); // every key with its value in force; no key holds a secret

}  // namespace stoa::infra
