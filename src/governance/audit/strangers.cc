#include "governance/audit/strangers.h"

#include <arpa/inet.h>

#include <array>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "infra/journal/packing.h"

namespace stoa::governance {
namespace {

// In the journal. Stored there: must not change.
constexpr std::uint8_t kJournalKind = 4;
constexpr Micros kMinute = 60'000'000;
constexpr std::size_t kMaxResource = 200;

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE audit_strangers (
    minute INTEGER NOT NULL, address TEXT NOT NULL, first INTEGER NOT NULL, resource TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (minute, address));
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

struct Attempts {
  Micros first = 0;
  std::string resource;
  std::int64_t count = 0;
};

}  // namespace

Result<std::unique_ptr<StrangerLog>> StrangerLog::open(infra::SqlDatabase& database, AuditLog& audit, std::string tenant, const Clock& clock, infra::WriteBehind* behind) {
  STOA_CHECK(database.migrate("audit_strangers", kMigrations));
  auto log = std::unique_ptr<StrangerLog>(new StrangerLog(database, audit, std::move(tenant), clock, behind));
  if (behind != nullptr)
    STOA_CHECK(behind->add(kJournalKind, [log = log.get()](infra::SqlTransaction& transaction, std::span<const ByteSpan> records) { return log->take(transaction, records); }));
  return log;
}

Status StrangerLog::add(std::string_view address, std::string_view resource) {
  infra::Packer packer;
  packer.add(clock_.now()).add(without_host(address)).add(to_valid_utf8(resource.substr(0, kMaxResource)));
  if (behind_ != nullptr) return behind_->append(kJournalKind, packer.text());
  const ByteSpan record = packer.bytes();
  return database_.transaction([&](infra::SqlTransaction& transaction) { return take(transaction, {&record, 1}); });
}

Status StrangerLog::take(infra::SqlTransaction& transaction, std::span<const ByteSpan> records) {
  std::map<std::pair<Micros, std::string>, Attempts> seen;
  for (const ByteSpan record : records) {
    Micros time = 0;
    std::string address, resource;
    STOA_CHECK(infra::Unpacker(record).take(time).take(address).take(resource).finish("attempt of a stranger"));
    Attempts& attempts = seen[{time - time % kMinute, std::move(address)}];
    if (attempts.count++ == 0) attempts.first = time, attempts.resource = std::move(resource);
  }
  for (const auto& [where, attempts] : seen) {
    const auto& [minute, address] = where;
    STOA_TRY(row, transaction.query_one("SELECT (SELECT COUNT(*) FROM audit_strangers WHERE minute = ?), (SELECT COUNT(*) FROM audit_strangers WHERE minute = ? AND address = ?)",
                                        {minute, minute, address}));
    std::int64_t addresses = 0, known = 0;
    STOA_CHECK(row->read(addresses, known));
    STOA_CHECK(transaction.execute("INSERT INTO audit_strangers (minute, address, first, resource, count) VALUES (?, ?, ?, ?, ?) "
                                   "ON CONFLICT (minute, address) DO UPDATE SET count = audit_strangers.count + excluded.count",
                                   {minute, known == 0 && addresses >= kMaxAddresses ? std::string() : address, attempts.first, attempts.resource, attempts.count}));
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
  STOA_TRY(rows, transaction.query("SELECT address, first, resource, count FROM audit_strangers WHERE minute <= ? ORDER BY minute, address", {before}));
  if (rows.empty()) return {};
  for (const auto& row : rows) {
    AuditEntry entry;
    STOA_CHECK(row.read(entry.address, entry.time, entry.resource, entry.count));
    entry.tenant = tenant_;
    entry.action = kAction;
    entry.outcome = Outcome::kDenied;
    entry.reason = "unauthenticated";
    STOA_CHECK(audit_.append(transaction, std::move(entry)));
  }
  STOA_TRY(removed, transaction.execute("DELETE FROM audit_strangers WHERE minute <= ?", {before}));
  static_cast<void>(removed);
  return {};
}

}  // namespace stoa::governance
