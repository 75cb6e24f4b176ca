// Keys, administered: rotation, re-wrapping, revocation and destruction, each in the audit log with the change itself.
//
// Without downtime: a rotated data key seals what is written from then on, older ones still open what they sealed; rows and blobs are sealed
// anew behind (run_pending), and a key that nothing is sealed under any more is erased, an hour after it was replaced at the earliest, since
// work that began before may still use it. Revoked is at work at once in this process, and in others after SealerOptions::look.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/access/access.h"
#include "governance/audit/audit.h"
#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealed_table.h"
#include "governance/protection/sealer.h"
#include "governance/protection/server_secrets.h"
#include "infra/keys/keys.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

struct DataKeyStatus {
  int version = 0;  // 0: the key of look-ups
  std::string provider, master;
  Micros created = 0;
  std::optional<Micros> retired;  // replaced then; erased once nothing is sealed under it
};

struct ProjectKeyStatus {
  std::string project;
  KeyState state = KeyState::kActive;
  int current = 0;
  std::string keep;                     // what is kept of prompts and answers; empty: as the installation says
  Micros changed = 0;
  std::vector<DataKeyStatus> versions;  // empty when destroyed
};

// Thread-safe. What is passed by reference outlives it. Permits are for kProtectionManage of a project, or for kKmsManage.
class KeyAdmin {
 public:
  // `secrets`: what else the master key wraps; may be null.
  KeyAdmin(infra::SqlDatabase& sql, infra::KeyManagement& keys, Sealer& sealer, AuditLog& audit, const Clock& clock = Clock::system(), ServerSecrets* secrets = nullptr)
      : sql_(sql), keys_(keys), sealer_(sealer), audit_(audit), clock_(clock), secrets_(secrets) {}

  // What holds content; before anything else is called.
  void add_tables(std::vector<SealedTable> tables);
  // Told of projects whose content became unreadable or readable, on the thread that learnt it.
  using Listener = std::function<void(const std::string& project, bool readable)>;
  void on_change(Listener listener);

  Result<infra::MasterKeyStatus> master(const Permit& permit);
  Result<ProjectKeyStatus> project(const Permit& permit);  // kNotFound when it has no key yet
  Result<std::vector<ServerSecretStatus>> secrets(const Permit& permit);  // for kKmsManage

  // A new version of the master key; all data keys and the installation's secrets wrapped by it.
  Result<std::int64_t> rotate_master(const Call& call, const Permit& permit);
  // Wraps all of them anew by the provider and master key that are configured now; gives the number of those that were not.
  Result<std::int64_t> rewrap(const Call& call, const Permit& permit);
  // A new data key for the project.
  Status rotate(const Call& call, const Permit& permit);
  // Destroyed: the wrapped keys are erased, from the files too; there is no way back.
  Status revoke(const Call& call, const Permit& permit, bool destroy);
  Status restore(const Call& call, const Permit& permit);

  // What the project keeps of prompts and answers from then on; absent: as the installation says. What is there stays.
  Status set_keep(const Call& call, const Permit& permit, std::optional<ContentKeep> keep);

  // What there is to do behind: changes by other processes are told to the listeners, rotated projects are sealed anew, replaced keys that
  // nothing needs are erased. Called by one thread, again and again. `stop` ends it early; it goes on the next time.
  Status run_pending(SealedBlobs& blobs, const std::function<bool()>& stop);
  // After rows of an earlier release were sealed: removes what stays of them in files, and blobs that are not sealed.
  Status scrub(SealedBlobs& blobs);

 private:
  Result<KeyState> state(infra::SqlSession& session, const std::string& project);
  Result<ProjectKeyStatus> status(const std::string& project);
  Status change(const Call& call, std::string_view action, const std::string& project, const std::function<Status(infra::SqlTransaction&)>& work);
  Status tell_changes();
  Result<std::int64_t> reseal(SealedBlobs& blobs, const ProjectKeys& keys, const std::function<bool()>& stop);
  Status erase_replaced(const std::string& project);
  void tell(const std::string& project, bool readable);

  infra::SqlDatabase& sql_;
  infra::KeyManagement& keys_;
  Sealer& sealer_;
  AuditLog& audit_;
  const Clock& clock_;
  ServerSecrets* const secrets_;
  std::mutex mutex_;
  std::vector<SealedTable> tables_;
  std::vector<Listener> listeners_;
  std::int64_t epoch_ = -1;
  std::map<std::string, bool> readable_;  // what the listeners were told last
  std::map<std::string, std::int64_t> sealed_anew_;  // by project: the key under which everything was found; run_pending's own
};

}  // namespace stoa::governance
