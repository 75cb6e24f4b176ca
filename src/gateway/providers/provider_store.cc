#include "gateway/providers/provider_store.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/providers/access_tokens.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using governance::Permit;

constexpr std::size_t kMaxHeld = 1024;
constexpr int kMostContext = 100'000'000;
constexpr std::string_view kTable = "provider_credentials";

constexpr std::array kMigrations{infra::Migration{1, R"sql(
CREATE TABLE providers (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL,
  family TEXT NOT NULL, url TEXT NOT NULL,
  options TEXT NOT NULL,  -- JSON: {"api_version": "2024-10-21"}
  models TEXT NOT NULL,   -- JSON: [["gpt-4.1", 1000000], ...]: name, context length
  residency TEXT NOT NULL, on_prem INTEGER NOT NULL,
  created INTEGER NOT NULL, updated INTEGER NOT NULL,
  UNIQUE (project, name)
);
CREATE TABLE provider_credentials (
  provider TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  time INTEGER NOT NULL,
  sealed BLOB NOT NULL
);
)sql"},
                                      infra::Migration{2, R"sql(
CREATE TABLE provider_changes (one INTEGER PRIMARY KEY CHECK (one = 1), sequence INTEGER NOT NULL);
INSERT INTO provider_changes (one, sequence) VALUES (1, 0);
)sql"}};

constexpr std::string_view kSelect =
    "SELECT p.id, p.name, p.family, p.url, p.options, p.models, p.residency, p.on_prem, p.created, p.updated, c.time, c.sealed "
    "FROM providers p LEFT JOIN provider_credentials c ON c.provider = p.id WHERE p.project = ?";

std::unexpected<Error> wrong(std::string_view param, std::string text) { return fail(error(ErrorCode::kInvalidArgument, "{}", text).with_param(std::string(param))); }
std::unexpected<Error> missing(std::string_view name) {
  return fail(error(ErrorCode::kNotFound, "there is no provider '{}' in this project", name.substr(0, 100)).with_hint("'stoa providers list' shows them").with_param("name"));
}

bool printable(std::string_view text, std::size_t most, bool spaces = false) {
  return !text.empty() && text.size() <= most && std::ranges::all_of(text, [&](unsigned char c) { return (c > ' ' || (spaces && c == ' ')) && c < 0x7f; });
}

Status check(const Provider& provider) {
  if (provider.name.empty() || provider.name.size() > 64 ||
      !std::ranges::all_of(provider.name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; }))
    return wrong("name", "the name of a provider is 1 to 64 lower-case letters, digits, '.', '_' and '-'");
  STOA_CHECK(check_provider(provider.family, provider.url, provider.options));
  if (!provider.residency.empty() && !printable(provider.residency, 64)) return wrong("residency", "a residency is the name of a region, at most 64 printable characters");
  if (provider.models.size() > ProviderStore::kMaxModels) return wrong("models", fmt::format("a provider has at most {} models", ProviderStore::kMaxModels));
  std::set<std::string_view> names;
  for (const ProviderModel& model : provider.models) {
    if (!printable(model.name, 256)) return wrong("models", "the name of a model is 1 to 256 printable characters without spaces");
    if (model.context_length < 1 || model.context_length > kMostContext) return wrong("models", fmt::format("the context length of {} must be 1 to {}", model.name, kMostContext));
    if (!names.insert(model.name).second) return wrong("models", fmt::format("the model {} is there twice", model.name));
  }
  return {};
}

std::string options_text(const Provider& provider) {
  JsonObject out;
  for (const auto& [name, value] : provider.options) out[name] = value;
  return dump_json(out);
}
std::string models_text(const Provider& provider) {
  JsonArray out;
  for (const ProviderModel& model : provider.models) out.push_back(JsonArray{model.name, model.context_length});
  return dump_json(out);
}

std::unexpected<Error> damaged(std::string_view name) { return fail(ErrorCode::kDataLoss, "the provider {} is stored in a way that cannot be read", name); }

