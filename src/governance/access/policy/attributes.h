// What policies may ask about, and one request with what is known of it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contracts/principal.h"
#include "governance/access/policy/action.h"
#include "governance/access/policy/address.h"
#include "governance/access/policy/resource.h"

namespace stoa::governance {

enum class Attribute : std::uint8_t {
  kPrincipalId,
  kPrincipalTenant,
  kPrincipalProject,
  kPrincipalUser,
  kPrincipalRole,
  kPrincipalGroups,
  kPrincipalKey,
  kResourceTenant,
  kResourceProject,
  kResourceKind,
  kResourceName,
  kResourceOwner,
  kResourceClass,
  kResourceLabels,
  kResourceResidency,
  kContextPurpose,
  kContextHour,
  kContextWeekday,
  kContextAddress,
  kContextRegion,
  kContextBudgetLeft,
  kContextTls,
  kContextDataClass,
  kContextTags,
  kContextTokens,
};

enum class AttributeType : std::uint8_t { kText, kInteger, kBoolean, kList, kAddress };

struct AttributeInfo {
  Attribute attribute;
  std::string_view name;  // "resource.class"
  AttributeType type;
  std::string_view meaning;
  std::span<const std::string_view> choices = {};  // the only values there are; empty: any
};
std::span<const AttributeInfo> attribute_table();  // in the order of the enumeration
const AttributeInfo& attribute_info(Attribute attribute);
const AttributeInfo* find_attribute(std::string_view name);  // nullptr when there is none
inline std::uint64_t attribute_bit(Attribute attribute) { return std::uint64_t{1} << static_cast<unsigned>(attribute); }
std::string_view type_name(AttributeType type);              // "a string", "a list of strings"

using PolicyValue = std::variant<std::string, std::int64_t, bool, std::vector<std::string>>;

// One question to the policies. Holds views: what was set outlives it. What was not set is unknown, which never helps the one who asks
// (policy.h). A value of the wrong type, and an address that is none, count as not set.
class PolicyRequest {
 public:
  explicit PolicyRequest(Action action) : action_(action) {}
  // Everything that principal and resource say; empty text is unknown, except that having no groups is known.
  static PolicyRequest of(const Principal& principal, Action action, const Resource& resource);
  static PolicyRequest of(const Principal& principal, Action action, Resource&& resource) = delete;  // it would be gone when asked about

  void set_text(Attribute attribute, std::string_view text);  // also addresses
  void set_integer(Attribute attribute, std::int64_t number);
  void set_boolean(Attribute attribute, bool flag);
  void set_list(Attribute attribute, std::span<const std::string> list);
  void set(Attribute attribute, const PolicyValue& value);

  struct Value {
    bool known = false;
    std::int64_t number = 0;  // also booleans, as 0 and 1
    std::string_view text;
    std::span<const std::string> list;
  };
  Action action() const { return action_; }
  const Value& get(Attribute attribute) const { return values_[static_cast<std::size_t>(attribute)]; }
  const IpAddress& address() const { return address_; }  // of context.address, where that is known

 private:
  Value* slot(Attribute attribute, AttributeType type);

  Action action_;
  IpAddress address_;
  std::array<Value, static_cast<std::size_t>(Attribute::kContextTokens) + 1> values_;
};

}  // namespace stoa::governance
