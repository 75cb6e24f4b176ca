// stoa access: policy files, tried out without a server, and what a running one decides.
#include "commands/commands.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/json.h"
#include "commands/connect.h"
#include "commands/json_read.h"
#include "commands/terminal.h"
#include "governance/access/policy/policy_set.h"
#include "wiring/defaults.h"

namespace stoa::cli {
namespace {

using namespace governance;

// The files, after the roles that every installation has.
Result<PolicySet> load(const std::vector<std::string>& paths) {
  STOA_TRY(text, wiring::data_file("", "roles.policy"));
  STOA_TRY(roles, parse_policies(text.text, text.name));
  roles.tests.clear();  // those are the build's
  std::vector<PolicyFile> files{std::move(roles)};
  for (const auto& path : paths) {
    STOA_TRY(file, read_policies(path));
    files.push_back(std::move(file));
  }
  return PolicySet::compile(std::move(files));
}

using Fields = std::vector<std::pair<Attribute, PolicyValue>>;

Result<Fields> known_of(const AccessOptions& options) {
  Fields all;
  const std::pair<std::string_view, const std::string*> given[] = {{"principal", &options.principal}, {"resource", &options.resource}, {"context", &options.context}};
  for (const auto& [scope, text] : given) {
    STOA_TRY(fields, parse_fields(*text, scope));
    std::ranges::move(fields, std::back_inserter(all));
  }
  return all;
}

JsonObject to_json(const PolicyExplanation& explained) {
  const PolicyDecision& decision = explained.decision;
  JsonArray notes;
  for (const auto& note : explained.notes) notes.push_back(JsonObject{{"rule", note.rule->name}, {"where", note.where}, {"applies", note.applies}, {"why", note.why}});
  return {{"allowed", decision.allowed}, {"rule", decision.rule_name()}, {"where", decision.where()}, {"unknown", decision.unknown},
          {"reason", decision.reason()}, {"looked_at", std::move(notes)}, {"others", explained.others}};
}

// Fields as the server takes them: {"kind": "document", "class": "restricted"}.
Result<JsonObject> object_of_fields(const std::string& text, std::string_view scope) {
  STOA_TRY(fields, parse_fields(text, scope));
  JsonObject out;
  for (const auto& [attribute, value] : fields) {
    const std::string name(attribute_info(attribute).name.substr(scope.size() + 1));
    if (const auto* list = std::get_if<std::vector<std::string>>(&value))
      out[name] = JsonArray(list->begin(), list->end());
    else if (const auto* flag = std::get_if<bool>(&value))
      out[name] = *flag;
    else if (const auto* number = std::get_if<std::int64_t>(&value))
      out[name] = *number;
    else
      out[name] = std::get<std::string>(value);
  }
  return out;
}

Result<JsonObject> explain_live(const Global& global, const AccessOptions& options) {
  if (!options.files.empty() || !options.principal.empty())
    return fail(error(ErrorCode::kInvalidArgument, "the server decides by the policies it has, about who is known to it").with_hint("leave files and --principal out; --of names a key"));
  STOA_TRY(resource, object_of_fields(options.resource, "resource"));
  STOA_TRY(origin, object_of_fields(options.context, "context"));
  return connect(global).post("/v1/stoa/access/explain", {{"action", options.action}, {"key", options.key}, {"resource", std::move(resource)}, {"origin", std::move(origin)}});
}

int show_live(const Global& global, const AccessOptions& options) {
  const auto explained = explain_live(global, options);
  if (!explained) return report(explained.error(), global.json);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(*explained));
    return kExitOk;
  }
  const Json* allowed = find(*explained, "allowed");
  fmt::print("{}: {}\n", allowed != nullptr && allowed->is_bool() && allowed->get_bool() ? good("permitted") : bad("denied"), text_of(*explained, "reason"));
  fmt::print("{}\n", dim(fmt::format("  rule {}, {} with the role {}", text_of(*explained, "rule"), text_of(*explained, "principal"), text_of(*explained, "role"))));
  for (const JsonObject* note : objects_of(*explained, "looked_at")) {
    const Json* applies = find(*note, "applies");
    const bool does = applies != nullptr && applies->is_bool() && applies->get_bool();
    fmt::print("  {} \"{}\" {}: {}\n", text_of(*note, "where"), text_of(*note, "rule"), does ? bold("applies") : "does not apply", text_of(*note, "why"));
  }
  return kExitOk;
}

}  // namespace

int access_test(const Global& global, const AccessOptions& options) {
  const auto set = load(options.files);
  if (!set) return report(set.error(), global.json);
  const PolicyTestReport result = set->run_tests();
  const bool passed = result.failures.empty();
  if (global.json) {
    JsonArray failures;
    for (const auto& failure : result.failures) failures.push_back(JsonObject{{"where", failure.where}, {"test", failure.test}, {"message", failure.message}});
    fmt::print("{}\n", dump_json_pretty(JsonObject{{"run", result.run}, {"failures", std::move(failures)}}));
    return passed ? kExitOk : kExitFailure;
  }
  for (const auto& failure : result.failures) fmt::print("{}: {} \"{}\": {}\n", failure.where, bad("failed"), failure.test, failure.message);
  if (result.run == 0)
    fmt::print("the policies are well formed, and the files have no tests\n");
  else
    fmt::print("{} of {} tests passed\n", result.run - result.failures.size(), result.run);
  return passed ? kExitOk : kExitFailure;
}

int access_explain(const Global& global, const AccessOptions& options) {
  if (options.live) return show_live(global, options);
  const auto set = load(options.files);
  if (!set) return report(set.error(), global.json);
  const auto action = parse_action(options.action);
  if (!action) return report(action.error(), global.json);
  const auto known = known_of(options);
  if (!known) return report(known.error(), global.json);
  PolicyRequest request(*action);
  for (const auto& [attribute, value] : *known) request.set(attribute, value);
  const PolicyExplanation explained = set->explain(request);
  if (global.json) {
    fmt::print("{}\n", dump_json_pretty(to_json(explained)));
    return kExitOk;
  }
  fmt::print("{}: {}\n", explained.decision.allowed ? good("permitted") : bad("denied"), explained.decision.reason());
  for (const auto& note : explained.notes) fmt::print("  {} \"{}\" {}: {}\n", note.where, note.rule->name, note.applies ? bold("applies") : "does not apply", note.why);
  if (explained.others > 0) fmt::print("{}\n", dim(fmt::format("  {} other rules are not about {}, or are roles of others", explained.others, options.action)));
  return kExitOk;
}

}  // namespace stoa::cli
