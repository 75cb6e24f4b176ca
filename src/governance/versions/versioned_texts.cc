#include "governance/versions/versioned_texts.h"

#include "base/log.h"
#include "infra/crypto/hash.h"

namespace stoa::governance {
namespace {

// Stored with the migration that ran: must not change.
constexpr std::string_view kTable = R"sql(
CREATE TABLE {} (
  sequence INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  text TEXT NOT NULL,
  digest TEXT NOT NULL,
  author TEXT NOT NULL,
  comment TEXT NOT NULL,
  time INTEGER NOT NULL,
  UNIQUE (project, name, version));
)sql";
constexpr std::size_t kMaxComment = 512, kMaxText = 256u << 10, kMaxHistory = 1000;

std::string newest(std::string_view table) {
  return fmt::format("version = (SELECT MAX(version) FROM {0} q WHERE q.project = r.project AND q.name = r.name) AND removed = 0", table);
}

std::string project_of(const Call& call, TextOwner owner) { return owner == TextOwner::kInstallation ? std::string() : call.principal.project; }

Status check_comment(std::string_view comment) {
  if (comment.size() <= kMaxComment) return {};
  return fail(error(ErrorCode::kInvalidArgument, "a comment has at most {} bytes", kMaxComment).with_param("comment"));
}

}  // namespace

Result<std::unique_ptr<VersionedTexts>> VersionedTexts::open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, TextKind kind, const Clock& clock) {
  const std::string sql = fmt::format(fmt::runtime(kTable), kind.table);
  const infra::Migration migrations[] = {{1, sql}};
  STOA_CHECK(database.migrate(kind.component, migrations));
  return std::unique_ptr<VersionedTexts>(new VersionedTexts(database, audit, access, std::move(kind), clock));
}

Resource VersionedTexts::resource_of(const Call& call, TextOwner owner, std::string_view name) const {
  if (owner == TextOwner::kInstallation) return {.tenant = {}, .project = {}, .kind = kind_.noun, .name = std::string(name)};
  return Resource::of(call.principal, kind_.noun, std::string(name));
}

Status VersionedTexts::allow(const Call& call, TextOwner owner, Action action, std::string_view name, std::string_view verb) {
  const Resource resource = resource_of(call, owner, name);
  const auto permit = access_.check(call, action, resource);
  if (permit) return {};
  AuditEntry entry = AuditEntry::of(call, fmt::format("{}.{}", kind_.noun, verb), resource.text());
  entry.outcome = Outcome::kDenied;
  entry.reason = permit.error().message;
  if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
  return fail(permit.error());
}

std::unexpected<Error> VersionedTexts::unknown(std::string_view name) const {
  return fail(error(ErrorCode::kNotFound, "there is no {} '{}'", kind_.noun, name.substr(0, 150)).with_param("name"));
}

// ---- Reading

Result<std::vector<TextVersion>> VersionedTexts::select(std::string_view where, const infra::SqlParams& params, bool texts) {
  std::vector<TextVersion> all;
  STOA_CHECK(database_.for_each(fmt::format("SELECT project, name, version, removed, digest, author, comment, time, {} FROM {} r WHERE {}", texts ? "text" : "''", kind_.table, where), params,
                                [&](const infra::SqlRow& row) -> Result<bool> {
                                  TextVersion& v = all.emplace_back();
                                  STOA_CHECK(row.read(v.project, v.name, v.version, v.removed, v.digest, v.author, v.comment, v.time, v.text));
                                  return true;
                                }));
  return all;
}

Result<std::int64_t> VersionedTexts::sequence() {
  STOA_TRY(row, database_.query_one(fmt::format("SELECT COALESCE(MAX(sequence), 0) FROM {}", kind_.table)));
  return row->get<std::int64_t>(0);
}

Result<std::vector<TextVersion>> VersionedTexts::heads() { return select(newest(kind_.table) + " ORDER BY project, name", {}, true); }

Result<std::vector<TextVersion>> VersionedTexts::list(const Call& call, TextOwner owner) {
  STOA_CHECK(allow(call, owner, kind_.read, "", "list"));
  return select(fmt::format("project = ? AND {} ORDER BY name", newest(kind_.table)), {project_of(call, owner)}, true);
}

Result<TextVersion> VersionedTexts::find(const std::string& project, std::string_view name, std::optional<std::int64_t> version) {
  STOA_TRY(found, select("project = ? AND name = ? AND (? = 0 OR version = ?) ORDER BY version DESC LIMIT 1", {project, std::string(name), version.value_or(0), version.value_or(0)}, true));
  if (found.empty() || (version && *version < 1) || (!version && found.front().removed)) return unknown(name);
  return std::move(found.front());
}

