#include "wiring/node.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "base/metrics.h"
#include "base/scheduling.h"
#include "data/index/index.h"
#include "data/lake/lake.h"
#include "data/retrieve/retriever.h"
#include "data/sources/blob_collector.h"
#include "data/sources/catalog.h"
#include "data/sources/index_snapshots.h"
#include "data/sources/ingest.h"
#include "feedback/ratings/rating_store.h"
#include "feedback/telemetry/process.h"
#include "feedback/telemetry/request_metrics.h"
#include "feedback/traces/trace_store.h"
#include "gateway/api/admin/admin.h"
#include "gateway/api/admin/request_observer.h"
#include "gateway/api/document_links.h"
#include "gateway/api/listener_roles.h"
#include "gateway/api/anthropic/errors.h"
#include "gateway/api/anthropic/messages.h"
#include "gateway/api/bedrock/converse.h"
#include "gateway/api/bedrock/errors.h"
#include "gateway/api/oip/inference.h"
#include "gateway/api/openai/dependencies.h"
#include "gateway/api/openai/moderations.h"
#include "gateway/api/openai/reply.h"
#include "gateway/api/pipeline.h"
#include "gateway/console/console.h"
#include "gateway/providers/provider_store.h"
#include "gateway/rewriting/model_rewriter.h"
#include "governance/passport/passport_store.h"
#include "governance/cost/ledger.h"
#include "governance/limits/limits.h"
#include "infra/blob/disk/disk.h"
#include "infra/bus/local/local.h"
#include "wiring/alarms.h"
#include "wiring/answers.h"
#include "wiring/caches.h"
#include "wiring/defaults.h"
#include "wiring/egress.h"
#include "wiring/ingest_limits.h"
#include "wiring/installation.h"
#include "wiring/later_work.h"
#include "wiring/listeners.h"
#include "wiring/models.h"
#include "wiring/protection.h"
#include "wiring/recognition.h"
#include "wiring/routing.h"

namespace stoa::wiring {
namespace {

namespace api = gateway;

std::vector<api::openai::ServedModel> served(const Models& models, data::Embedder* embedder) {
  std::vector<api::openai::ServedModel> served;
  const std::int64_t now = Clock::system().now() / 1'000'000;
  if (models.generator) served.push_back({models.generator->report().name, now, "stoa", std::shared_ptr<models::Generator>(std::shared_ptr<void>(), models.generator.get()), nullptr, {}, nullptr, models.generator_artifact});
  if (embedder != nullptr) served.push_back({embedder->model(), now, "stoa", {}, embedder});
  if (models.reranker) served.push_back({.id = models.reranker->model(), .created = now, .reranker = models.reranker.get()});
  return served;
}

std::vector<api::admin::ModelStatus> model_status(const Models& models) {
  std::vector<api::admin::ModelStatus> status;
  if (models.generator) {
    const auto& report = models.generator->report();
    api::admin::ModelStatus generator{report.name, "generator", report.weight_type, report.isa, report.context_length};
    for (const auto& group : report.tensors) generator.weights.push_back({group.type, group.tensors, group.bytes, group.kernel});
    for (const auto& choice : report.choices) generator.choices.push_back({choice.what, choice.value, choice.why});
    status.push_back(std::move(generator));
  }
  if (models.embedder)
    status.push_back({models.embedder->model(), "embedder", "F32", models.backend->report().kernels, models.embedder->max_tokens()});
  if (models.reranker)
    status.push_back({models.reranker->model(), "reranker", "F32", models.backend->report().kernels, models.reranker->max_tokens()});
  return status;
}

}  // namespace

// In the order of making; destroyed in reverse, so that nothing outlives what it refers to.
struct Node::Parts {
  infra::Config config;
  Metrics metrics;
  Installation installation;
  Protection protection;
  std::unique_ptr<infra::BlobStore> store;
  std::unique_ptr<governance::SealedBlobs> blobs;
  std::unique_ptr<infra::EventBus> events;
  std::unique_ptr<governance::PassportStore> passports;
  std::unique_ptr<governance::PriceBook> prices;
  std::unique_ptr<governance::Ledger> ledger;
  std::unique_ptr<governance::Limits> limits;
  std::unique_ptr<feedback::TraceStore> traces;
  std::unique_ptr<feedback::RatingStore> ratings;
  std::unique_ptr<feedback::RequestMetrics> request_metrics;
  std::unique_ptr<feedback::ProcessMetrics> process;
  std::unique_ptr<infra::Egress> egress;
  Recognition recognition;
  Models models;
  std::unique_ptr<api::Cache> cache;
  std::unique_ptr<data::Embedder> embedder;  // with the cache before it; null: no model
  data::Index index;
  std::unique_ptr<data::IndexSnapshots> snapshots;
  std::unique_ptr<data::Catalog> catalog;
  std::unique_ptr<data::Ingest> ingest;
  std::unique_ptr<data::QueryRewriter> rewriter;  // null: no model
  std::unique_ptr<data::Retriever> retriever;
  std::unique_ptr<data::Lake> lake;
  std::unique_ptr<api::DocumentLinks> links;
  std::unique_ptr<api::openai::FileStore> files;
  std::unique_ptr<api::openai::ResponseStore> responses;
  std::unique_ptr<api::ProviderStore> providers;
  std::unique_ptr<Routing> routing;
  std::unique_ptr<api::openai::ServedModels> served_models;
  std::unique_ptr<api::AuthBackoff> backoff;
  std::unique_ptr<api::Pipeline> pipeline;
  LaterWork later;
  std::unique_ptr<api::openai::Dependencies> openai;
  std::unique_ptr<api::anthropic::Dependencies> anthropic;
  std::unique_ptr<api::bedrock::Dependencies> bedrock;
  std::unique_ptr<api::oip::Dependencies> oip;
  std::unique_ptr<api::openai::Moderation> moderation;
  std::unique_ptr<api::admin::AdminParts> admin;
  std::unique_ptr<governance::RefusalLog> refusals;
  std::unique_ptr<Listeners> listeners;
  std::unique_ptr<ProtectionWorker> protection_worker;
  std::thread remembering;  // what the first use of each key would have to look up
  std::string url;

