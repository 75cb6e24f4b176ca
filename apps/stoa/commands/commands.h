// One function a verb: each prints its result (JSON with `global.json`) and returns an exit code of terminal.h.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stoa::cli {

struct Global {
  bool json = false;
  std::string home;    // data folder; empty: STOA_HOME, else the configuration's default
  std::string config;  // configuration file; empty: <home>/stoa.yaml where that exists
  std::string url;     // server; empty: STOA_URL, else http://127.0.0.1:8080
  std::string key;     // API key; empty: the file's, else STOA_API_KEY
  std::string key_file;  // file whose first line is the key
};

struct ServeOptions {
  std::string address;  // empty: from the configuration
  int port = -1;        // -1: from the configuration
};
int serve(const Global& global, const ServeOptions& options);

struct AskOptions {
  std::string question, store, model;
  bool extractive = false;
  bool show_passages = false;
  int max_tokens = 0;
};
int ask(const Global& global, const AskOptions& options);

struct ChatOptions {
  std::string model, system, store;
  double temperature = 0.7;
  int max_tokens = 512;
};
int chat(const Global& global, const ChatOptions& options);

struct IngestOptions {
  std::vector<std::string> paths;
  std::string store, access = "public";
  std::vector<std::string> include, attributes;  // "*.html"; "year=2024"
  bool prune = true;
};
int ingest(const Global& global, const IngestOptions& options);

struct SearchOptions {
  // What is empty, or negative, is not said: the collection's own settings hold, or the server's.
  std::string query, store, mode, fusion, context, syntax;
  std::string half_life, time_attribute;        // without an attribute the time is since the document came in
  std::vector<std::string> queries, filters;    // other phrasings; "year>=2020"
  int count = 5, rerank = -1, rewrite = 0;
  double min_score = -1, diversity = -1, text_weight = -1, decay_weight = 0.5;
  bool explain = false;
};
int search(const Global& global, const SearchOptions& options);

struct PullOptions {
  std::vector<std::string> models;
  std::string sha256;
  bool unpinned = false;
};
int pull(const Global& global, const PullOptions& options);

int models_list(const Global& global);
int models_show(const Global& global, const std::string& name);
int models_verify(const Global& global, const std::string& name);
int models_remove(const Global& global, const std::string& name);

struct QuantizeArguments {
  std::string input, output, type;
  bool pure = false;
  bool requantize = false;
  bool force = false;
  int threads = 0;  // 0: one for each processor
};
int quantize(const Global& global, const QuantizeArguments& arguments);
// Types and what they are good for.
std::vector<std::pair<std::string, std::string>> quantize_types();

struct BenchArguments {
  std::string model;  // a GGUF file; empty: the configured generator
  std::string isa;
  int threads = 0;    // 0: as configured
  int runs = 5;
};
int bench_engine(const Global& global, const BenchArguments& arguments);

struct LoginOptions {
  std::string provider;   // empty: the first
  std::string client_id;  // of a program with a secret (STOA_CLIENT_SECRET); empty: a person, through a browser
  std::string scopes;     // that such a program asks for
  bool browser = false;   // open it
  int timeout = 300;      // seconds for the person to sign in
};
int login(const Global& global, const LoginOptions& options);
int logout(const Global& global);
int whoami(const Global& global);

struct PeopleOptions {
  std::string tenant;  // on the data folder: whose; empty: "default"
  std::string name;    // of the tenant, project, user or group
  std::vector<std::string> groups, users;
};
int tenants_list(const Global& global);
int tenants_create(const Global& global, const PeopleOptions& options);
int projects_list(const Global& global, const PeopleOptions& options);
int projects_create(const Global& global, const PeopleOptions& options);
int users_list(const Global& global, const PeopleOptions& options);
int users_create(const Global& global, const PeopleOptions& options);
int users_disable(const Global& global, const PeopleOptions& options, bool disabled);
int groups_list(const Global& global, const PeopleOptions& options);
int groups_change(const Global& global, const PeopleOptions& options, bool member);

struct TokenOptions {
  std::string name, expires;
  std::vector<std::string> grants;  // "dataset.read dataset support@1"
};
int tokens_create(const Global& global, const TokenOptions& options);
int tokens_list(const Global& global);
int tokens_revoke(const Global& global, const std::string& id);

int break_glass_begin(const Global& global, const std::string& reason, int minutes);
int break_glass_list(const Global& global);
int break_glass_end(const Global& global, const std::string& id);

