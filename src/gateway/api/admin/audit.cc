// The audit log: entries, the proofs that they are what was written, and exports.
#include "gateway/api/admin/routes.h"
#include "governance/audit/export.h"
#include "infra/crypto/encoding.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr std::int64_t kMostExported = 10'000;  // of one call; `stoa audit export` asks again

JsonArray hex_list(const std::vector<governance::MerkleHash>& hashes) {
  JsonArray out;
  for (const auto& hash : hashes) out.push_back(Json(infra::to_hex(hash)));
  return out;
}

Result<governance::Checkpoint> latest(const AdminParts& parts, std::string& note) {
  STOA_TRY(made, parts.checkpoints.latest());
  note = std::move(made);
  return governance::open_checkpoint(note, parts.checkpoints.key());
}

Reply entries(const AdminParts& parts, RequestScope& scope) {
  const auto& request = scope.request();
  governance::AuditQuery query;
  query.tenant = scope.principal().tenant;
  query.principal = query_text(request, "principal");
  query.action = query_text(request, "action");
  query.resource = query_text(request, "resource");
  query.trace_id = query_text(request, "trace");
  STOA_TRY(from, query_time(request, "from", 0));
  STOA_TRY(until, query_time(request, "until", INT64_MAX));
  STOA_TRY(after, query_int(request, "after", 0, INT64_MAX, 0));
  STOA_TRY(limit, query_int(request, "limit", 1, 1000, 100));
  query.from = from;
  query.until = until;
  query.after = after;
  query.limit = static_cast<std::size_t>(limit);
  STOA_TRY(found, parts.audit.query(query));
  JsonArray items;
  for (const auto& entry : found) {
    JsonObject item{{"sequence", entry.sequence},
                               {"time", to_rfc3339(entry.time)},
                               {"principal", entry.principal},
                               {"project", entry.project},
                               {"action", entry.action},
                               {"resource", entry.resource},
                               {"outcome", governance::outcome_name(entry.outcome)},
                               {"reason", entry.reason},
                               {"request_id", entry.request_id},
                               {"trace_id", entry.trace_id},
                               {"rule", entry.rule},
                               {"key", entry.key},
                               {"address", entry.address}};
    if (!entry.break_glass.empty()) item["break_glass"] = entry.break_glass;
    if (entry.count != 0) item["count"] = entry.count;
    if (!entry.documents.empty()) {
      JsonArray documents;
      for (const auto& document : entry.documents)
        documents.push_back(JsonObject{{"id", document.id}, {"version", document.version}, {"chunks", document.chunks}, {"readers", document.readers}});
      item["documents"] = std::move(documents);
    }
    if (!entry.query.empty()) item["query"] = entry.query;
    if (!entry.mode.empty()) item["mode"] = entry.mode;
    if (!entry.collections.empty()) item["collections"] = JsonArray(entry.collections.begin(), entry.collections.end());
    items.push_back(std::move(item));
  }
  return ok_json(list_json(std::move(items)));
}

Reply check(const AdminParts& parts) {
  STOA_TRY(found, parts.checkpoints.verify());
  return ok_json({{"entries", found.entries}, {"intact", !found.broken}, {"broken_at", found.broken ? Json(*found.broken) : Json(nullptr)}, {"reason", found.reason}});
}

Reply checkpoint(const AdminParts& parts) {
  std::string note;
  STOA_TRY(made, latest(parts, note));
  return ok_json({{"checkpoint", note}, {"key", parts.checkpoints.key().text()}, {"entries", made.size}, {"root", infra::to_hex(made.root)}});
}

Reply inclusion(const AdminParts& parts, RequestScope& scope) {
  std::string note;
  STOA_TRY(signed_tree, latest(parts, note));
  STOA_TRY(sequence, query_int(scope.request(), "sequence", 1, INT64_MAX, 0));
  STOA_TRY(leaf, parts.audit.leaf(sequence));
  STOA_TRY(proof, parts.audit.prove_entry(sequence, signed_tree.size));
  return ok_json({{"sequence", sequence}, {"leaf", infra::to_hex(leaf)}, {"proof", hex_list(proof)}, {"entries", signed_tree.size}, {"checkpoint", note}});
}

Reply consistency(const AdminParts& parts, RequestScope& scope) {
  std::string note;
  STOA_TRY(signed_tree, latest(parts, note));
  STOA_TRY(from, query_int(scope.request(), "from", 0, signed_tree.size, 0));
  STOA_TRY(proof, parts.audit.prove_prefix(from, signed_tree.size));
  return ok_json({{"from", from}, {"entries", signed_tree.size}, {"proof", hex_list(proof)}, {"checkpoint", note}});
}

// What the caller's tenant may see; of the others' entries an export has the hash, an OCSF feed nothing.
Reply exported(const AdminParts& parts, RequestScope& scope) {
  const auto& request = scope.request();
  std::string note;
  STOA_TRY(signed_tree, latest(parts, note));
  STOA_TRY(after, query_int(request, "after", 0, signed_tree.size, 0));
  STOA_TRY(limit, query_int(request, "limit", 1, kMostExported, kMostExported));
  const std::string format = query_text(request, "format");
  const auto& tenant = scope.principal().tenant;
  infra::HttpResponse response;
  response.headers.set("content-type", "application/x-ndjson");
  const auto add = [&response](std::string_view line) -> Status {
    response.body += line;
    response.body += '\n';
    return {};
  };
  if (format.empty() || format == "jsonl") {
    STOA_CHECK(governance::export_audit(parts.audit, note, signed_tree.size, after, limit, tenant, add));
  } else if (format == "ocsf") {
    STOA_CHECK(parts.audit.for_each(after, std::min(signed_tree.size, after + limit), [&](const governance::AuditEntry& entry, const governance::MerkleHash&) {
      return entry.tenant == tenant ? add(governance::audit_ocsf(entry, parts.version)) : Status{};
    }));
  } else {
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no format of an export: jsonl or ocsf", format).with_param("format"));
  }
  return response;
}

}  // namespace

Status add_audit_routes(infra::Router& router, const AdminParts& parts) {
  Routes audit(router, parts, "audit log");
  STOA_CHECK(audit.add("GET", "/v1/stoa/audit", Action::kAuditRead, [&parts](RequestScope& scope) { return entries(parts, scope); }));
  STOA_CHECK(audit.add("GET", "/v1/stoa/audit/check", Action::kAuditRead, [&parts](RequestScope&) { return check(parts); }));
  STOA_CHECK(audit.add("GET", "/v1/stoa/audit/checkpoint", Action::kAuditRead, [&parts](RequestScope&) { return checkpoint(parts); }));
  STOA_CHECK(audit.add("GET", "/v1/stoa/audit/proof", Action::kAuditRead, [&parts](RequestScope& scope) { return inclusion(parts, scope); }));
  STOA_CHECK(audit.add("GET", "/v1/stoa/audit/consistency", Action::kAuditRead, [&parts](RequestScope& scope) { return consistency(parts, scope); }));
  return audit.add("GET", "/v1/stoa/audit/export", Action::kAuditRead, [&parts](RequestScope& scope) { return exported(parts, scope); });
}

}  // namespace stoa::gateway::admin