Result<TextVersion> VersionedTexts::get(const Call& call, std::string_view name, std::optional<std::int64_t> version, TextOwner owner) {
  STOA_CHECK(allow(call, owner, kind_.read, name, "show"));
  return find(project_of(call, owner), name, version);
}

Result<std::vector<TextVersion>> VersionedTexts::history(const Call& call, std::string_view name, TextOwner owner) {
  STOA_CHECK(allow(call, owner, kind_.read, name, "history"));
  STOA_TRY(all, select(fmt::format("project = ? AND name = ? ORDER BY version DESC LIMIT {}", kMaxHistory), {project_of(call, owner), std::string(name)}, false));
  if (all.empty()) return unknown(name);
  return std::move(all);
}

// ---- Changing

Result<TextVersion> VersionedTexts::set(const Call& call, const NewText& text, TextOwner owner) {
  STOA_CHECK(allow(call, owner, kind_.manage, text.name, "set"));
  return store(call, owner, text, false, "set");
}

Result<TextVersion> VersionedTexts::rollback(const Call& call, std::string_view name, std::int64_t version, std::string comment, TextOwner owner) {
  STOA_CHECK(allow(call, owner, kind_.manage, name, "rollback"));
  STOA_TRY(old, find(project_of(call, owner), name, version));
  if (old.removed) return fail(error(ErrorCode::kInvalidArgument, "version {} of '{}' is its removal: remove it instead", version, name).with_param("version"));
  if (comment.empty()) comment = fmt::format("back to version {}", version);
  return store(call, owner, {.name = old.name, .text = old.text, .comment = std::move(comment)}, false, "rollback");
}

Result<TextVersion> VersionedTexts::remove(const Call& call, std::string_view name, std::string comment, TextOwner owner) {
  STOA_CHECK(allow(call, owner, kind_.manage, name, "remove"));
  return store(call, owner, {.name = std::string(name), .text = {}, .comment = std::move(comment)}, true, "remove");
}

Result<TextVersion> VersionedTexts::store(const Call& call, TextOwner owner, const NewText& text, bool removed, std::string_view verb) {
  STOA_CHECK(check_comment(text.comment));
  TextVersion next{.project = project_of(call, owner), .name = text.name, .version = 1, .removed = removed, .text = text.text, .digest = "sha256:" + infra::sha256_hex(text.text),
                   .author = call.principal.id, .comment = text.comment, .time = clock_.now()};
  if (!removed) {
    STOA_CHECK(kind_.check_name(text.name));
    if (text.text.size() > kMaxText) return fail(error(ErrorCode::kTooLarge, "the text has {} bytes, more than {}", text.text.size(), kMaxText).with_param("text"));
    if (auto good = kind_.check_text(next); !good) return fail(std::move(good).error().with_param("text"));
  }
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(head, transaction.query_one(fmt::format("SELECT version, removed FROM {} WHERE project = ? AND name = ? ORDER BY version DESC LIMIT 1", kind_.table), {next.project, next.name}));
    std::int64_t version = 0;
    bool gone = true;
    if (head) STOA_CHECK(head->read(version, gone));
    if (text.expected && *text.expected != version)
      return fail(error(ErrorCode::kConflict, "the newest version of '{}' is {}, not {}", next.name, version, *text.expected).with_hint("look at it, and set yours again"));
    if (removed && gone) return unknown(next.name);
    if (!removed && gone) {
      STOA_TRY(row, transaction.query_one(fmt::format("SELECT COUNT(*) FROM {} r WHERE project = ? AND {}", kind_.table, newest(kind_.table)), {next.project}));
      STOA_TRY(count, row->get<std::int64_t>(0));
      if (count >= static_cast<std::int64_t>(kind_.max_names)) return fail(ErrorCode::kTooLarge, "there are {} names of a {} already, the most there can be", count, kind_.noun);
    }
    next.version = version + 1;
    STOA_CHECK(transaction.execute(fmt::format("INSERT INTO {} (project, name, version, removed, text, digest, author, comment, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", kind_.table),
                                   {next.project, next.name, next.version, std::int64_t{removed}, next.text, next.digest, next.author, next.comment, next.time}));
    AuditEntry entry = AuditEntry::of(call, fmt::format("{}.{}", kind_.noun, verb), fmt::format("{} {}@{}", kind_.noun, next.name, next.version));
    entry.reason = removed ? next.comment : next.digest;
    return audit_.append(transaction, std::move(entry));
  }));
  if (changed_) changed_();
  return next;
}

}  // namespace stoa::governance
