#include "governance/policies/policies.h"

#include <algorithm>

#include "base/log.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE policies (
  sequence INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  text TEXT NOT NULL,
  digest TEXT NOT NULL,
  author TEXT NOT NULL,
  comment TEXT NOT NULL,
  time INTEGER NOT NULL,
  UNIQUE (tenant, name, version));
)sql"}};

constexpr std::string_view kColumns = "tenant, name, version, removed, digest, author, comment, time";
constexpr std::size_t kMaxName = 64, kMaxComment = 512, kShownChanges = 200;

Result<PolicyVersion> read_version(const infra::SqlRow& row, bool text) {
  PolicyVersion version;
  STOA_CHECK(row.read(version.tenant, version.name, version.version, version.removed, version.digest, version.author, version.comment, version.time));
  if (text) {
    STOA_TRY(read, row.get<std::string>(8));
    version.text = std::move(read);
  }
  return version;
}

Status check_name(std::string_view name) {
  const auto allowed = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  if (!name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, allowed)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "'{}' cannot name policies: 1 to {} letters, digits and ._- are allowed", name.substr(0, 100), kMaxName).with_param("name"));
}

Resource resource_of(const PolicyScope& scope, std::string_view name) { return {.tenant = scope.tenant, .project = {}, .kind = "policy", .name = std::string(name)}; }

// How a stored text is called where rules and mistakes in it are named.
std::string file_name(const PolicyVersion& version) { return fmt::format("{}@{}", version.name, version.version); }

std::string digest_of(const std::vector<std::pair<std::string, std::string_view>>& texts) {
  std::string all;
  for (const auto& [name, text] : texts) all += fmt::format("{}:{}{}:{}", name.size(), name, text.size(), text);
  return infra::sha256_hex(all).substr(0, 12);
}

Result<PolicyFile> parse_head(const PolicyVersion& head) {
  STOA_TRY(file, parse_policies(head.text, file_name(head)));
  return file;
}

Status passed(const PolicyTestReport& report) {
  if (report.failures.empty()) return {};
  const auto& first = report.failures.front();
  return fail(error(ErrorCode::kInvalidArgument, "{}: the test \"{}\" fails: {}", first.where, first.test, first.message)
                  .with_hint(report.failures.size() > 1 ? fmt::format("{} of {} tests fail", report.failures.size(), report.run) : ""));
}

}  // namespace

Result<std::unique_ptr<Policies>> Policies::open(PolicyParts parts) {
  STOA_CHECK(parts.database.migrate("governance/policies", kMigrations));
  std::unique_ptr<Policies> policies(new Policies(std::move(parts)));
  STOA_CHECK(policies->load(true));
  Access::Hooks hooks;
  hooks.refresh = [policies = policies.get()] { policies->refresh(); };
  hooks.refresh_every = kRefresh;
  if (policies->parts_.decisions != nullptr) hooks.decided = [log = policies->parts_.decisions](const PolicyRequest& request, const Decision& decision) { log->note(request, decision); };
  policies->parts_.access.set_hooks(std::move(hooks));
  return policies;
}

Policies::~Policies() { parts_.access.set_hooks({}); }

