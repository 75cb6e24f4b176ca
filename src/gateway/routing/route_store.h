// Routes as versioned data of a project, and from memory for serving.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/routing/route.h"
#include "governance/versions/live_texts.h"
#include "governance/versions/versioned_texts.h"

namespace stoa::gateway {

// Thread-safe. What is passed by reference outlives the object.
class RouteStore {
 public:
  static Result<std::unique_ptr<RouteStore>> open(infra::SqlDatabase& database, governance::AuditLog& audit, const governance::Access& access, const Clock& clock = Clock::system());

  // Reading needs model.list, changing model.manage, in the caller's project. The installation has none.
  governance::VersionedTexts& texts() { return *texts_; }
  // For serving: null when the project has no route of that name.
  std::shared_ptr<const Route> find(std::string_view project, std::string_view name);
  std::vector<std::string> names(std::string_view project);

 private:
  using Routes = std::map<std::pair<std::string, std::string>, std::shared_ptr<const Route>, std::less<>>;  // by project and name

  std::unique_ptr<governance::VersionedTexts> texts_;
  std::unique_ptr<governance::LiveTexts<Routes>> live_;
};

}  // namespace stoa::gateway
