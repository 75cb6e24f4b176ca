// Settings that people write as texts, as versioned data of a project or of the installation: what is set is checked, stored as a new version, written to
// the audit log, and in force at once, here and (within LiveTexts::kRefresh) in other processes on the same store.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "contracts/call.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct TextVersion {
  std::string project;       // empty: of the installation
  std::string name;
  std::int64_t version = 0;  // 1, 2, 3, ... of this name
  bool removed = false;      // then it has no text: a removal is a version too
  std::string text;
  std::string digest;        // "sha256:..." of the text
  std::string author;        // id of the principal
  std::string comment;
  Micros time = 0;
};

struct NewText {
  std::string name;
  std::string text;
  std::string comment;  // at most 512 bytes
  std::optional<std::int64_t> expected{};  // refuse with kConflict unless this is the newest version (0: none yet)
};

// What the texts are, and who may do what with them.
struct TextKind {
  std::string noun;        // "route": in messages, in entries of the audit log ("route.set" of "route chat@3"), kind of the resource
  std::string component;   // of the store's migrations: "gateway/routing"
  std::string table;       // "model_routes"
  Action read, manage;
  std::size_t max_names = 1000;  // of a project
  std::function<Status(std::string_view name)> check_name;                         // errors have the parameter "name"
  std::function<Status(const TextVersion& text)> check_text;                       // of a text that is about to be set; errors name "NAME:line"
};

enum class TextOwner : std::uint8_t { kProject, kInstallation };  // the caller's project; the installation's are the local operator's alone

// Thread-safe. Errors besides those of the checks: kPermissionDenied, kNotFound, kConflict, kTooLarge. What is passed by reference outlives the object.
class VersionedTexts {
 public:
  static Result<std::unique_ptr<VersionedTexts>> open(infra::SqlDatabase& database, AuditLog& audit, const Access& access, TextKind kind, const Clock& clock = Clock::system());

  Result<std::vector<TextVersion>> list(const Call& call, TextOwner owner = TextOwner::kProject);  // the newest of each name, without those removed, by name
  Result<TextVersion> get(const Call& call, std::string_view name, std::optional<std::int64_t> version = {}, TextOwner owner = TextOwner::kProject);
  Result<std::vector<TextVersion>> history(const Call& call, std::string_view name, TextOwner owner = TextOwner::kProject);  // newest first, without texts
  Result<TextVersion> set(const Call& call, const NewText& text, TextOwner owner = TextOwner::kProject);
  Result<TextVersion> rollback(const Call& call, std::string_view name, std::int64_t version, std::string comment, TextOwner owner = TextOwner::kProject);
  Result<TextVersion> remove(const Call& call, std::string_view name, std::string comment, TextOwner owner = TextOwner::kProject);

  // For what works by the texts. The number rises with every change.
  Result<std::int64_t> sequence();
  Result<std::vector<TextVersion>> heads();  // the newest of each name of all projects and the installation, by project and name
  // Called after each change made here, on the thread that made it. Before others use the object.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
  const TextKind& kind() const { return kind_; }

 private:
  VersionedTexts(infra::SqlDatabase& database, AuditLog& audit, const Access& access, TextKind kind, const Clock& clock)
      : database_(database), audit_(audit), access_(access), kind_(std::move(kind)), clock_(clock) {}
  Resource resource_of(const Call& call, TextOwner owner, std::string_view name) const;
  Status allow(const Call& call, TextOwner owner, Action action, std::string_view name, std::string_view verb);
  std::unexpected<Error> unknown(std::string_view name) const;
  Result<std::vector<TextVersion>> select(std::string_view where, const infra::SqlParams& params, bool texts);
  Result<TextVersion> find(const std::string& project, std::string_view name, std::optional<std::int64_t> version);
  Result<TextVersion> store(const Call& call, TextOwner owner, const NewText& text, bool removed, std::string_view verb);

  infra::SqlDatabase& database_;
  AuditLog& audit_;
  const Access& access_;
  const TextKind kind_;
  const Clock& clock_;
  std::function<void()> changed_;
};

}  // namespace stoa::governance