Status Policies::allow(const Call& call, Action action, const PolicyScope& scope, std::string_view name, std::string_view change) {
  const auto permit = parts_.access.check(call, action, resource_of(scope, name));
  if (permit) return {};
  AuditEntry entry = AuditEntry::of(call, change, resource_of(scope, name).text());
  entry.outcome = Outcome::kDenied;
  entry.reason = permit.error().message;
  if (const auto recorded = parts_.audit.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
  return fail(permit.error());
}

// ---- What is in force

// The newest version of every name, removed ones left out, with texts; the installation's first.
Result<std::vector<PolicyVersion>> Policies::heads(infra::SqlSession& session) const {
  std::vector<PolicyVersion> all;
  STOA_CHECK(session.for_each(fmt::format("SELECT {}, text FROM policies p WHERE version = (SELECT MAX(version) FROM policies q WHERE q.tenant = p.tenant AND q.name = p.name)"
                                          " AND removed = 0 ORDER BY tenant, name",
                                          kColumns),
                              {}, [&](const infra::SqlRow& row) -> Result<bool> {
                                STOA_TRY(version, read_version(row, true));
                                all.push_back(std::move(version));
                                return true;
                              }));
  return all;
}

Result<std::vector<PolicyFile>> Policies::parse_files(const std::vector<PolicyText>& texts) const {
  std::vector<PolicyFile> files;
  for (const auto& [name, text] : parts_.base) {
    STOA_TRY(file, parse_policies(text, name));
    file.tests.clear();  // they are about these files alone, and the build has run them
    files.push_back(std::move(file));
  }
  for (const auto& [name, text] : texts) {
    STOA_TRY(file, parse_policies(text, name));
    files.push_back(std::move(file));
  }
  return files;
}

Result<PolicyState> Policies::compile(const std::vector<PolicyVersion>& heads, const std::vector<PolicyText>& files) const {
  STOA_TRY(installation, parse_files(files));
  std::vector<std::pair<std::string, std::string_view>> texts;
  for (const auto* part : {&parts_.base, &files})
    for (const auto& [name, text] : *part) texts.emplace_back(name, text);
  for (const auto& head : heads) {
    if (!head.tenant.empty()) continue;
    STOA_TRY(file, parse_head(head));
    installation.push_back(std::move(file));
    texts.emplace_back(head.name, head.text);
  }
  PolicyState state;
  STOA_TRY(set, PolicySet::compile(std::move(installation)));
  state.installation = std::make_shared<const PolicySet>(std::move(set));
  state.version = digest_of(texts);

  const auto before = parts_.access.state();
  for (auto first = std::ranges::find_if(heads, [](const auto& head) { return !head.tenant.empty(); }); first != heads.end();) {
    const auto last = std::find_if(first, heads.end(), [&](const auto& head) { return head.tenant != first->tenant; });
    std::vector<PolicyFile> own;
    std::vector<std::pair<std::string, std::string_view>> own_texts{{"installation", state.version}};
    std::string broken;
    for (auto head = first; head != last; ++head) {
      own_texts.emplace_back(head->name, head->text);
      auto file = parse_head(*head);
      if (file)
        own.push_back(std::move(*file));
      else
        broken = file.error().message;
    }
    PolicyState::Own layer{.set = nullptr, .version = digest_of(own_texts), .broken = broken};
    const auto known = before->tenants.find(first->tenant);
    if (known != before->tenants.end() && known->second.version == layer.version) {
      layer = known->second;
    } else if (broken.empty()) {
      // What it was checked against when it was set may have changed since: names that are taken by now do no harm.
      auto set_of_tenant = PolicySet::compile(std::move(own), nullptr, PolicySet::Names::kAny);
      if (set_of_tenant)
        layer.set = std::make_shared<const PolicySet>(std::move(*set_of_tenant));
      else
        layer.broken = set_of_tenant.error().message;
    }
    if (!layer.broken.empty()) log(LogLevel::kError, "the policies of a tenant cannot be read: it is closed", {{"tenant", first->tenant}, {"problem", layer.broken}});
    state.tenants.emplace(first->tenant, std::move(layer));
    first = last;
  }
  return state;
}

// Whether anything had changed.
Result<bool> Policies::load(bool first) {
  std::lock_guard lock(mutex_);
  STOA_TRY(row, parts_.database.query_one("SELECT COALESCE(MAX(sequence), 0) FROM policies"));
  STOA_TRY(sequence, row->get<std::int64_t>(0));
  std::string fingerprint = parts_.folder.fingerprint();
  if (!first && sequence == sequence_ && fingerprint == fingerprint_) return false;
  std::vector<PolicyText> files = files_;
  if (first || fingerprint != fingerprint_) {
    fingerprint_ = fingerprint;  // what cannot be read is not tried again until it changes
    STOA_TRY(read, parts_.folder.read());
    files = std::move(read);
  }
  sequence_ = sequence;
  STOA_TRY(stored, heads(parts_.database));
  STOA_TRY(state, compile(stored, files));
  STOA_CHECK(passed(state.installation->run_tests()));
  parts_.access.set_state(std::move(state));
  files_ = std::move(files);
  return true;
}

void Policies::refresh() {
  const auto changed = load(false);
  if (!changed)
    log_error("changed policies were not taken over: those before stay in force", changed.error());
  else if (*changed)
    log(LogLevel::kInfo, "policies taken over", {{"version", parts_.access.state()->version}});
}

// ---- Reading

Result<std::vector<PolicyVersion>> Policies::list(const Call& call, const PolicyScope& scope) {
  STOA_CHECK(allow(call, Action::kPolicyRead, scope, "", "policy.list"));
  STOA_TRY(stored, heads(parts_.database));
  std::vector<PolicyVersion> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto* part : {&parts_.base, &files_})
      for (const auto& [name, text] : *part) {
        PolicyVersion file;
        file.source = name;
        file.text = text;
        file.digest = "sha256:" + infra::sha256_hex(text);
        all.push_back(std::move(file));
      }
  }
  for (auto& head : stored)
    if (head.tenant.empty() || head.tenant == scope.tenant) all.push_back(std::move(head));
  return all;
}

