#include "governance/audit/strangers.h"

#include <arpa/inet.h>

#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "base/redact.h"
#include "base/utf8.h"
#include "infra/journal/packing.h"

namespace stoa::governance {
namespace {

// In the journal. Stored there: must not change.
constexpr std::uint8_t kJournalKind = 4;
constexpr Micros kMinute = 60'000'000;
constexpr std::size_t kMaxText = 200;  // of resource and reason

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE audit_strangers (
    minute INTEGER NOT NULL, address TEXT NOT NULL, first INTEGER NOT NULL, resource TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, address));
)sql"},
                                             {2, R"sql(
  CREATE TABLE audit_strangers_new (
    minute INTEGER NOT NULL, address TEXT NOT NULL, status INTEGER NOT NULL, first INTEGER NOT NULL, resource TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (minute, status, address));
  INSERT INTO audit_strangers_new SELECT minute, address, 401, first, resource, 'unauthenticated', count FROM audit_strangers;
  DROP TABLE audit_strangers;
  ALTER TABLE audit_strangers_new RENAME TO audit_strangers;
)sql"}};

// One network's worth of IPv6 addresses belongs to one stranger.
std::string without_host(std::string_view address) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  std::string text(address);
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return text;
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  std::array<char, INET6_ADDRSTRLEN> out{};
  ::inet_ntop(AF_INET6, bytes.data(), out.data(), out.size());
  return std::string(out.data()) + "/64";
}

std::string shortened(std::string_view text) { return to_valid_utf8(redact_secrets(std::string(text.substr(0, kMaxText)))); }

}  // namespace

Result<std::unique_ptr<StrangerLog>> StrangerLog::open(infra::SqlDatabase& database, AuditLog& audit, std::string tenant, const Clock& clock, infra::WriteBehind* behind) {
  STOA_CHECK(database.migrate("audit_strangers", kMigrations));
  auto log = std::unique_ptr<StrangerLog>(new StrangerLog(database, audit, std::move(tenant), clock, behind));
  if (behind != nullptr)
    STOA_CHECK(behind->add(kJournalKind, [log = log.get()](infra::SqlTransaction& transaction, std::span<const ByteSpan> records) { return log->take(transaction, records); }));
  return log;
}

Status StrangerLog::add(const StrangerAttempts& attempts) {
  infra::Packer packer;
  packer.add(attempts.time != 0 ? attempts.time : clock_.now()).add(without_host(attempts.address)).add(shortened(attempts.resource));
  packer.add(attempts.status).add(shortened(attempts.reason)).add(attempts.count);
  if (behind_ != nullptr) return behind_->append(kJournalKind, packer.text());
  const ByteSpan record = packer.bytes();
  return database_.transaction([&](infra::SqlTransaction& transaction) { return take(transaction, {&record, 1}); });
}

Status StrangerLog::take(infra::SqlTransaction& transaction, std::span<const ByteSpan> records) {
  std::map<std::tuple<Micros, std::int64_t, std::string>, StrangerAttempts> seen;
  for (const ByteSpan record : records) {
    StrangerAttempts made{.reason = "unauthenticated"};
    infra::Unpacker unpacker(record);
    unpacker.take(made.time).take(made.address).take(made.resource);
    if (unpacker.more()) unpacker.take(made.status).take(made.reason).take(made.count);  // records of older releases end before
    STOA_CHECK(unpacker.finish("attempt of a stranger"));
    const auto [place, fresh] = seen.try_emplace({made.time - made.time % kMinute, made.status, made.address}, made);
    if (!fresh) place->second.count += made.count;
  }
  for (const auto& [where, made] : seen) {
    const auto& [minute, status, address] = where;
    STOA_TRY(row, transaction.query_one("SELECT (SELECT COUNT(*) FROM audit_strangers WHERE minute = ? AND status = ?), "
                                        "(SELECT COUNT(*) FROM audit_strangers WHERE minute = ? AND status = ? AND address = ?)",
                                        {minute, status, minute, status, address}));
    std::int64_t addresses = 0, known = 0;
    STOA_CHECK(row->read(addresses, known));
    STOA_CHECK(transaction.execute("INSERT INTO audit_strangers (minute, address, status, first, resource, reason, count) VALUES (?, ?, ?, ?, ?, ?, ?) "
                                   "ON CONFLICT (minute, status, address) DO UPDATE SET count = audit_strangers.count + excluded.count",
                                   {minute, known == 0 && addresses >= kMaxAddresses ? std::string() : address, status, made.time, made.resource, made.reason, made.count}));
  }
  return close(transaction, clock_.now() - kMinute);
}

Status StrangerLog::close() {
  const Micros before = clock_.now() - kMinute;
  STOA_TRY(old, database_.query("SELECT 1 FROM audit_strangers WHERE minute <= ? LIMIT 1", {before}));
  if (old.empty()) return {};
  return database_.transaction([&](infra::SqlTransaction& transaction) { return close(transaction, before); });
}

// Minutes that began at `before` or earlier.
Status StrangerLog::close(infra::SqlTransaction& transaction, Micros before) {
  STOA_TRY(rows, transaction.query("SELECT address, status, first, resource, reason, count FROM audit_strangers WHERE minute <= ? ORDER BY minute, status, address", {before}));
  if (rows.empty()) return {};
  for (const auto& row : rows) {
    AuditEntry entry;
    std::int64_t status = 0;
    STOA_CHECK(row.read(entry.address, status, entry.time, entry.resource, entry.reason, entry.count));
    entry.tenant = tenant_;
    entry.action = status == StrangerAttempts::kNoCredential ? kAuthenticate : kRefuse;
    entry.outcome = Outcome::kDenied;
    STOA_CHECK(audit_.append(transaction, std::move(entry)));
  }
  STOA_TRY(removed, transaction.execute("DELETE FROM audit_strangers WHERE minute <= ?", {before}));
  static_cast<void>(removed);
  return {};
}

}  // namespace stoa::governance
