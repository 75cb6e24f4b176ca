// Verbs about work that the server does later: collections made anew, batches.
#include <CLI/CLI.hpp>

#include "cli_verbs.h"
#include "examples.h"

namespace stoa::cli {

// What a search says of how it is done, and a collection for those that do not.
void add_search_settings(CLI::App& search, Parsed& p) {
  search.add_option("--mode", p.search.mode, "hybrid, text or vector")->check(CLI::IsMember({"hybrid", "text", "vector"}));
  search.add_option("--fusion", p.search.fusion, "How words and meaning become one order: weighted (scores) or rrf (ranks)")->check(CLI::IsMember({"weighted", "rrf"}));
  search.add_option("--text-weight", p.search.text_weight, "Weight of words beside meaning, 0 to 1 (0.4)")->check(CLI::Range(0.0, 1.0));
  search.add_option("--rerank", p.search.rerank, "So many of the best are read with the query, by the reranking model or, where there is none, the embedding model")->check(CLI::Range(0, 100));
  search.add_option("--min-score", p.search.min_score, "Passages of at least this score")->check(CLI::Range(0.0, 1.0));
  search.add_option("--diversity", p.search.diversity, "How much likeness to better passages counts against one, 0 to 1")->check(CLI::Range(0.0, 1.0));
  auto* half_life = search.add_option("--half-life", p.search.half_life, "Older documents count less: half of --decay-weight after this long, such as 30d (m, h, d, w, y)");
  search.add_option("--decay-weight", p.search.decay_weight, "How much of a score age can take, 0 to 1 (0.5)")->check(CLI::Range(0.0, 1.0))->needs(half_life);
  search.add_option("--time", p.search.time_attribute, "Attribute that holds a document's time; without it, when it came in")->needs(half_life);
  search.add_option("--context", p.search.context, "What is shown around a passage: none, neighbours or section")->check(CLI::IsMember({"none", "neighbours", "section"}));
}

void add_collections(CLI::App& app, Parsed& p) {
  auto* collections = verb(app, p, "collections", "Collections of documents (vector stores)", {});
  collections->require_subcommand(1);
  const auto named = [&](const char* name, const char* help, int (*run)(const Global&, const CollectionOptions&)) {
    auto* made = verb(*collections, p, name, help, [&p, run] { return run(p.global, p.collection); });
    made->add_option("name", p.collection.name, "Name or id")->required();
    return made;
  };
  const auto settings = [&](CLI::App* made) {
    made->add_option("--language", p.collection.language, "Language of the texts, which decides how words are found: english, german, fr, ja, ...");
    made->add_option("--chunk-tokens", p.collection.chunk_tokens, "Tokens of a passage, at most, and no more than the embedding model reads; 0: what the server says")->check(CLI::Range(0, 8192));
    made->add_option("--embedding-model", p.collection.embedding_model, "Embedding model that is on the server's machine (stoa pull); server: the one it uses otherwise");
  };
  verb(*collections, p, "list", "Those of the project, with the documents that you may see", [&p] { return collections_list(p.global); });
  named("show", "One of them", collections_show);
  auto* create = named("create", "Make an empty one", collections_create);
  settings(create);
  create->add_option("--expires-after-days", p.collection.expires_after_days, "Days without use after which it expires")->check(CLI::Range(1, 365));
  auto* reindex = named("reindex",
                        "Make passages, words and vectors anew from the originals, with these settings or those it has.\n"
                        "Searches go on in what is there, and turn over to the new when all of it is made",
                        collections_reindex);
  settings(reindex);
  reindex->add_flag("--background", p.collection.background, "Do not wait until it is done");
  auto* defaults = verb(*collections, p, "defaults", "How one is searched where a search does not say, in the API, too; without options: show it", [&p] { return collections_defaults(p.global, p.collection, p.search); });
  defaults->add_option("name", p.collection.name, "Name or id")->required();
  add_search_settings(*defaults, p);
  defaults->add_flag("--clear", p.collection.clear, "Begin with what the server does, instead of what is set");
  named("remove", "Remove one, with all its documents", collections_remove);
}

void add_later_work(CLI::App& app, Parsed& p) {
  auto* batches = verb(app, p, "batches", "Files of requests that are run when there is time for them, at the price of batches", {});
  batches->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, int (*run)(const Global&, const BatchArguments&), bool named = true) {
    auto* made = verb(*batches, p, name, help, [&p, run] { return run(p.global, p.batch); });
    if (named) made->add_option("id", p.batch.id, "Id of the batch")->required();
    return made;
  };
  auto* create = add("create", "Send a file of requests and have it run", batches_create, false);
  create->add_option("file", p.batch.file, "JSON Lines {custom_id, method, url, body}; - for standard input")->required();
  create->add_option("--endpoint", p.batch.endpoint, "Route of all requests")->capture_default_str();
  create->add_option("--metadata", p.batch.metadata, "A note: NAME=VALUE; may be repeated");
  create->add_flag("--wait", p.batch.wait, "Wait until it has ended, and show how far it is");
  add("list", "Your batches, newest first", batches_list, false)->add_option("-n,--count", p.batch.count, "How many")->check(CLI::Range(1, 100))->capture_default_str();
  add("show", "How far one is, its files, and what is wrong with it. Exit code 1 when it failed", batches_show)->add_flag("--wait", p.batch.wait, "Wait until it has ended");
  add("results", "Print its answers, as JSON Lines", batches_results)->add_flag("--errors", p.batch.errors, "Instead of the answers, the requests that have none, and why");
  add("cancel", "Run no further request of it; the answers that there are stay", batches_cancel);
  auto* window = add("window", "When the batches of the project run; without arguments: show it", batches_window, false);
  auto* times = window->add_option("times", p.batch.window, "Times of the day in UTC: 22:00-06:00, several with commas");
  window->add_flag("--always", p.batch.always, "At any time again")->excludes(times);
}

}  // namespace stoa::cli