Status read_options(const std::string& text, Provider& out) {
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return damaged(out.name);
  for (const auto& member : json->get_object()) {
    if (!member.value().is_string()) return damaged(out.name);
    out.options[std::string(member.key())] = std::string(member.value().get_string());
  }
  return {};
}

Status read_models(const std::string& text, Provider& out) {
  const auto json = parse_json(text);
  if (!json || !json->is_array()) return damaged(out.name);
  for (const Json& item : json->get_array()) {
    if (!item.is_array() || item.get_array().size() < 2 || !item.get_array()[0].is_string() || !item.get_array()[1].is_int64()) return damaged(out.name);
    out.models.push_back({std::string(item.get_array()[0].get_string()), static_cast<int>(item.get_array()[1].get_int64())});
  }
  return {};
}

Result<std::int64_t> stored_sequence(infra::SqlSession& session) {
  STOA_TRY(row, session.query_one("SELECT sequence FROM provider_changes WHERE one = 1", {}));
  if (!row) return fail(ErrorCode::kDataLoss, "the changes of providers are not counted in the store");
  return row->get<std::int64_t>(0);
}

struct Row {
  std::string id;
  Provider provider;
  std::optional<Bytes> sealed;
};

Result<Row> read(const infra::SqlRow& row) {
  Row out;
  Provider& provider = out.provider;
  std::string options, models;
  STOA_CHECK(row.read(out.id, provider.name, provider.family, provider.url, options, models, provider.residency, provider.on_prem, provider.created, provider.updated,
                      provider.credential_set, out.sealed));
  STOA_CHECK(read_options(options, provider));
  STOA_CHECK(read_models(models, provider));
  return out;
}

Result<Row> find_row(infra::SqlSession& session, const std::string& project, std::string_view name) {
  STOA_TRY(row, session.query_one(fmt::format("{} AND p.name = ?", kSelect), {project, std::string(name)}));
  if (!row) return missing(name);
  return read(*row);
}

Status written(const Result<std::int64_t>& rows) {
  if (!rows) return fail(rows.error());
  return {};
}

// Whether both are the same place, so that a credential for one may be shown to the other.
bool same_place(const Provider& a, const Provider& b) {
  const auto one = infra::parse_url(a.url), other = infra::parse_url(b.url);
  return a.family == b.family && one && other && one->origin() == other->origin();
}

// JSON comes in a file of many lines; it is kept on one.
std::string on_one_line(std::string_view credential) {
  const auto json = credential.starts_with('{') ? parse_json(credential, {.max_bytes = ProviderStore::kMaxCredential}) : Result<Json>(Json());
  return json && json->is_object() ? dump_json(*json) : std::string(credential);
}

}  // namespace

ProviderStore::ProviderStore(infra::SqlDatabase& database, governance::Sealer& sealer, governance::AuditLog& audit, const Clock& clock)
    : database_(database), sealer_(sealer), audit_(audit), clock_(clock), tokens_(std::make_shared<AccessTokens>(clock)) {}

governance::SealedTable ProviderStore::sealed_table() {
  return {.name = std::string(kTable), .ids = {"provider"}, .project = "t.project", .from = "provider_credentials t", .columns = {}};
}

Result<std::unique_ptr<ProviderStore>> ProviderStore::open(infra::SqlDatabase& database, governance::Sealer& sealer, governance::AuditLog& audit, const Clock& clock) {
  STOA_CHECK(database.migrate("gateway.providers", kMigrations));
  std::unique_ptr<ProviderStore> store(new ProviderStore(database, sealer, audit, clock));
  STOA_TRY(sequence, stored_sequence(database));
  store->sequence_.store(sequence);
  return store;
}