Result<PolicyVersion> Policies::get(const Call& call, const PolicyScope& scope, std::string_view name, std::optional<std::int64_t> version) {
  STOA_CHECK(allow(call, Action::kPolicyRead, scope, name, "policy.show"));
  STOA_TRY(row, parts_.database.query_one(fmt::format("SELECT {}, text FROM policies WHERE tenant = ? AND name = ? AND (? = 0 OR version = ?) ORDER BY version DESC LIMIT 1", kColumns),
                                          {scope.tenant, std::string(name), version.value_or(0), version.value_or(0)}));
  if (!row || (version && *version < 1))
    return fail(error(ErrorCode::kNotFound, "there are no policies '{}'{}", name.substr(0, 100), version ? fmt::format(" of version {}", *version) : "").with_param("name"));
  return read_version(*row, true);
}

Result<std::vector<PolicyVersion>> Policies::history(const Call& call, const PolicyScope& scope, std::string_view name) {
  STOA_CHECK(allow(call, Action::kPolicyRead, scope, name, "policy.history"));
  STOA_TRY(rows, parts_.database.query(fmt::format("SELECT {} FROM policies WHERE tenant = ? AND name = ? ORDER BY version DESC LIMIT 1000", kColumns), {scope.tenant, std::string(name)}));
  if (rows.empty()) return fail(error(ErrorCode::kNotFound, "there are no policies '{}'", name.substr(0, 100)).with_param("name"));
  std::vector<PolicyVersion> all;
  for (const auto& row : rows) {
    STOA_TRY(version, read_version(row, false));
    all.push_back(std::move(version));
  }
  return all;
}

Result<std::vector<RuleChange>> Policies::diff(const Call& call, const PolicyScope& scope, std::string_view name, std::int64_t from, std::int64_t to) {
  STOA_TRY(before, get(call, scope, name, from));
  STOA_TRY(after, get(call, scope, name, to));
  return compare_policies(before.text, after.text);
}

// ---- Changing

// The layers of the scope with `text` in place of what has the name; an empty text: without it.
Result<PolicyLayers> Policies::proposed(const std::vector<PolicyVersion>& heads, const PolicyScope& scope, std::string_view name, std::string_view text) const {
  std::vector<PolicyFile> changed;
  const auto same = [&](const PolicyVersion& head) { return head.tenant == scope.tenant && head.name == name; };
  for (const auto& head : heads) {
    if (head.tenant != scope.tenant || same(head)) continue;
    STOA_TRY(file, parse_head(head));
    changed.push_back(std::move(file));
  }
  if (!text.empty()) {
    STOA_TRY(file, parse_policies(text, name));
    changed.push_back(std::move(file));
  }
  const auto state = parts_.access.state();
  if (!scope.tenant.empty()) {
    STOA_TRY(own, PolicySet::compile(std::move(changed), state->installation.get()));
    return PolicyLayers{state->installation, std::make_shared<const PolicySet>(std::move(own))};
  }
  std::vector<PolicyText> texts;
  {
    std::lock_guard lock(mutex_);
    texts = files_;
  }
  STOA_TRY(files, parse_files(texts));
  for (auto& file : changed) files.push_back(std::move(file));
  STOA_TRY(set, PolicySet::compile(std::move(files)));
  return PolicyLayers{std::make_shared<const PolicySet>(std::move(set)), nullptr};
}

