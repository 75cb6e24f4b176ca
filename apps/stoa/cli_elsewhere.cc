// Verbs about what answers behind the names of models, and how much of it callers may have: routes, limits, caches and providers.
#include <CLI/CLI.hpp>

#include <functional>

#include "cli_verbs.h"
#include "examples.h"

namespace stoa::cli {
namespace {

// The verbs that all texts have which the server keeps in versions.
struct TextHelp {
  TextsOf which;
  const char *name, *file;  // what the two arguments are; no name: there is one text
};

void add_texts(CLI::App& parent, Parsed& p, const TextHelp& help, const std::function<void(CLI::App&)>& more = {}) {
  parent.require_subcommand(1);
  const bool one = help.name == nullptr;
  const auto add = [&](const char* name, const char* about, int (*run)(const Global&, TextsOf, const TextOptions&), bool named = true) {
    auto* made = verb(parent, p, name, about, [&p, run, which = help.which] { return run(p.global, which, p.text); });
    if (named && !one) made->add_option("name", p.text.name, help.name)->required();
    if (more) more(*made);
    return made;
  };
  if (!one) add("list", "All of them, and what they say", texts_list, false);
  add("show", "The text", texts_show)->add_option("--version", p.text.version, "An earlier version")->check(CLI::PositiveNumber);
  auto* set = add("set", one ? "Put a file in force, at once" : "Put a file in force under a name, at once", texts_set);
  set->add_option("file", p.text.file, help.file)->required();
  set->add_option("--comment", p.text.comment, "Why, for the history");
  set->add_option("--expect", p.text.expected, "Only if this is the newest version (0: if there is none)")->check(CLI::NonNegativeNumber);
  add("history", "All versions: who, when, why", texts_history);
  auto* diff = add("diff", "What changed between two versions", texts_diff);
  diff->add_option("from", p.text.from, "Version")->required()->check(CLI::PositiveNumber);
  diff->add_option("to", p.text.to, "Version")->required()->check(CLI::PositiveNumber);
  auto* rollback = add("rollback", "Put an earlier version in force again, as a new one", texts_rollback);
  rollback->add_option("version", p.text.version, "Version")->required()->check(CLI::PositiveNumber);
  rollback->add_option("--comment", p.text.comment, "Why, for the history");
  add("remove", "Take it out of force; its versions stay", texts_remove)->add_option("--comment", p.text.comment, "Why, for the history");
}

void add_routes(CLI::App& app, Parsed& p) {
  auto* routes = verb(app, p, "routes", "Routes of the project: names that callers use as models, and what answers for them, here or at providers", {});
  add_texts(*routes, p, {TextsOf::kRoutes, "Name of the route", "YAML file with targets; - for standard input"});
  verb(*routes, p, "status", "How its targets do, and what became of its canary", [&p] { return routes_status(p.global, p.text); })->add_option("name", p.text.name, "Name of the route")->required();
}

void add_limits(CLI::App& app, Parsed& p) {
  auto* limits = verb(app, p, "limits", "Limits of the project: requests, tokens, money and concurrency for each user, key and model", {});
  add_texts(*limits, p, {TextsOf::kLimits, "Name of the limits", "YAML file with limits; - for standard input"}, [&p](CLI::App& made) {
    made.add_flag("--local", p.text.local, "Act on the data folder of this machine, without a key");
    made.add_flag("--installation", p.text.installation, "With --local: what holds in all projects");
  });
  verb(*limits, p, "usage", "How the project stands with each limit that anybody used lately", [&] { return limits_usage(p.global); });
}

void add_cache(CLI::App& app, Parsed& p) {
  auto* cache = verb(app, p, "cache", "Answers and embeddings of the project that need not be made again", {});
  add_texts(*cache, p, {TextsOf::kCache, nullptr, "YAML file with settings; - for standard input"});
  verb(*cache, p, "stats", "What is kept, and how often it was of use", [&p] { return cache_stats(p.global); });
  auto* purge = verb(*cache, p, "purge", "Forget what fits all that is named", [&p] { return cache_purge(p.global, p.purge); });
  purge->add_option("--key", p.purge.key, "Key of an answer, as its header x-stoa-cache-key says");
  purge->add_option("--tag", p.purge.tag, "Tag of the request that it was generated for: NAME=VALUE");
  purge->add_option("--document", p.purge.document, "Document whose text was in the prompt");
  purge->add_option("--model", p.purge.model, "Model, as callers name it");
  purge->add_flag("--all", p.purge.all, "Everything, embeddings too");
}

void add_providers(CLI::App& app, Parsed& p) {
  auto* providers = verb(app, p, "providers", "Other places that serve models, for the caller's project: other servers, and the clouds", {});
  providers->require_subcommand(1);
  verb(*providers, p, "list", "List them, and whether they have a credential", [&] { return providers_list(p.global); });
  verb(*providers, p, "show", "One of them: models, options, when it was changed", [&] { return providers_show(p.global, p.provider.name); })->add_option("name", p.provider.name, "Name")->required();
  auto* add = verb(*providers, p, "add", "Add one, or with --replace set what another is from now on", [&] { return providers_add(p.global, p.provider); });
  add->add_option("name", p.provider.name, "Name: lower-case letters, digits, '.', '_' and '-'")->required();
  add->add_option("--family", p.provider.family, "Protocol that it speaks (below)")->required();
  add->add_option("--url", p.provider.url, "Where it is; the rule egress.providers of the configuration must let it through")->required();
  add->add_option("--model", p.provider.models, "A model of it, as it calls it: NAME, or NAME=TOKENS with its context length; may be repeated");
  add->add_option("--option", p.provider.options, "An option of the family (below): NAME=VALUE; may be repeated");
  add->add_option("--residency", p.provider.residency, "Region where it keeps what it is sent");
  add->add_flag("--on-prem", p.provider.on_prem, "What it is sent does not leave the house");
  add->add_option("--key-file", p.provider.key_file, "File whose first line is its credential; - for standard input");
  add->add_flag("--replace", p.provider.replace, "Change the one of that name: at another host or with another family it needs its credential anew");
  add->footer(provider_families_text() + "\n" + help_footer("providers add"));
  auto* set_key = verb(*providers, p, "set-key", "Set its credential, which is read from standard input or a file, sealed, and never shown again", [&] { return providers_set_key(p.global, p.provider); });
  set_key->add_option("name", p.provider.name, "Name")->required();
  set_key->add_option("--key-file", p.provider.key_file, "File whose first line is the credential (default: standard input)");
  verb(*providers, p, "remove", "Remove one, and its credential", [&] { return providers_remove(p.global, p.provider.name); })->add_option("name", p.provider.name, "Name")->required();
  auto* check = verb(*providers, p, "check", "Ask it which models it has, and say what happened. Exit code 1 when it is of no use", [&] { return providers_check(p.global, p.provider); });
  check->add_option("name", p.provider.name, "Name")->required();
  check->add_option("--model", p.provider.model, "Also ask this model for one token, which costs what a token costs");
}

}  // namespace

void add_models_elsewhere(CLI::App& app, Parsed& p) {
  add_routes(app, p);
  add_limits(app, p);
  add_cache(app, p);
  add_providers(app, p);
}

}  // namespace stoa::cli
