#include "governance/access/policy/attributes.h"

#include <algorithm>

namespace stoa::governance {
namespace {

constexpr std::array<std::string_view, 7> kWeekdays{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};

constexpr std::array kAttributes{
    AttributeInfo{Attribute::kPrincipalId, "principal.id", AttributeType::kText, "id of the user or service account"},
    AttributeInfo{Attribute::kPrincipalTenant, "principal.tenant", AttributeType::kText, "tenant of the caller"},
    AttributeInfo{Attribute::kPrincipalProject, "principal.project", AttributeType::kText, "project the caller acts in"},
    AttributeInfo{Attribute::kPrincipalUser, "principal.user", AttributeType::kText, "name of the user; unknown for a service account"},
    AttributeInfo{Attribute::kPrincipalRole, "principal.role", AttributeType::kText, "role of the caller, one that a policy file defines"},
    AttributeInfo{Attribute::kPrincipalGroups, "principal.groups", AttributeType::kList, "groups of the user"},
    AttributeInfo{Attribute::kPrincipalKey, "principal.key", AttributeType::kText, "id of the key that was shown"},
    AttributeInfo{Attribute::kResourceTenant, "resource.tenant", AttributeType::kText, "tenant it belongs to"},
    AttributeInfo{Attribute::kResourceProject, "resource.project", AttributeType::kText, "project it belongs to"},
    AttributeInfo{Attribute::kResourceKind, "resource.kind", AttributeType::kText, "document, dataset, model, ..."},
    AttributeInfo{Attribute::kResourceName, "resource.name", AttributeType::kText, "its name or id"},
    AttributeInfo{Attribute::kResourceOwner, "resource.owner", AttributeType::kText, "user who owns it"},
    AttributeInfo{Attribute::kResourceClass, "resource.class", AttributeType::kText, "data class: public, internal, restricted, ..."},
    AttributeInfo{Attribute::kResourceLabels, "resource.labels", AttributeType::kList, "labels people gave it"},
    AttributeInfo{Attribute::kResourceResidency, "resource.residency", AttributeType::kText, "region its data must stay in"},
    AttributeInfo{Attribute::kContextPurpose, "context.purpose", AttributeType::kText, "what the caller says it is for"},
    AttributeInfo{Attribute::kContextHour, "context.hour", AttributeType::kInteger, "hour of the day in UTC, 0 to 23"},
    AttributeInfo{Attribute::kContextWeekday, "context.weekday", AttributeType::kText, "day of the week in UTC, monday to sunday", kWeekdays},
    AttributeInfo{Attribute::kContextAddress, "context.address", AttributeType::kAddress, "address the request comes from"},
    AttributeInfo{Attribute::kContextRegion, "context.region", AttributeType::kText, "region the work would run in"},
    AttributeInfo{Attribute::kContextBudgetLeft, "context.budget_left", AttributeType::kInteger, "what the project's budget still holds, in micro-units"},
    AttributeInfo{Attribute::kContextTls, "context.tls", AttributeType::kBoolean, "whether the connection is encrypted"},
    AttributeInfo{Attribute::kContextDataClass, "context.data_class", AttributeType::kText, "what the caller says its content is: public, internal, restricted, ..."},
    AttributeInfo{Attribute::kContextTags, "context.tags", AttributeType::kList, "what the cost is booked under, such as \"team=search\""},
    AttributeInfo{Attribute::kContextTokens, "context.tokens", AttributeType::kInteger, "tokens of the prompt; known to rules of routes"},
};

}  // namespace

std::span<const AttributeInfo> attribute_table() { return kAttributes; }
const AttributeInfo& attribute_info(Attribute attribute) { return kAttributes[static_cast<std::size_t>(attribute)]; }

const AttributeInfo* find_attribute(std::string_view name) {
  const auto found = std::ranges::find(kAttributes, name, &AttributeInfo::name);
  return found == kAttributes.end() ? nullptr : &*found;
}

std::string_view type_name(AttributeType type) {
  switch (type) {
    case AttributeType::kText: return "a string";
    case AttributeType::kInteger: return "an integer";
    case AttributeType::kBoolean: return "true or false";
    case AttributeType::kList: return "a list of strings";
    case AttributeType::kAddress: return "an address";
  }
  return "";
}

PolicyRequest::Value* PolicyRequest::slot(Attribute attribute, AttributeType type) {
  if (attribute_info(attribute).type != type) return nullptr;
  Value& value = values_[static_cast<std::size_t>(attribute)];
  value.known = true;
  return &value;
}

void PolicyRequest::set_text(Attribute attribute, std::string_view text) {
  if (attribute == Attribute::kContextAddress) {
    const auto address = parse_address(text);
    Value& value = values_[static_cast<std::size_t>(attribute)];
    value.known = address.has_value();
    value.text = text;
    if (address) address_ = *address;
  } else if (Value* value = slot(attribute, AttributeType::kText)) {
    value->text = text;
  }
}

void PolicyRequest::set_integer(Attribute attribute, std::int64_t number) {
  if (Value* value = slot(attribute, AttributeType::kInteger)) value->number = number;
}

void PolicyRequest::set_boolean(Attribute attribute, bool flag) {
  if (Value* value = slot(attribute, AttributeType::kBoolean)) value->number = flag ? 1 : 0;
}

void PolicyRequest::set_list(Attribute attribute, std::span<const std::string> list) {
  if (Value* value = slot(attribute, AttributeType::kList)) value->list = list;
}

void PolicyRequest::set(Attribute attribute, const PolicyValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return set_text(attribute, *text);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return set_integer(attribute, *number);
  if (const auto* flag = std::get_if<bool>(&value)) return set_boolean(attribute, *flag);
  set_list(attribute, std::get<std::vector<std::string>>(value));
}

PolicyRequest PolicyRequest::of(const Principal& principal, Action action, const Resource& resource) {
  PolicyRequest request(action);
  const auto known = [&](Attribute attribute, std::string_view text) {
    if (!text.empty()) request.set_text(attribute, text);
  };
  known(Attribute::kPrincipalId, principal.id);
  known(Attribute::kPrincipalTenant, principal.tenant);
  known(Attribute::kPrincipalProject, principal.project);
  known(Attribute::kPrincipalUser, principal.user);
  known(Attribute::kPrincipalKey, principal.key);
  known(Attribute::kPrincipalRole, principal.role);
  if (!principal.id.empty()) request.set_list(Attribute::kPrincipalGroups, principal.groups);  // that somebody has none is known
  known(Attribute::kResourceTenant, resource.tenant);
  known(Attribute::kResourceProject, resource.project);
  known(Attribute::kResourceKind, resource.kind);
  known(Attribute::kResourceName, resource.name);
  known(Attribute::kResourceOwner, resource.owner);
  known(Attribute::kResourceClass, resource.data_class);
  known(Attribute::kResourceResidency, resource.residency);
  if (resource.labels) request.set_list(Attribute::kResourceLabels, *resource.labels);
  return request;
}

}  // namespace stoa::governance