// Its tests pass, and somebody can still undo it: who makes the change, or where that is the local operator, whom policies do not hold, a plain
// member of some role.
Status Policies::check(const Call& call, const PolicyScope& scope, const PolicyLayers& layers) const {
  STOA_CHECK(passed(scope.tenant.empty() ? layers.installation->run_tests()
                                         : run_policy_tests(layers.tenant->files(), [&](const PolicyRequest& request) { return layers.decide(request); })));
  const Resource resource = resource_of(scope, "");
  const auto may = [&](const Call& who) { return layers.decide(parts_.access.request(who, Action::kPolicyManage, resource)); };
  if (!is_local_operator(call.principal)) {
    const PolicyDecision decision = may(call);
    if (decision.allowed) return {};
    return fail(error(ErrorCode::kInvalidArgument, "with this you could not change policies any more: {}", decision.reason())
                    .with_hint("keep policy.manage for yourself, or have somebody make the change who keeps it"));
  }
  for (const auto* set : {layers.installation.get(), layers.tenant.get()}) {
    if (set == nullptr) continue;
    for (const auto& [role, file] : set->roles()) {
      Call member;
      member.principal = {.id = "user_somebody", .tenant = scope.tenant.empty() ? "tenant_some" : scope.tenant, .project = "proj_some", .user = "somebody", .groups = {}, .role = role->name};
      member.origin = {.address = "127.0.0.1", .tls = true, .purpose = {}};
      if (may(member).allowed) return {};
    }
  }
  return fail(error(ErrorCode::kInvalidArgument, "with this nobody could change policies any more, in no role").with_hint("leave policy.manage to a role, without conditions that nobody can be sure to meet"));
}

Result<PolicyVersion> Policies::store(const Call& call, const PolicyScope& scope, const NewPolicy& policy, bool removed, std::string_view change) {
  PolicyVersion next{.tenant = scope.tenant, .name = policy.name, .version = 1, .removed = removed, .text = policy.text, .digest = "sha256:" + infra::sha256_hex(policy.text),
                     .author = call.principal.id, .comment = policy.comment, .time = parts_.clock.now()};
  refresh();  // what is checked is checked against what others have set by now
  const Status stored = parts_.database.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(newest, transaction.query_one("SELECT version, removed, digest FROM policies WHERE tenant = ? AND name = ? ORDER BY version DESC LIMIT 1", {scope.tenant, policy.name}));
    std::int64_t version = 0;
    bool gone = true;
    std::string digest;
    if (newest) STOA_CHECK(newest->read(version, gone, digest));
    if (policy.expected && *policy.expected != version)
      return fail(error(ErrorCode::kConflict, "the newest version of '{}' is {}, not {}", policy.name, version, *policy.expected).with_hint("look at it, and set yours again"));
    if (removed && gone) return fail(error(ErrorCode::kNotFound, "there are no policies '{}'", policy.name).with_param("name"));
    STOA_TRY(all, heads(transaction));
    if (!removed && gone && static_cast<std::size_t>(std::ranges::count(all, scope.tenant, &PolicyVersion::tenant)) >= kMaxNames)
      return fail(ErrorCode::kTooLarge, "there are {} names of policies already, the most there can be", kMaxNames);
    STOA_TRY(layers, proposed(all, scope, policy.name, policy.text));
    STOA_CHECK(check(call, scope, layers));
    next.version = version + 1;
    STOA_CHECK(transaction.execute("INSERT INTO policies (tenant, name, version, removed, text, digest, author, comment, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                   {next.tenant, next.name, next.version, std::int64_t{removed}, next.text, next.digest, next.author, next.comment, next.time}));
    AuditEntry entry = AuditEntry::of(call, change, fmt::format("policy {}", file_name(next)));
    entry.reason = next.digest;
    return parts_.audit.append(transaction, std::move(entry));
  });
  if (!stored) return fail(stored.error());
  STOA_CHECK(load(false));
  return next;
}

