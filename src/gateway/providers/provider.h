// Providers: places that serve models over HTTP. A target, one model of one provider, stands behind the port models::Generator, so that
// whoever asks for text does not know whether it is made here or elsewhere.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "infra/http/sender.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

class AccessTokens;

inline constexpr int kDefaultContext = 131'072;

struct ProviderTarget {
  std::string provider;  // name of the provider: in errors
  std::string family;    // one of provider_families()
  std::string url;       // what the family's paths are appended to: "https://api.openai.com/v1"
  std::string model;     // as the upstream calls it
  int context_length = kDefaultContext;
  std::function<Result<std::string>()> credential{};  // asked for each request, so that a new one is used at once; empty: none is sent
  infra::HttpTimeouts timeouts{};
  std::map<std::string, std::string> options{};  // of the family: provider_families() says which
  std::shared_ptr<AccessTokens> tokens{};        // kept from request to request; null: each asks for its own
  std::shared_ptr<const models::Generator> counter{};  // whose tokenizer counts what the upstream does not tell; null: it is estimated
};

struct ProviderOption {
  std::string_view name, meaning;
  std::string_view choices{};  // "a|b"; empty: any text of at most 128 printable characters
};
// Every family has it: it names what ProviderTarget::counter is of.
inline constexpr ProviderOption kTokenizer{"tokenizer", "a model of this server whose tokenizer counts what the provider does not tell"};
struct ProviderFamily {
  std::string_view name;
  std::string_view serves;                   // for people
  std::string_view example;                  // of a URL
  std::span<const ProviderOption> options;
};
std::span<const ProviderFamily> provider_families();

// Whether family, URL and options can be used. kInvalidArgument with `param` family, url or options says what there is.
Status check_provider(std::string_view family, std::string_view url, const std::map<std::string, std::string>& options);

// Whether a credential is what the family takes. kInvalidArgument with `param` credential; the message does not repeat it.
Status check_credential(std::string_view family, std::string_view credential);

// A generator that asks the target; `sender` outlives it. Thread-safe. Answers are always streamed. Usage is the upstream's own count; what it
// does not tell (a stream that was stopped, a server without counts) and count_prompt_tokens are what the target's counter says, or, where it has none or
// that cannot read the request, estimates: a token for 4 bytes.
// Errors of generate, by code: kUnavailable (cannot connect, 5xx, credential refused, stream broken or not of the family's format),
// kResourceExhausted (429, with retry_after), kDeadlineExceeded; kInvalidArgument, kTooLarge, kNotFound (model unknown upstream),
// kPermissionDenied (the rule egress.providers), kUnsupported (`param` names what the family cannot express). A stream without the family's
// end marker is an error, however much of it came. Messages name the provider and never hold the credential.
Result<std::unique_ptr<models::Generator>> open_provider(ProviderTarget target, infra::HttpSender& sender);

// Whether the target judges texts by itself: OpenAI's moderations, of models whose name says so.
bool moderates(const ProviderTarget& target);
// The `results` of its answer to `input`, which is as callers gave it; of a target that moderates. Errors as those of generate.
Result<JsonArray> moderate(const ProviderTarget& target, infra::HttpSender& sender, const Call& call, const Json& input);

// What the upstream says when it is asked which models it has.
struct ProviderCheck {
  bool usable = false;
  std::string said;                 // for people: "reached, 12 models", or what went wrong and the next step
  milliseconds took{0};
  std::vector<std::string> models;  // at most 1000, sorted
};
ProviderCheck check_target(const ProviderTarget& target, infra::HttpSender& sender, const CancelToken& cancel = {});

}  // namespace stoa::gateway