Result<std::vector<Provider>> ProviderStore::list(const Permit& permit) {
  STOA_TRY(rows, database_.query(fmt::format("{} ORDER BY p.name", kSelect), {permit.principal().project}));
  std::vector<Provider> found;
  for (const auto& row : rows) {
    STOA_TRY(each, read(row));
    found.push_back(std::move(each.provider));
  }
  return found;
}

Result<Provider> ProviderStore::get(const Permit& permit, std::string_view name) {
  STOA_TRY(found, find_row(database_, permit.principal().project, name));
  return std::move(found.provider);
}

// The audit entry commits with the change, and nobody goes on with what was there before.
Status ProviderStore::change(const Call& call, std::string_view what, std::string_view name, const std::function<Status(infra::SqlTransaction&)>& work) {
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(work(transaction));
    STOA_CHECK(transaction.execute("UPDATE provider_changes SET sequence = sequence + 1 WHERE one = 1", {}));
    // The next look finds the sequence changed and raises the generation once more, which is harmless; to keep count here could hide a change made elsewhere.
    transaction.on_commit([this] { generation_.fetch_add(1, std::memory_order_acq_rel); });
    return audit_.append(transaction, governance::AuditEntry::of(call, what, fmt::format("provider {}", name)));
  });
}

Result<Provider> ProviderStore::add(const Permit& permit, const Call& call, Provider provider) {
  STOA_CHECK(check(provider));
  const Principal& who = permit.principal();
  provider.created = provider.updated = clock_.now();
  provider.credential_set.reset();
  STOA_CHECK(change(call, "provider.add", provider.name, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(others, transaction.query("SELECT name FROM providers WHERE project = ?", {who.project}));
    for (const auto& other : others) {
      STOA_TRY(name, other.get<std::string>(0));
      if (name == provider.name)
        return fail(error(ErrorCode::kConflict, "there is a provider '{}' already", name).with_hint("change it with PUT /v1/stoa/providers/{name}, or remove it first").with_param("name"));
    }
    if (others.size() >= kMaxProviders) return fail(ErrorCode::kResourceExhausted, "a project has at most {} providers", kMaxProviders);
    return written(transaction.execute(
        "INSERT INTO providers (id, tenant, project, name, family, url, options, models, residency, on_prem, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        {new_id("prov"), who.tenant, who.project, provider.name, provider.family, provider.url, options_text(provider), models_text(provider), provider.residency,
         std::int64_t{provider.on_prem}, provider.created, provider.updated}));
  }));
  return provider;
}

Result<Provider> ProviderStore::replace(const Permit& permit, const Call& call, Provider provider) {
  STOA_CHECK(check(provider));
  STOA_CHECK(change(call, "provider.change", provider.name, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(before, find_row(transaction, permit.principal().project, provider.name));
    provider.created = before.provider.created;
    provider.updated = clock_.now();
    provider.credential_set = before.provider.credential_set;
    if (!same_place(before.provider, provider)) {
      provider.credential_set.reset();
      STOA_CHECK(transaction.execute("DELETE FROM provider_credentials WHERE provider = ?", {before.id}));
    }
    return written(transaction.execute("UPDATE providers SET family = ?, url = ?, options = ?, models = ?, residency = ?, on_prem = ?, updated = ? WHERE id = ?",
                                       {provider.family, provider.url, options_text(provider), models_text(provider), provider.residency, std::int64_t{provider.on_prem}, provider.updated, before.id}));
  }));
  return provider;
}

Result<Provider> ProviderStore::set_credential(const Permit& permit, const Call& call, std::string_view name, std::string_view text) {
  const std::string credential = on_one_line(text);
  if (!printable(credential, kMaxCredential, true)) return wrong("credential", fmt::format("a credential is 1 to {} printable characters on one line", kMaxCredential));
  const std::string& project = permit.principal().project;
  STOA_TRY(keys, sealer_.project(project));  // before the transaction: it may have to make them
  Provider changed;
  STOA_CHECK(change(call, "provider.credential.set", name, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(row, find_row(transaction, project, name));
    STOA_CHECK(check_credential(row.provider.family, credential));
    STOA_TRY(sealed, governance::seal_record(keys, governance::row_context(kTable, row.id), {credential}));
    changed = std::move(row.provider);
    changed.credential_set = clock_.now();
    return written(transaction.execute("INSERT INTO provider_credentials (provider, project, time, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (provider) DO UPDATE SET time = excluded.time, sealed = excluded.sealed",
                                       {row.id, project, *changed.credential_set, std::move(sealed)}));
  }));
  return changed;
}

