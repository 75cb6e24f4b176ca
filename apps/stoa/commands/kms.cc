#include "commands/commands.h"

#include <algorithm>
#include <functional>

#include "base/json.h"
#include "base/time.h"
#include "commands/connect.h"
#include "commands/terminal.h"
#include "wiring/installation.h"
#include "wiring/protection.h"

namespace stoa::cli {
namespace {

using governance::Action;
using governance::Permit;

// The data folder, as its local operator. A server on the same folder takes notice of changes within a second.
struct Local {
  wiring::Installation installation;
  wiring::Protection protection;
  Call actor;

  governance::KeyAdmin& keys() { return *protection.admin; }
  Result<Permit> installation_permit() { return installation.access->check(actor, Action::kKmsManage, {.kind = "master key"}); }
  Result<Permit> project_permit(const std::string& name) {
    STOA_TRY(projects, installation.identity->projects(actor));
    const auto found = std::ranges::find_if(projects, [&](const auto& each) { return each.name == name || each.id == name; });
    if (found == projects.end()) return fail(ErrorCode::kNotFound, "there is no project '{}'", name);
    return installation.access->check(actor, Action::kProtectionManage, {.tenant = found->tenant, .project = found->id, .kind = "project key", .name = found->name});
  }
};

Result<Local> open_local(const Global& global, const std::string& tenant) {
  STOA_TRY(config, load_config(global));
  STOA_TRY(installation, wiring::Installation::open(config));
  STOA_TRY(protection, wiring::Protection::open(config, installation));
  STOA_TRY(actor, installation.identity->local_operator(tenant));
  return Local{std::move(installation), std::move(protection), Call::of(std::move(actor))};
}

JsonObject to_json(const governance::ProjectKeyStatus& status, const std::string& name) {
  JsonArray versions;
  for (const auto& key : status.versions)
    versions.push_back(JsonObject{{"version", key.version}, {"provider", key.provider}, {"master", key.master}, {"created", to_rfc3339(key.created)},
                                  {"retired", key.retired ? Json(to_rfc3339(*key.retired)) : Json(nullptr)}});
  return {{"project", status.project}, {"name", name}, {"state", governance::state_name(status.state)}, {"current", status.current}, {"keep", status.keep.empty() ? std::string("default") : status.keep}, {"versions", std::move(versions)}};
}

struct Overview {
  infra::MasterKeyStatus master;
  std::vector<governance::ServerSecretStatus> secrets;
  std::vector<std::pair<std::string, governance::ProjectKeyStatus>> projects;  // those with a key, by name
};

Result<Overview> overview(Local& local) {
  Overview all;
  STOA_TRY(permit, local.installation_permit());
  STOA_TRY(master, local.keys().master(permit));
  all.master = std::move(master);
  STOA_TRY(secrets, local.keys().secrets(permit));
  all.secrets = std::move(secrets);
  STOA_TRY(projects, local.installation.identity->projects(local.actor));
  for (const auto& project : projects) {
    STOA_TRY(allowed, local.project_permit(project.id));
    auto status = local.keys().project(allowed);
    if (status) all.projects.emplace_back(project.name, std::move(*status));
    else if (status.error().code != ErrorCode::kNotFound) return fail(std::move(status).error());
  }
  return all;
}

std::string masters_text(const governance::ProjectKeyStatus& status) {
  std::vector<std::string> names;
  for (const auto& key : status.versions) names.push_back(key.provider + " " + key.master);
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "-" : text;
}

// Does something to one project's key and says what it is then.
int with_project(const Global& global, const KmsOptions& options, std::string_view done,
                 const std::function<Status(governance::KeyAdmin&, const Call&, const Permit&)>& work) {
  const std::string& project = options.project;
  auto local = open_local(global, options.tenant);
  if (!local) return report(local.error(), global.json);
  const auto permit = local->project_permit(project);
  if (!permit) return report(permit.error(), global.json);
  if (const Status worked = work(local->keys(), local->actor, *permit); !worked) return report(worked.error(), global.json);
  const auto status = local->keys().project(*permit);
  if (!status) return report(status.error(), global.json);
  if (global.json) fmt::print("{}\n", dump_json_pretty(to_json(*status, project)));
  else fmt::print("{}\n", fmt::format(fmt::runtime(done), project));
  return kExitOk;
}

int report_count(const Global& global, const Result<std::int64_t>& count, std::string_view done) {
  if (!count) return report(count.error(), global.json);
  if (global.json) fmt::print("{}\n", dump_json(JsonObject{{"rewrapped", *count}}));
  else fmt::print("{} {} keys were wrapped anew.\n", done, *count);
  return kExitOk;
}

}  // namespace

int kms_status(const Global& global, const KmsOptions& options) {
  auto local = open_local(global, options.tenant);
  if (!local) return report(local.error(), global.json);
  const auto all = overview(*local);
  if (!all) return report(all.error(), global.json);
  if (global.json) {
    JsonArray projects, versions, secrets;
    for (const auto& secret : all->secrets) secrets.push_back(JsonObject{{"name", secret.name}, {"provider", secret.provider}, {"master", secret.master}});
    for (const auto& [name, status] : all->projects) projects.push_back(to_json(status, name));
    for (const auto& version : all->master.versions) versions.push_back(Json(version));
    fmt::print("{}\n", dump_json_pretty(JsonObject{{"provider", all->master.provider}, {"key", all->master.key}, {"current", all->master.current},
                                                   {"versions", std::move(versions)}, {"secrets", std::move(secrets)}, {"projects", std::move(projects)}}));
    return kExitOk;
  }
  fmt::print("master key  {}: {}{}\n\n", all->master.provider, all->master.key, all->master.current.empty() ? "" : ", version " + all->master.current);
  std::vector<std::vector<std::string>> rows{{"project", "state", "data key", "wrapped by", "being replaced"}};
  for (const auto& [name, status] : all->projects) {
    const auto replaced = std::ranges::count_if(status.versions, [](const auto& key) { return key.retired.has_value(); });
    rows.push_back({name, std::string(governance::state_name(status.state)), std::to_string(status.current), masters_text(status), replaced == 0 ? "-" : std::to_string(replaced)});
  }
  for (const auto& secret : all->secrets) rows.push_back({fmt::format("(secrets/{})", secret.name), "active", "-", secret.provider + " " + secret.master, "-"});
  fmt::print("{}", table(rows));
  return kExitOk;
}

int kms_rotate(const Global& global, const KmsOptions& options) {
  if (!options.project.empty())
    return with_project(global, options, "{} has a new data key. A running server seals what is there anew, behind; 'stoa kms status' shows when it is done.",
                        [](governance::KeyAdmin& keys, const Call& call, const Permit& permit) { return keys.rotate(call, permit); });
  auto local = open_local(global, options.tenant);
  if (!local) return report(local.error(), global.json);
  const auto permit = local->installation_permit();
  if (!permit) return report(permit.error(), global.json);
  return report_count(global, local->keys().rotate_master(local->actor, *permit), "There is a new master key.");
}

int kms_rewrap(const Global& global) {
  auto local = open_local(global, KmsOptions{}.tenant);
  if (!local) return report(local.error(), global.json);
  const auto permit = local->installation_permit();
  if (!permit) return report(permit.error(), global.json);
  return report_count(global, local->keys().rewrap(local->actor, *permit), "Done.");
}

int kms_revoke(const Global& global, const KmsOptions& options) {
  return with_project(global, options,
                      options.destroy ? "The key of {} is destroyed: its data cannot be read again." : "The key of {} is revoked: its data can be neither read nor written. 'stoa kms restore' gives it back.",
                      [&](governance::KeyAdmin& keys, const Call& call, const Permit& permit) { return keys.revoke(call, permit, options.destroy); });
}

int kms_restore(const Global& global, const KmsOptions& options) {
  return with_project(global, options, "The key of {} is given back; a running server makes its documents searchable again.",
                      [](governance::KeyAdmin& keys, const Call& call, const Permit& permit) { return keys.restore(call, permit); });
}

int kms_keep(const Global& global, const KmsOptions& options) {
  return with_project(global, options, "It is so from now on for {}; what was kept before stays.", [&](governance::KeyAdmin& keys, const Call& call, const Permit& permit) -> Status {
    if (options.keep == "default") return keys.set_keep(call, permit, {});
    STOA_TRY(keep, governance::parse_keep(options.keep));
    return keys.set_keep(call, permit, keep);
  });
}

}  // namespace stoa::cli