Result<PolicyVersion> Policies::set(const Call& call, const PolicyScope& scope, const NewPolicy& policy) {
  constexpr std::string_view kChange = "policy.set";
  STOA_CHECK(check_name(policy.name));
  if (policy.text.size() > kMaxText) return fail(error(ErrorCode::kTooLarge, "{} bytes of policies, more than {}", policy.text.size(), kMaxText).with_param("text"));
  if (policy.comment.size() > kMaxComment) return fail(error(ErrorCode::kInvalidArgument, "a comment of {} bytes, more than {}", policy.comment.size(), kMaxComment).with_param("comment"));
  STOA_CHECK(allow(call, Action::kPolicyManage, scope, policy.name, kChange));
  if (policy.text.find_first_not_of(" \t\r\n") == std::string::npos)
    return fail(error(ErrorCode::kInvalidArgument, "the text of the policies is empty").with_param("text").with_hint("removing them is another step"));
  return store(call, scope, policy, false, kChange);
}

Result<PolicyVersion> Policies::rollback(const Call& call, const PolicyScope& scope, std::string_view name, std::int64_t version, std::string comment) {
  constexpr std::string_view kChange = "policy.rollback";
  STOA_CHECK(allow(call, Action::kPolicyManage, scope, name, kChange));
  STOA_TRY(row, parts_.database.query_one(fmt::format("SELECT {}, text FROM policies WHERE tenant = ? AND name = ? AND version = ?", kColumns), {scope.tenant, std::string(name), version}));
  if (!row) return fail(error(ErrorCode::kNotFound, "there are no policies '{}' of version {}", name.substr(0, 100), version).with_param("version"));
  STOA_TRY(old, read_version(*row, true));
  if (old.removed) return fail(error(ErrorCode::kInvalidArgument, "version {} of '{}' is its removal", version, name).with_param("version"));
  if (comment.empty()) comment = fmt::format("as of version {}", version);
  if (comment.size() > kMaxComment) return fail(error(ErrorCode::kInvalidArgument, "a comment of {} bytes, more than {}", comment.size(), kMaxComment).with_param("comment"));
  return store(call, scope, {.name = old.name, .text = old.text, .comment = std::move(comment), .expected = {}}, false, kChange);
}

Result<PolicyVersion> Policies::remove(const Call& call, const PolicyScope& scope, std::string_view name, std::string comment) {
  constexpr std::string_view kChange = "policy.remove";
  STOA_CHECK(check_name(name));
  if (comment.size() > kMaxComment) return fail(error(ErrorCode::kInvalidArgument, "a comment of {} bytes, more than {}", comment.size(), kMaxComment).with_param("comment"));
  STOA_CHECK(allow(call, Action::kPolicyManage, scope, name, kChange));
  return store(call, scope, {.name = std::string(name), .text = {}, .comment = std::move(comment), .expected = {}}, true, kChange);
}

Result<DryRun> Policies::dry_run(const Call& call, const PolicyScope& scope, std::string_view name, std::string_view text) {
  STOA_CHECK(check_name(name));
  if (text.size() > kMaxText) return fail(error(ErrorCode::kTooLarge, "{} bytes of policies, more than {}", text.size(), kMaxText).with_param("text"));
  STOA_CHECK(allow(call, Action::kPolicyRead, scope, name, "policy.dry-run"));
  if (parts_.decisions == nullptr) return fail(ErrorCode::kUnsupported, "decisions are not recorded here");
  STOA_TRY(stored, heads(parts_.database));
  STOA_TRY(then, proposed(stored, scope, name, text));
  DryRun run;
  run.tests = scope.tenant.empty() ? then.installation->run_tests() : run_policy_tests(then.tenant->files(), [&](const PolicyRequest& request) { return then.decide(request); });
  STOA_TRY(recorded, parts_.decisions->recent(scope.tenant));
  const auto state = parts_.access.state();
  for (auto& record : recorded) {
    const PolicyRequest request = record.request();
    const PolicyLayers now = state->layers(record.tenant);
    const PolicyLayers after = scope.tenant.empty() ? PolicyLayers{then.installation, now.tenant} : then;
    ++run.decisions;
    run.requests += record.count;
    const PolicyDecision one = now.decide(request), two = after.decide(request);
    if (one.allowed == two.allowed) continue;
    if (++run.changed > kShownChanges) continue;
    ChangedDecision change{.record = {}, .now = one.allowed, .then = two.allowed, .now_reason = one.reason(), .then_reason = two.reason(), .now_rule = rule_id(one), .then_rule = rule_id(two)};
    change.record = std::move(record);
    run.changes.push_back(std::move(change));
  }
  return run;
}

}  // namespace stoa::governance