Status ProviderStore::remove(const Permit& permit, const Call& call, std::string_view name) {
  return change(call, "provider.remove", name, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(row, find_row(transaction, permit.principal().project, name));
    STOA_CHECK(transaction.execute("DELETE FROM provider_credentials WHERE provider = ?", {row.id}));
    return written(transaction.execute("DELETE FROM providers WHERE id = ?", {row.id}));
  });
}

Result<std::shared_ptr<const ProviderStore::Held>> ProviderStore::held(const std::string& project) {
  const std::uint64_t now = generation();  // before reading: what changes meanwhile is read again
  {
    std::lock_guard lock(mutex_);
    if (const auto found = held_.find(project); found != held_.end() && found->second->generation == now) return found->second;
  }
  STOA_TRY(rows, database_.query(fmt::format("{} ORDER BY p.name", kSelect), {project}));
  auto fresh = std::make_shared<Held>();
  fresh->generation = now;
  std::vector<Provider> providers;
  for (const auto& row : rows) {
    STOA_TRY(each, read(row));
    if (each.sealed) fresh->credentials[each.provider.name] = {each.id, std::move(*each.sealed)};
    providers.push_back(std::move(each.provider));
  }
  fresh->providers = std::make_shared<const std::vector<Provider>>(std::move(providers));
  std::lock_guard lock(mutex_);
  if (held_.size() >= kMaxHeld && !held_.contains(project)) held_.clear();
  held_[project] = fresh;
  return fresh;
}

std::uint64_t ProviderStore::generation() {
  const std::int64_t now = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::int64_t looked = looked_.load(std::memory_order_relaxed);
  if (now - looked >= kRefresh.count() && looked_.compare_exchange_strong(looked, now)) {
    if (const auto sequence = stored_sequence(database_); !sequence) {
      log_error("changes of providers elsewhere are not seen for now", sequence.error());
    } else if (sequence_.exchange(*sequence, std::memory_order_acq_rel) != *sequence) {
      generation_.fetch_add(1, std::memory_order_acq_rel);
    }
  }
  return generation_.load(std::memory_order_acquire);
}

Result<ProviderStore::Snapshot> ProviderStore::of_project(const std::string& project) {
  STOA_TRY(found, held(project));
  return found->providers;
}

Result<std::string> ProviderStore::credential(const std::string& project, const std::string& name) {
  STOA_TRY(found, held(project));
  const auto place = found->credentials.find(name);
  if (place == found->credentials.end()) return std::string();
  const auto& [id, sealed] = place->second;
  STOA_TRY(keys, sealer_.project(project));
  auto opened = governance::open_record(keys, governance::row_context(kTable, id), sealed, 1);
  if (opened) return opened->text(0);
  // A rotation of the project's key seals the rows anew behind this; what is in memory may be sealed under a key that is gone.
  STOA_TRY(row, find_row(database_, project, name));
  if (!row.sealed) return std::string();
  STOA_TRY(record, governance::open_record(keys, governance::row_context(kTable, row.id), *row.sealed, 1));
  return record.text(0);
}

ProviderTarget ProviderStore::target(const std::string& project, const Provider& provider, const ProviderModel& model) {
  return {.provider = provider.name, .family = provider.family, .url = provider.url, .model = model.name, .context_length = model.context_length,
          .credential = [this, project, name = provider.name] { return credential(project, name); }, .options = provider.options, .tokens = tokens_};
}

}  // namespace stoa::gateway
