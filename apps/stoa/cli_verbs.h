// Inside the command line: what the files that declare verbs share.
#pragma once

#include <functional>
#include <string>

#include "commands/batches.h"
#include "commands/collections.h"
#include "commands/commands.h"
#include "commands/evaluation.h"
#include "commands/texts.h"

namespace CLI {
class App;
}

namespace stoa::cli {

// Holds the options of all verbs while CLI11 fills them; `action` is what the chosen verb runs.
struct Parsed {
  Global global;
  ServeOptions serve;
  AskOptions ask;
  ChatOptions chat;
  IngestOptions ingest;
  CollectionOptions collection;
  SearchOptions search;
  PullOptions pull;
  QuantizeArguments quantize;
  BenchArguments bench;
  KeyOptions key;
  KmsOptions kms;
  LoginOptions login;
  PeopleOptions people;
  TokenOptions token;
  NodeOptions node;
  EvalOptions eval;
  AccessOptions access;
  PolicyOptions policy;
  TextOptions text;
  PurgeOptions purge;
  ProviderOptions provider;
  BatchArguments batch;
  AuditListOptions audit_list;
  AuditExportOptions audit_export;
  PassportOptions passport;
  std::string name, id, overlap = "24h", by = "day", tag, verdict, comment, correction, shell, reason;
  bool no_prune = false, all_traces = false;
  int count = 20, minutes = 0;
  std::function<int()> action;
};

// A verb below `parent`, with its examples and the global options; `action` may be empty for one that only has verbs of its own.
CLI::App* verb(CLI::App& parent, Parsed& parsed, const char* name, const char* help, std::function<int()> action);

void add_models_elsewhere(CLI::App& app, Parsed& p);  // routes, limits, caches, providers
void add_search_settings(CLI::App& search, Parsed& p);
void add_collections(CLI::App& app, Parsed& p);
void add_later_work(CLI::App& app, Parsed& p);        // batches
void add_quality(CLI::App& app, Parsed& p);           // evaluations

}  // namespace stoa::cli
