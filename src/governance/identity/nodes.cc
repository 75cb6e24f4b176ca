#include "governance/identity/nodes.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "contracts/access_list.h"
#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
CREATE TABLE nodes (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  project TEXT NOT NULL,
  name TEXT NOT NULL,
  fingerprint TEXT,
  identity TEXT,
  created INTEGER NOT NULL,
  revoked INTEGER,
  UNIQUE (tenant, name));
CREATE UNIQUE INDEX nodes_by_fingerprint ON nodes (fingerprint) WHERE revoked IS NULL;
CREATE UNIQUE INDEX nodes_by_identity ON nodes (identity) WHERE revoked IS NULL;
)sql"}};

constexpr std::string_view kAdd = "identity.node.add", kRevoke = "identity.node.revoke";
constexpr std::size_t kMaxIdentity = 255, kMaxNames = 32;

// 64 lower-case digits from the forms that tools print.
Result<std::string> read_fingerprint(std::string_view text) {
  std::string digits(text);
  std::erase(digits, ':');
  const auto bytes = infra::from_hex(digits);
  if (!bytes || bytes->size() != 32)
    return fail(error(ErrorCode::kInvalidArgument, "a fingerprint has 64 hexadecimal digits (SHA-256)").with_hint("openssl x509 -in node.pem -noout -fingerprint -sha256").with_param("fingerprint"));
  return infra::to_hex(*bytes);
}

infra::SqlValue or_null(const std::string& text) { return text.empty() ? infra::SqlValue(nullptr) : infra::SqlValue(text); }

Result<Node> read_node(const infra::SqlRow& row) {
  Node node;
  STOA_CHECK(row.read(node.id, node.name, node.fingerprint, node.identity, node.created, node.revoked));
  return node;
}

}  // namespace

Result<std::unique_ptr<Nodes>> Nodes::open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, const Clock& clock) {
  STOA_CHECK(database.migrate("governance/identity/nodes", kMigrations));
  return std::unique_ptr<Nodes>(new Nodes(database, audit, access, clock));
}

Status Nodes::allow(const Call& actor, std::string_view change, const std::string& name) {
  const auto permit = access_.check(actor, Action::kNodeManage, {.tenant = {}, .project = {}, .kind = "node", .name = name});
  if (permit) return {};
  AuditEntry entry = AuditEntry::of(actor, change, "node " + name);
  entry.outcome = Outcome::kDenied;
  entry.reason = permit.error().message;
  if (const auto recorded = audit_.append(std::move(entry)); !recorded) log_error("a refusal was not recorded in the audit log", recorded.error());
  return fail(permit.error());
}

Result<Node> Nodes::add(const Call& actor, const NewNode& wanted) {
  const auto names = AccessList::parse("user:" + wanted.name);
  if (!names || names->users != std::vector{wanted.name}) return fail(error(ErrorCode::kInvalidArgument, "a node is named with 1 to 128 letters, digits and ._@+-").with_param("name"));
  if (wanted.fingerprint.empty() == wanted.identity.empty())
    return fail(error(ErrorCode::kInvalidArgument, "a node is known by the fingerprint of its certificate or by a name in it: give one of them").with_param("fingerprint"));
  Node node{new_id("node"), wanted.name, "", wanted.identity, clock_.now(), {}};
  if (!wanted.fingerprint.empty()) {
    STOA_TRY(fingerprint, read_fingerprint(wanted.fingerprint));
    node.fingerprint = std::move(fingerprint);
  }
  const bool plain = std::ranges::all_of(node.identity, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || node.identity.size() > kMaxIdentity || node.identity.contains('*'))
    return fail(error(ErrorCode::kInvalidArgument, "a name in a certificate is a host name or a URI, without spaces and without '*'").with_param("identity"));
  STOA_CHECK(allow(actor, kAdd, node.name));
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    const auto inserted = transaction.execute("INSERT INTO nodes (id, tenant, project, name, fingerprint, identity, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
                                              {node.id, actor.principal.tenant, actor.principal.project, node.name, or_null(node.fingerprint), or_null(node.identity), node.created});
    if (!inserted && inserted.error().code == ErrorCode::kConflict) return fail(ErrorCode::kConflict, "there is a node of this name, or one that shows the same certificate");
    STOA_CHECK(inserted);
    return audit_.append(transaction, AuditEntry::of(actor, kAdd, "node " + node.name));
  }));
  return node;
}

Result<std::vector<Node>> Nodes::list(const Call& actor) {
  STOA_CHECK(access_.check(actor, Action::kNodeManage, {.tenant = {}, .project = {}, .kind = "node"}));
  STOA_TRY(rows, database_.query("SELECT id, name, COALESCE(fingerprint, ''), COALESCE(identity, ''), created, revoked FROM nodes ORDER BY name, id"));
  std::vector<Node> nodes;
  for (const auto& row : rows) {
    STOA_TRY(node, read_node(row));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

Status Nodes::revoke(const Call& actor, std::string_view name_or_id) {
  const std::string asked(name_or_id.substr(0, kMaxIdentity));
  STOA_CHECK(allow(actor, kRevoke, asked));
  return database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(row, transaction.query_one("SELECT id, name, revoked FROM nodes WHERE id = ? OR name = ? ORDER BY id = ? DESC, revoked IS NULL DESC, id LIMIT 1", {asked, asked, asked}));
    if (!row) return fail(error(ErrorCode::kNotFound, "there is no such node").with_hint("`stoa nodes list` shows them"));
    std::string id, name;
    std::optional<Micros> revoked;
    STOA_CHECK(row->read(id, name, revoked));
    if (revoked) return {};
    STOA_CHECK(transaction.execute("UPDATE nodes SET revoked = ? WHERE id = ?", {clock_.now(), id}));
    return audit_.append(transaction, AuditEntry::of(actor, kRevoke, "node " + name));
  });
}

Result<Principal> Nodes::authenticate(const infra::PeerCertificate& certificate) {
  std::string marks = "?";
  infra::SqlParams values{certificate.sha256};
  for (const auto* names : {&certificate.dns_names, &certificate.uris})
    for (const auto& name : *names) {
      if (values.size() > kMaxNames) break;
      values.emplace_back(name);
      if (values.size() > 2) marks += ", ?";
    }
  if (values.size() == 1) values.emplace_back(nullptr);
  // The certificate itself comes before the names in it.
  STOA_TRY(row, database_.query_one(fmt::format("SELECT id, tenant, project FROM nodes WHERE revoked IS NULL AND (fingerprint = ? OR identity IN ({})) ORDER BY fingerprint IS NULL, id LIMIT 1", marks), values));
  if (!row) return fail(error(ErrorCode::kUnauthenticated, "the certificate is of no node that is known here").with_hint("`stoa nodes add` registers one"));
  Principal principal;
  STOA_CHECK(row->read(principal.id, principal.tenant, principal.project));
  principal.role = kNodeRole;
  principal.method = "certificate";
  return principal;
}

}  // namespace stoa::governance
