#include "gateway/api/listener_roles.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

TEST(ListenerRoles, SeparateUseFromAdministration) {
  const struct { const char* pattern; const char* roles; } cases[] = {
      {"/", "public"}, {"/console", "public"}, {"/console/app.js", "public"}, {"/v1/chat/completions", "public"}, {"/v1/files/{id}/content", "public"},
      {"/v1/models/{model...}", "public"}, {"/rerank", "public"}, {"/metrics", "admin"}, {"/healthz", "public, node, admin"}, {"/readyz", "public, node, admin"},
      {"/v1/stoa/keys", "admin"}, {"/v1/stoa/audit/proof", "admin"}, {"/v1/stoa/usage", "admin"}, {"/v1/stoa/traces/{id}", "public"}, {"/v1/stoa/something/new", "admin"},
      {"/v1/stoa/search", "public"}, {"/v1/stoa/searches", "admin"}, {"/v1/stoa/documents/{id}/content", "public"}, {"/v1/stoa/ingest/jobs/{id}", "public"},
      {"/v1/stoa/nodes/{id}", "node, admin"}, {"/v1/stoa/models/{model}/adapters/{adapter}", "admin"},
  };
  for (const auto& [pattern, roles] : cases) EXPECT_EQ(listener_roles(pattern).names(), roles) << pattern;
}

}  // namespace
}  // namespace stoa::gateway
