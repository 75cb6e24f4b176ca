#include "governance/audit/checkpoints.h"

#include <fcntl.h>

#include <algorithm>
#include <fstream>

#include "base/json.h"
#include "base/log.h"
#include "infra/files/files.h"

namespace stoa::governance {
namespace {

constexpr infra::Migration kMigrations[] = {{1, R"sql(
  CREATE TABLE audit_checkpoints (size INTEGER PRIMARY KEY, time INTEGER NOT NULL, note TEXT NOT NULL);
  CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
  CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
)sql"}};

constexpr Micros kPause = 60'000'000;
constexpr std::streamoff kLongestLine = 8192;

}  // namespace

Result<std::unique_ptr<AuditCheckpoints>> AuditCheckpoints::open(infra::SqlDatabase& database, AuditLog& log, const infra::SigningKey& key,
                                                                 std::filesystem::path witness, const Clock& clock) {
  STOA_CHECK(database.migrate("audit_checkpoints", kMigrations));
  return std::unique_ptr<AuditCheckpoints>(new AuditCheckpoints(database, log, key, std::move(witness), clock));
}

Result<AuditCheckpoints::Kept> AuditCheckpoints::last_kept() {
  Kept last;
  STOA_TRY(row, database_.query_one("SELECT size, time, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1"));
  if (row) STOA_CHECK(row->read(last.size, last.time, last.note));
  return last;
}

Result<std::string> AuditCheckpoints::make(const Kept& last) {
  STOA_TRY(tree, log_.tree());
  if (!last.note.empty() && tree.size == last.size) return last.note;
  if (tree.size < last.size)
    return fail(error(ErrorCode::kDataLoss, "the audit log has {} entries, but a checkpoint was signed of {}", tree.size, last.size)
                    .with_hint("entries were removed behind the program's back; see docs/operating/security.md, the audit log"));
  Kept made{.size = tree.size, .time = clock_.now(), .note = sign_checkpoint(tree.size, tree.root, key_)};
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    // Another process may have been faster, with the same key and the same text.
    STOA_TRY(added, transaction.execute("INSERT OR IGNORE INTO audit_checkpoints (size, time, note) VALUES (?,?,?)", {made.size, made.time, made.note}));
    static_cast<void>(added);
    return {};
  }));
  if (const auto copied = copy_to_witness(made); !copied) log_error("a checkpoint of the audit log has no witness", copied.error(), {{"entries", made.size}});
  return made.note;
}

Result<std::string> AuditCheckpoints::latest() {
  std::lock_guard lock(making_);
  STOA_TRY(last, last_kept());
  return make(last);
}

Status AuditCheckpoints::keep_up() {
  std::lock_guard lock(making_);
  STOA_TRY(last, last_kept());
  if (clock_.now() - last.time < kPause) return {};
  STOA_TRY(made, make(last));
  static_cast<void>(made);
  return {};
}

Status AuditCheckpoints::copy_to_witness(const Kept& made) {
  if (witness_.empty()) return {};
  const infra::File file(witness_, O_WRONLY | O_APPEND | O_CREAT);
  if (!file.is_open()) return fail(infra::file_error(witness_, "open"));
  STOA_CHECK(file.write(as_bytes(dump_json(JsonObject{{"time", to_rfc3339(made.time)}, {"checkpoint", made.note}}) + "\n")));
  return file.sync();
}

// The note of the last whole line.
Result<std::optional<std::string>> AuditCheckpoints::last_of_witness() const {
  std::ifstream in(witness_, std::ios::binary | std::ios::ate);
  if (!in) return std::optional<std::string>();
  const std::streamoff size = in.tellg(), from = std::max<std::streamoff>(0, size - kLongestLine);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  in.seekg(from);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(text.find_last_of('\n') == std::string::npos ? 0 : text.find_last_of('\n'));
  if (text.empty()) return std::optional<std::string>();
  const auto wrong = [&] { return fail(ErrorCode::kDataLoss, "{}: its last line is no checkpoint", witness_.string()); };
  const auto begin = text.find_last_of('\n');
  const auto json = parse_json(std::string_view(text).substr(begin == std::string::npos ? 0 : begin + 1));
  if (!json || !json->is_object()) return wrong();
  const auto note = read_string(json->get_object(), "checkpoint");
  if (!note || !*note) return wrong();
  return **note;
}

Result<AuditCheck> AuditCheckpoints::verify() {
  AuditCheck check;
  std::vector<AuditTree> known;
  const auto add = [&](const std::string& note, std::string_view where) {
    const auto opened = open_checkpoint(note, key());
    if (opened) {
      known.push_back({opened->size, opened->root});
    } else if (check.reason.empty()) {
      check.reason = fmt::format("a checkpoint {}: {}", where, opened.error().message);
    }
  };
  STOA_CHECK(database_.for_each("SELECT note FROM audit_checkpoints ORDER BY size", {}, [&](const infra::SqlRow& row) -> Result<bool> {
    STOA_TRY(note, row.get<std::string>(0));
    add(note, "that was kept");
    return true;
  }));
  if (!witness_.empty()) {
    STOA_TRY(witnessed, last_of_witness());
    if (witnessed) add(*witnessed, "of the witness");
  }
  std::ranges::stable_sort(known, {}, &AuditTree::size);
  STOA_TRY(found, log_.verify(known));
  if (!found.broken && !check.reason.empty()) {
    found.broken = 1;  // nothing vouches for the entries
    found.reason = check.reason;
  }
  return found;
}

}  // namespace stoa::governance