  // The carrying over uses what is destroyed before it.
  ~Parts() {
    if (remembering.joinable()) remembering.join();
    later.stop(std::chrono::milliseconds(0));
    if (installation.behind) installation.behind->stop();
  }
  Status open_stores();
  Status open_data();
  Status open_gateway();
  Status protect();
  Status subscribe();
  Status listen();
};

Status Node::Parts::open_stores() {
  STOA_TRY(opened, Installation::open(config, true));
  installation = std::move(opened);
  STOA_TRY(disk, infra::open_disk_blobs(installation.home / "blobs"));
  store = std::move(disk);
  STOA_TRY(opened_protection, Protection::open(config, installation));
  protection = std::move(opened_protection);
  blobs = std::make_unique<governance::SealedBlobs>(*store, *protection.sealer);
  STOA_TRY(bus, infra::open_local_bus(*installation.database));
  events = std::move(bus);
  STOA_TRY(passport_store, governance::PassportStore::open(*installation.database, *installation.audit, *installation.checkpoints, installation.behind.get()));
  passports = std::move(passport_store);
  STOA_TRY(price_file, data_file(config.cost.prices, "prices.yaml"));
  STOA_TRY(book, governance::PriceBook::parse(price_file.text, price_file.name));
  prices = std::make_unique<governance::PriceBook>(std::move(book));
  STOA_TRY(opened_ledger, governance::Ledger::open(*installation.database, *prices, Clock::system(), installation.behind.get()));
  ledger = std::move(opened_ledger);
  installation.ledger->store(ledger.get());
  STOA_TRY(opened_limits, governance::Limits::open(*installation.database, *installation.audit, *installation.access, metrics));
  limits = std::move(opened_limits);
  installation.behind->after([checkpoints = installation.checkpoints.get(), strangers = installation.strangers.get()] {
    if (const auto closed = strangers->close(); !closed) log_error("attempts of strangers are not in the audit log yet", closed.error());
    if (const auto kept_up = checkpoints->keep_up(); !kept_up) log_error("no checkpoint of the audit log was made", kept_up.error());
  });
  STOA_CHECK(installation.behind->start());
  STOA_CHECK(limits->refill(*ledger));
  feedback::TraceOptions trace_options;
  trace_options.retention_days = static_cast<int>(config.trace.retention_days);
  STOA_TRY(trace_store, feedback::TraceStore::open(*installation.database, *protection.sealer, metrics, trace_options));
  traces = std::move(trace_store);
  request_metrics = std::make_unique<feedback::RequestMetrics>(metrics);
  STOA_TRY(rating_store, feedback::RatingStore::open(*installation.database, *protection.sealer));
  ratings = std::move(rating_store);
  NamedPlaces places;
  if (!config.alarms.webhook.empty()) places.emplace_back(infra::EgressPurpose::kWebhooks, config.alarms.webhook);
  STOA_TRY(way_out, open_egress(config, places, audit_egress(*installation.audit)));
  egress = std::move(way_out);
  STOA_TRY(recognised, Recognition::open(config, installation, *events, metrics));
  recognition = std::move(recognised);
  process = std::make_unique<feedback::ProcessMetrics>(metrics, feedback::BuildInfo{STOA_VERSION, "g++ " __VERSION__});
  return {};
}

Status Node::Parts::open_data() {
  STOA_TRY(loaded, load_models(config, metrics));
  models = std::move(loaded);
  STOA_TRY(opened_cache, open_cache(installation, metrics, routing, models.embedder.get()));
  cache = std::move(opened_cache);
  if (models.embedder) embedder = cache->wrap(*models.embedder);
  catalog = std::make_unique<data::Catalog>(*installation.database, *blobs, index, events.get(), Clock::system(), installation.access.get());
  STOA_TRY(opened_snapshots, data::IndexSnapshots::open(installation.home / "index", index, *protection.sealer));
  snapshots = std::move(opened_snapshots);
  STOA_CHECK(catalog->open(models.embedder ? models.embedder->model() : "", snapshots.get()));
  const data::Embedders embedders = embedders_of(models, config, metrics);
  ingest = std::make_unique<data::Ingest>(*catalog, embedders, ledger.get(), ingest_limits(config));
  STOA_TRY(prompts, data_file(config.answers.prompts, "prompts.yaml"));
  STOA_TRY(rewriting, api::parse_rewrite_settings(prompts.text, prompts.name));
  if (models.generator) rewriter = std::make_unique<api::ModelRewriter>(std::move(rewriting), *models.generator, models.generator->report().name);
  const data::Embedders of_queries(embedder.get(), [embedders, cache = cache.get()](const std::string& name) -> Result<std::unique_ptr<data::Embedder>> {
    STOA_TRY(loaded, embedders.find(name));
    return cache->wrap(*loaded);
  });
  retriever = std::make_unique<data::Retriever>(*catalog, index, of_queries, models.passage_reranker(), data::FusionOptions{}, rewriter.get());
  lake = std::make_unique<data::Lake>(*installation.database, *blobs);
  return lake->open();
}

Status Node::Parts::open_gateway() {
  STOA_TRY(secret, installation.secret(governance::ServerSecret::kApiKeys));
  links = std::make_unique<api::DocumentLinks>(secret);
  files = std::make_unique<api::openai::FileStore>(*installation.database, *blobs, events.get());
  STOA_CHECK(files->open());
  responses = std::make_unique<api::openai::ResponseStore>(*installation.database, *protection.sealer);
  STOA_CHECK(responses->open());
  STOA_TRY(provider_store, api::ProviderStore::open(*installation.database, *protection.sealer, *installation.audit));
  providers = std::move(provider_store);
  STOA_TRY(opened_routing, Routing::open({installation, *ledger, *ratings, *providers, *egress, config.server.region}));
  routing = std::move(opened_routing);
  served_models = std::make_unique<api::openai::ServedModels>(served(models, embedder.get()), &routing->directory(), cache.get());
  routing->serve(*served_models);
  STOA_TRY(exempt, exempt_addresses(config));
  if (config.limits.failed_attempts > 0)
    backoff = std::make_unique<api::AuthBackoff>(api::AuthBackoffOptions{.free_failures = static_cast<int>(config.limits.failed_attempts), .exempt = std::move(exempt)});
  pipeline = std::make_unique<api::Pipeline>(api::PipelineParts{*installation.access, *recognition.authenticator, *installation.audit, *ledger, metrics,
                                                              api::admin::observe_requests(*request_metrics, *traces, prices->currency()), Clock::system(),
                                                              std::chrono::seconds(config.limits.request_seconds), installation.strangers.get(), backoff.get(), passports.get(), installation.behind.get(), limits.get()});
  STOA_TRY(opened_later, LaterWork::open(config, installation, recognition, *blobs, *events, *ledger, *pipeline, *files, *responses));
  later = std::move(opened_later);
  STOA_TRY(prompts, data_file(config.answers.prompts, "prompts.yaml"));
  STOA_TRY(grounding, api::parse_grounding_settings(prompts.text, prompts.name));
  openai = std::make_unique<api::openai::Dependencies>(api::openai::Dependencies{
      *pipeline, *served_models, *catalog, *ingest, *retriever, models.embedder.get(), *files, *responses, *links, std::move(grounding), url,
      static_cast<std::uint64_t>(config.limits.upload_bytes), later.desk.get(), later.uploads.get(), later.background.get()});
  anthropic = std::make_unique<api::anthropic::Dependencies>(api::anthropic::Dependencies{*pipeline, *served_models, later.desk.get(), url, &openai->grounding, models.embedder.get()});
  bedrock = std::make_unique<api::bedrock::Dependencies>(*pipeline, *served_models);
  oip = std::make_unique<api::oip::Dependencies>(api::oip::Dependencies{*pipeline, *served_models, STOA_VERSION});
  STOA_TRY(moderation_file, data_file("", "moderation.yaml"));
  STOA_TRY(judging, api::openai::parse_moderation_settings(moderation_file.text, moderation_file.name));
  moderation = std::make_unique<api::openai::Moderation>(api::openai::Moderation{
      *pipeline, *served_models, std::move(judging), [routing = routing.get()](const Call& call, std::string_view model) { return routing->find_judge(call, model); }});
  admin = std::make_unique<api::admin::AdminParts>(api::admin::AdminParts{*pipeline, *installation.access, *installation.policies, *installation.identity, *ledger, *installation.audit, *installation.checkpoints, *passports, *traces,
                                                                          *ratings, *lake, *catalog, *ingest, *retriever, *links, metrics, *process, *protection.admin});
  admin->oidc = recognition.oidc.get();
  admin->model_routes = &routing->routes();
  admin->canaries = &routing->canaries();
  admin->target_health = &routing->directory().health();
  admin->limits = limits.get();
  admin->cache = cache.get();
  admin->delegated = recognition.delegated.get();
  admin->elevations = recognition.elevations.get();
  admin->providers = providers.get();
  admin->provider_sender = &egress->sender(infra::EgressPurpose::kProviders);
  admin->batches = later.desk.get();
  admin->version = STOA_VERSION;
  STOA_TRY(passport_page, data_file("", "passport.html"));
  admin->passport_page = std::move(passport_page.text);
  admin->public_url = url;
  admin->models = model_status(models);
  if (models.embedder) admin->search_model = models.embedder->model();
  if (models.generator) {
    admin->adapters = {.owner = [this](const std::string& model, const std::string& adapter, const std::string& project, bool loaded) { return adapter_owner(models, model, adapter, project, loaded); },
                       .load = [this](const std::string& adapter, const std::string& owner) { return load_adapter(models, adapter, owner); },
                       .unload = [this](const std::string& adapter, const std::string& owner) { return models.generator->unload_adapter(adapter, owner); }};
  }
  if (models.generator) admin->engine = [this] { return engine_status(metrics, models.generator->report().name, config.engine.slots); };
  admin->answered = [this](const Call& call, const std::string& id) { return answered_question(*responses, call, id); };
  if (config.metrics.router_names) admin->metric_names = feedback::MetricNames::kRouters;
  const std::string& metrics_address = config.server.admin.address.empty() ? config.server.address : config.server.admin.address;
  admin->open_metrics = metrics_address.starts_with("127.") || metrics_address == "::1";
  admin->listeners = [this] {
    std::vector<api::admin::ListenerStatus> status;
    if (listeners)
      for (const auto& listener : listeners->all()) status.push_back({listener.server->url(), listener.roles.names()});
    return status;
  };
  admin->max_file_bytes = static_cast<std::uint64_t>(config.ingest.max_file_bytes);
  return {};
}

// All stores are open, so that everything of an earlier release has been sealed.
Status Node::Parts::protect() {
  governance::KeyAdmin& keys = *protection.admin;
  keys.add_tables(catalog->sealed_tables());
  keys.add_tables({data::Lake::sealed_table(), files->sealed_table(), api::openai::ResponseStore::sealed_table(), feedback::TraceStore::sealed_table(),
                   feedback::RatingStore::sealed_table(), api::ProviderStore::sealed_table()});
  keys.add_tables(LaterWork::sealed_tables());
  keys.on_change([this](const std::string& project, bool readable) {
    if (const Status done = catalog->reload_project(project, readable); !done) log_error("the documents of a project are not searchable", done.error(), {{"project", project}});
    if (readable) ingest->resume(), later.runner->wake();
    else cache->forget_project(project);
  });
  STOA_CHECK(keys.scrub(*blobs));
  protection_worker = std::make_unique<ProtectionWorker>(keys, *blobs);
  return {};
}

// Who hears what has happened. The names are stored with their places in the stream: they must not change.
Status Node::Parts::subscribe() {
  for (const char* name : {"governance.audit", "governance.passport", "feedback.metrics"}) static_cast<void>(events->unsubscribe(name));  // of older releases; they would hold the stream
  STOA_CHECK(forget_changed(*events, *cache));
  STOA_CHECK(events->subscribe(data::blob_collector_subscription(),
                               data::collect_blobs(*installation.database, *store, {api::openai::FileStore::uses, data::Lake::uses, api::BatchStore::uses, api::openai::UploadStore::uses})));
  if (config.alarms.webhook.empty())
    static_cast<void>(events->unsubscribe(alarms_subscription().name));  // of an earlier start; it would hold the stream
  else
    STOA_CHECK(events->subscribe(alarms_subscription(), post_alarms(config.alarms.webhook, egress->sender(infra::EgressPurpose::kWebhooks))));
  return events->start();
}

Status Node::Parts::listen() {
  infra::Router router;
  router.set_error_renderer([](const infra::HttpRequest& request, int status, const Error& error) {
    if (api::bedrock::is_ours(request.path)) return api::bedrock::render_http_error(request, status, error);
    const auto render = api::anthropic::is_ours(request.path) ? api::anthropic::render_http_error : api::oip::is_ours(request.path) ? api::oip::render_http_error : api::openai::render_http_error;
    return render(request, status, error);
  });
  STOA_CHECK(api::openai::register_openai(router, *openai));
  STOA_CHECK(api::anthropic::register_messages(router, *anthropic));
  STOA_CHECK(api::bedrock::register_converse(router, *bedrock));
  STOA_CHECK(api::openai::register_moderations(router, *moderation));
  STOA_CHECK(api::oip::register_inference(router, *oip));
  STOA_CHECK(api::admin::register_admin(router, *admin));
  STOA_CHECK(api::add_console_routes(router));
  STOA_TRY(routes, api::check_routes(router));
  admin->routes = std::move(routes);
  router.assign_roles(api::listener_roles);
  STOA_CHECK(later.start(router));
  refusals = std::make_unique<governance::RefusalLog>(*installation.strangers);
  STOA_TRY(started, Listeners::start(config, router, metrics, *refusals));
  listeners = std::move(started);
  url = listeners->url();
  return {};
}

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Node::~Node() {
  if (parts_) stop(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<Node>> Node::start(const infra::Config& config) {
  const auto begin = std::chrono::steady_clock::now();
  auto parts = std::make_unique<Parts>();
  parts->config = config;
  parts->url = fmt::format("{}://{}:{}", config.server.tls.cert.empty() ? "http" : "https", config.server.address, config.server.port);
  STOA_CHECK(parts->open_stores());
  STOA_CHECK(parts->open_data());
  STOA_CHECK(parts->open_gateway());
  STOA_CHECK(parts->protect());
  STOA_CHECK(parts->subscribe());
  STOA_CHECK(parts->ingest->start_worker());
  STOA_CHECK(parts->listen());
  parts->remembering = std::thread([&identity = *parts->installation.identity] {
    run_in_background("remember-keys");
    if (const auto done = identity.remember_keys(); !done) log_error("the keys that were used last are not remembered", done.error());
  });
  log(LogLevel::kInfo, "ready",
      {{"url", parts->url},
       {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()},
       {"generator", parts->models.generator ? parts->models.generator->report().name : std::string("none")},
       {"embedder", parts->models.embedder ? parts->models.embedder->model() : std::string("none")}});
  for (const auto& listener : parts->listeners->all())
    if (parts->listeners->all().size() > 1) log(LogLevel::kInfo, "listening", {{"url", listener.server->url()}, {"roles", listener.roles.names()}});
  return std::unique_ptr<Node>(new Node(std::move(parts)));
}

const std::string& Node::url() const { return parts_->url; }
void Node::reload() {
  parts_->listeners->reload_certificates();
  parts_->recognition.oidc->hurry();
  if (parts_->models.generator) load_adapters(parts_->models);
}

void Node::stop(std::chrono::milliseconds drain) {
  if (parts_->listeners) parts_->listeners->stop(drain);
  parts_->later.stop(drain);
  parts_->protection_worker.reset();
  if (parts_->ingest) parts_->ingest->stop_worker();
  if (parts_->models.generator) parts_->models.generator->stop(std::chrono::milliseconds(0));
  if (parts_->installation.behind) parts_->installation.behind->stop();
  if (parts_->events) parts_->events->stop();
  if (!parts_->installation.checkpoints) return;
  if (const auto last = parts_->installation.checkpoints->latest(); !last) log_error("no checkpoint of the audit log was made", last.error());
}

}  // namespace stoa::wiring