struct NodeOptions {
  std::string name, fingerprint, identity;
};
int nodes_add(const Global& global, const NodeOptions& options);
int nodes_list(const Global& global);
int nodes_revoke(const Global& global, const std::string& name);

struct KeyOptions {
  std::string tenant, project, user, role = "developer", expires, name;  // tenant: on the data folder
  std::vector<std::string> groups, scopes;
};
int keys_create(const Global& global, const KeyOptions& options);
int keys_list(const Global& global, const KeyOptions& options);
int keys_rotate(const Global& global, const std::string& id, const std::string& overlap);
int keys_revoke(const Global& global, const std::string& id);

struct KmsOptions {
  std::string project;       // name or id; empty: all of the installation
  bool destroy = false;
  std::string keep;
  std::string tenant = "default";  // of the project
};
int kms_status(const Global& global, const KmsOptions& options);
int kms_rotate(const Global& global, const KmsOptions& options);
int kms_rewrap(const Global& global);
int kms_revoke(const Global& global, const KmsOptions& options);
int kms_restore(const Global& global, const KmsOptions& options);
int kms_keep(const Global& global, const KmsOptions& options);

struct AccessOptions {
  std::vector<std::string> files;
  std::string action, principal, resource, context;  // the last three as in the braces of a policy test
  bool live = false;  // ask the server instead of files
  std::string key;    // of whom; empty: of the caller
};
int access_test(const Global& global, const AccessOptions& options);
int access_explain(const Global& global, const AccessOptions& options);
struct PolicyOptions {
  std::string name, file, comment;
  std::int64_t version = 0, from = 0, to = 0, expected = -1;
  bool local = false, installation = false;  // act on the data folder of this machine; on what holds for all tenants
  std::string tenant = "default";            // with `local`
};
int policies_list(const Global& global, const PolicyOptions& options);
int policies_show(const Global& global, const PolicyOptions& options);
int policies_set(const Global& global, const PolicyOptions& options);
int policies_history(const Global& global, const PolicyOptions& options);
int policies_diff(const Global& global, const PolicyOptions& options);
int policies_rollback(const Global& global, const PolicyOptions& options);
int policies_remove(const Global& global, const PolicyOptions& options);
int policies_dry_run(const Global& global, const PolicyOptions& options);

struct ProviderOptions {
  std::string name, family, url, residency, model;
  std::vector<std::string> models, options;  // NAME or NAME=TOKENS; NAME=VALUE
  bool on_prem = false, replace = false;
  std::string key_file;  // that holds the credential; "-": standard input; empty: none is set, or for set-key standard input
};
int providers_list(const Global& global);
int providers_show(const Global& global, const std::string& name);
int providers_add(const Global& global, const ProviderOptions& options);
int providers_set_key(const Global& global, const ProviderOptions& options);
int providers_remove(const Global& global, const std::string& name);
int providers_check(const Global& global, const ProviderOptions& options);
std::string provider_families_text();  // for help

int roles_list(const Global& global);
int roles_show(const Global& global, const std::string& name);

struct AuditListOptions {
  std::string principal, action, resource, trace;
  std::int64_t after = 0;
  int count = 50;
};
int audit_list(const Global& global, const AuditListOptions& options);
int audit_check(const Global& global);
int audit_checkpoint(const Global& global);
struct AuditExportOptions {
  std::string file, format = "jsonl";
  std::int64_t after = 0;
};
int audit_export(const Global& global, const AuditExportOptions& options);
int audit_verify(const Global& global, const std::string& file, const std::string& key);

struct PassportOptions {
  std::string id, file, html, key;  // file: written by `passport`, read by `passport verify`
};
int passport(const Global& global, const PassportOptions& options);
int passport_verify(const Global& global, const PassportOptions& options);

int trace(const Global& global, const std::string& id);
int traces(const Global& global, int count, bool all);
int usage(const Global& global, const std::string& by, const std::string& tag);
int status(const Global& global);
int rate(const Global& global, const std::string& id, const std::string& verdict, const std::string& comment, const std::string& correction);
int dataset_from_ratings(const Global& global, const std::string& name);
int dataset_list(const Global& global);
int dataset_rows(const Global& global, const std::string& version);

int config_check(const Global& global);
int config_show(const Global& global);

}  // namespace stoa::cli
