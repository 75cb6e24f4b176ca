#include "governance/identity/oidc_provider.h"

#include <algorithm>
#include <array>

#include "contracts/access_list.h"
#include "governance/identity/jwks.h"
#include "infra/config/yaml.h"

namespace stoa::governance {
namespace {

constexpr std::size_t kMaxProviders = 32, kMaxLines = 1000, kMaxGroups = 256;

using infra::YamlNode;

Status read_text(const YamlNode& node, std::string_view key, std::string& out) {
  const YamlNode* value = node.find(key);
  if (value == nullptr) return {};
  STOA_TRY(text, value->text());
  out = text;
  return {};
}

Status read_flag(const YamlNode& node, std::string_view key, bool& out) {
  const YamlNode* value = node.find(key);
  if (value == nullptr) return {};
  STOA_TRY(flag, value->boolean());
  out = flag;
  return {};
}

// One text, or a list of them.
Status read_texts(const YamlNode& node, std::string_view key, std::vector<std::string>& out) {
  const YamlNode* value = node.find(key);
  if (value == nullptr) return {};
  if (value->kind() == YamlNode::Kind::kScalar) {
    STOA_TRY(text, value->text());
    out.push_back(text);
    return {};
  }
  if (value->items().size() > kMaxLines) return fail(value->wrong("too many lines"));
  for (const auto& item : value->items()) {
    STOA_TRY(text, item.text());
    out.push_back(text);
  }
  return {};
}

// "key: value" lines in the order of the file.
Status read_pairs(const YamlNode& node, std::string_view key, std::vector<std::pair<std::string, std::string>>& out) {
  const YamlNode* value = node.find(key);
  if (value == nullptr) return {};
  if (value->entries().size() > kMaxLines) return fail(value->wrong("too many lines"));
  for (const auto& [name, item] : value->entries()) {
    STOA_TRY(text, item.text());
    out.emplace_back(name, text);
  }
  return {};
}

bool is_name(const std::string& text) {
  const auto list = AccessList::parse("user:" + text);
  return list && list->users == std::vector{text};
}

Result<OidcClient> read_client(const YamlNode& node, const OidcProvider& provider) {
  constexpr std::array<std::string_view, 6> kKeys{"id", "subject", "name", "project", "role", "scopes"};
  STOA_CHECK(node.only(kKeys));
  STOA_CHECK(node.at("id"));
  STOA_CHECK(node.at("role"));
  OidcClient client;
  client.project = provider.project;
  STOA_CHECK(read_text(node, "id", client.id));
  client.subject = client.name = client.id;
  STOA_CHECK(read_text(node, "subject", client.subject));
  STOA_CHECK(read_text(node, "name", client.name));
  STOA_CHECK(read_text(node, "project", client.project));
  STOA_CHECK(read_text(node, "role", client.role));
  STOA_CHECK(read_texts(node, "scopes", client.scopes));
  if (client.id.empty() || client.subject.empty()) return fail(node.wrong("a client has an id"));
  if (!is_name(client.name)) return fail(node.wrong(fmt::format("'{}' cannot name a service account: 1 to 128 letters, digits and ._@+- are allowed", client.name)));
  return client;
}

Status read_mappings(const YamlNode& node, OidcProvider& provider) {
  STOA_CHECK(read_pairs(node, "groups", provider.groups));
  STOA_CHECK(read_pairs(node, "roles", provider.roles));
  for (const auto& [theirs, ours] : provider.groups)
    if (!is_name(ours)) return fail(node.at("groups").value()->wrong(fmt::format("'{}' cannot name a group: 1 to 128 letters, digits and ._@+- are allowed", ours)));
  const YamlNode* clients = node.find("clients");
  if (clients == nullptr) return {};
  if (clients->items().size() > kMaxLines) return fail(clients->wrong("too many clients"));
  for (const auto& item : clients->items()) {
    STOA_TRY(client, read_client(item, provider));
    provider.clients.push_back(std::move(client));
  }
  return {};
}

Result<OidcProvider> read_provider(const YamlNode& node) {
  constexpr std::array<std::string_view, 18> kKeys{"name", "issuer", "audience", "algorithms", "client_id", "login_scopes", "resource", "tenant", "project",
                                                   "role", "user_claim", "groups_claim", "groups", "roles", "clients", "provision", "link_existing", "comment"};
  STOA_CHECK(node.only(kKeys));
  for (const std::string_view key : {"name", "issuer", "audience"}) STOA_CHECK(node.at(key));
  OidcProvider provider;
  const std::pair<std::string_view, std::string*> texts[] = {
      {"name", &provider.name}, {"issuer", &provider.issuer}, {"client_id", &provider.client_id}, {"login_scopes", &provider.login_scopes},
      {"resource", &provider.resource}, {"tenant", &provider.tenant}, {"project", &provider.project}, {"role", &provider.role},
      {"user_claim", &provider.user_claim}, {"groups_claim", &provider.groups_claim}};
  for (const auto& [key, into] : texts) STOA_CHECK(read_text(node, key, *into));
  STOA_CHECK(read_texts(node, "audience", provider.audiences));
  if (provider.audiences.empty()) return fail(node.wrong("without an audience, tokens for any other service would be accepted"));
  std::vector<std::string> algorithms;
  STOA_CHECK(read_texts(node, "algorithms", algorithms));
  for (const auto& name : algorithms) {
    const auto scheme = infra::parse_scheme(name);
    if (!scheme) return fail(node.wrong(scheme.error().message));
    provider.algorithms.push_back(*scheme);
  }
  if (!is_name(provider.name)) return fail(node.wrong(fmt::format("'{}' cannot name a provider: 1 to 128 letters, digits and ._@+- are allowed", provider.name)));
  if (const Status secure = check_issuer_url(provider.issuer); !secure) return fail(node.wrong(secure.error().message));
  STOA_CHECK(read_flag(node, "provision", provider.provision));
  STOA_CHECK(read_flag(node, "link_existing", provider.link_existing));
  STOA_CHECK(read_mappings(node, provider));
  return provider;
}

std::unexpected<Error> refused(const OidcProvider& provider, std::string_view why) {
  return fail(ErrorCode::kPermissionDenied, "{} says who you are, but {}", provider.name, why);
}

// The names this installation knows the groups by; those that cannot be a name here and have no other one are passed over.
std::vector<std::string> map_groups(const OidcProvider& provider, const Jwt& jwt) {
  std::vector<std::string> groups;
  for (const auto& theirs : texts_claim(jwt, provider.groups_claim)) {
    const auto mapped = std::ranges::find(provider.groups, theirs, &std::pair<std::string, std::string>::first);
    const std::string& name = mapped == provider.groups.end() ? theirs : mapped->second;
    if (is_name(name)) groups.push_back(name);
    if (groups.size() == kMaxGroups) break;
  }
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

const OidcClient* find_client(const OidcProvider& provider, const Jwt& jwt) {
  const auto found = std::ranges::find_if(provider.clients, [&](const OidcClient& client) {
    if (jwt.subject.empty()) return client.id == jwt.client;
    return client.subject == jwt.subject && (jwt.client.empty() || jwt.client == client.id);
  });
  return found == provider.clients.end() ? nullptr : &*found;
}

// An e-mail address counts only when the issuer has verified it: otherwise anyone could write another's.
std::string user_name(const OidcProvider& provider, const Jwt& jwt) {
  const auto verified = [&] {
    const Json* flag = find_claim(jwt, "email_verified");
    return flag != nullptr && flag->is_bool() && flag->get_bool();
  };
  if (provider.user_claim != "email") {
    if (std::string name = text_claim(jwt, provider.user_claim); !name.empty() || provider.user_claim != "preferred_username") return name;
  }
  return verified() ? text_claim(jwt, "email") : std::string();
}

}  // namespace

Result<std::vector<OidcProvider>> parse_providers(std::string_view yaml, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(yaml, name));
  std::vector<OidcProvider> providers;
  if (root.is_null()) return providers;
  constexpr std::array<std::string_view, 1> kKeys{"providers"};
  STOA_CHECK(root.only(kKeys));
  STOA_TRY(list, root.at("providers"));
  if (list->items().size() > kMaxProviders) return fail(list->wrong(fmt::format("more than {} providers", kMaxProviders)));
  for (const auto& item : list->items()) {
    STOA_TRY(provider, read_provider(item));
    for (const auto& other : providers)
      if (other.issuer == provider.issuer || other.name == provider.name) return fail(item.wrong("there is another provider of this name or issuer"));
    providers.push_back(std::move(provider));
  }
  return providers;
}

Result<ExternalPrincipal> map_claims(const OidcProvider& provider, const Jwt& jwt) {
  ExternalPrincipal out;
  out.provider = provider.name;
  out.issuer = provider.issuer;
  out.tenant = provider.tenant;
  out.provision = provider.provision;
  out.link_existing = provider.link_existing;
  if (const OidcClient* client = find_client(provider, jwt); client != nullptr) {
    out.service = true;
    out.subject = client->subject;
    out.name = client->name;
    out.project = client->project;
    out.role = client->role;
    out.scopes = client->scopes;
    std::ranges::sort(out.scopes);
    return out;
  }
  if (jwt.subject.empty() || jwt.subject == jwt.client) return refused(provider, "this client is not among the clients of its entry in the providers file");
  out.subject = jwt.subject;
  out.name = user_name(provider, jwt);
  if (out.name.empty()) return refused(provider, fmt::format("its token has no claim '{}' to name you by (an e-mail address counts when it is verified)", provider.user_claim));
  if (!is_name(out.name)) return refused(provider, fmt::format("its claim '{}' cannot be a name here: 1 to 128 letters, digits and ._@+- are allowed", provider.user_claim));
  out.project = provider.project;
  out.groups = map_groups(provider, jwt);
  out.role = provider.role;
  for (const auto& [group, role] : provider.roles)
    if (std::ranges::binary_search(out.groups, group)) {
      out.role = role;
      break;
    }
  if (out.role.empty()) return refused(provider, "you are in no group that has a role here");
  return out;
}

}  // namespace stoa::governance
