#include "examples.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace stoa::cli {
namespace {

constexpr auto kExamples = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"serve", "  stoa serve --port 8080            data in STOA_HOME; ready when /readyz answers 200"},
    {"ask", "  stoa ask \"Which fields must a control file have?\" --store debian-policy\n"
            "  stoa ask \"...\" --store handbook --extractive    quotes only, nothing is generated\n"
            "  stoa ask \"...\" --store handbook --json | jq -r '.output[-1].content[0].text'"},
    {"chat", "  stoa chat --system \"Answer in one sentence.\"\n"
             "  stoa chat --store handbook        answers from documents, with citations\n"
             "  printf 'Hello\\nAnd then?\\n' | stoa chat --json    one JSON value per reply"},
    {"ingest", "  stoa ingest ./docs --store handbook\n"
               "  stoa ingest ./hr --store handbook --access group:hr,user:ann --include '*.pdf'\n"
               "  stoa ingest ./minutes/2024 --store notes --attribute year=2024 --attribute kind=minutes"},
    {"collections", "  stoa collections list"},
    {"collections list", "  stoa collections list --json"},
    {"collections show", "  stoa collections show handbook"},
    {"collections create", "  stoa collections create handbuch --language german\n"
                           "  stoa collections create scratch --expires-after-days 7"},
    {"collections defaults", "  stoa collections defaults news --half-life 30d --diversity 0.3    how it is searched where a search does not say\n"
                             "  stoa collections defaults news --clear"},
    {"collections reindex", "  stoa collections reindex handbook                       after the server got another embedding model\n"
                            "  stoa collections reindex handbook --chunk-tokens 128    shorter passages\n"
                            "  stoa collections reindex handbook --embedding-model all-minilm-l6-v2"},
    {"collections remove", "  stoa collections remove scratch"},
    {"search", "  stoa search \"conffile handling\" --store debian-policy -n 3\n"
               "  stoa search conffile --store debian-policy --mode text --json\n"
               "  stoa search \"how are keys rotated?\" --store handbook --rewrite 3 --explain\n"
               "  stoa search outage --store notes --filter 'year>=2024' --half-life 30d --diversity 0.3 --context section"},
    {"eval", "  stoa eval retrieval dev-v2.0.json --questions 500\n  stoa eval rag dev-v2.0.json --questions 200 --html answers.html"},
    {"eval retrieval", "  stoa eval retrieval dev-v2.0.json --mode hybrid,text,vector --html retrieval.html\n"
                       "  stoa eval retrieval beir/scifact --fusion rrf -o rrf.json"},
    {"eval rag", "  stoa eval rag dev-v2.0.json --questions 200 --html answers.html -o quotes.json\n"
                 "  stoa eval rag dev-v2.0.json --questions 50 --answerer generative,extractive"},
    {"eval access", "  stoa eval access dev-v2.0.json --triples 10000    exit code 1 when anything was shown that must not be"},
    {"eval compare", "  stoa eval compare before.json after.json --html difference.html\n"
                     "  stoa eval compare modes.json modes.json --run-a text --run-b hybrid"},
    {"pull", "  stoa pull smollm2-135m-instruct all-minilm-l6-v2\n"
             "  stoa pull file:///media/models/model.gguf --sha256 0123..."},
    {"models", "  stoa models                       what is here, and what the catalog offers"},
    {"models list", "  stoa models list --json"},
    {"models show", "  stoa models show smollm2-135m-instruct"},
    {"models verify", "  stoa models verify smollm2-135m-instruct"},
    {"models remove", "  stoa models remove smollm2-135m-instruct"},
    {"keys", "  stoa keys create --user ann --group eng --expires 90d\n  stoa keys list\n  stoa keys revoke key_..."},
    {"keys create", "  export STOA_API_KEY=$(stoa keys create --user ann --group eng --expires 90d --json | jq -r .key)\n"
                    "  stoa keys create --role viewer --name dashboard    a service account that may only read\n"
                    "  stoa keys create --name batch --scope model.use    and one that may only use models"},
    {"keys list", "  stoa keys list --project default --json"},
    {"keys rotate", "  stoa keys rotate key_... --overlap 7d     hand the new key out, then let the old one end"},
    {"keys revoke", "  stoa keys revoke key_...          works at once; its citation links end too"},
    {"kms", "  stoa kms status\n  stoa kms rotate                   a new master key; a project's name: a new key for its data\n"
            "  stoa kms revoke acquired-team     unreadable at once; 'stoa kms restore acquired-team' takes it back"},
    {"kms status", "  stoa kms status --tenant acme --json"},
    {"kms rotate", "  stoa kms rotate                   the master key, every year or when somebody leaves\n"
                   "  stoa kms rotate default           the project's data key: new writes at once, the rest behind"},
    {"kms rewrap", "  stoa kms rewrap                   after kms.provider was changed"},
    {"kms revoke", "  stoa kms revoke acquired-team\n  stoa kms revoke acquired-team --destroy    its data is gone for good"},
    {"kms keep", "  stoa kms keep default none        neither stored responses nor text in traces\n  stoa kms keep support traces"},
    {"kms restore", "  stoa kms restore acquired-team"},
    {"login", "  stoa login                        prints an address; then every verb works as you\n"
              "  STOA_CLIENT_SECRET=... stoa login --client-credentials ci-runner    a program with a secret of its own"},
    {"logout", "  stoa logout"},
    {"whoami", "  stoa whoami\n  stoa whoami --json | jq -r .role"},
    {"tenants", "  stoa tenants create acme\n  stoa keys create --tenant acme --user ann --role admin"},
    {"tenants list", "  stoa tenants list"},
    {"tenants create", "  stoa tenants create acme          then: stoa keys create --tenant acme --user ann --role admin"},
    {"projects", "  stoa projects create support\n  stoa keys create --project support --user ann"},
    {"projects list", "  stoa projects list --tenant acme"},
    {"projects create", "  stoa projects create support"},
    {"users", "  stoa users create ann --group eng\n  stoa users disable ann            works at once, for keys, tokens and sign-ins"},
    {"users list", "  stoa users list --json"},
    {"users create", "  stoa users create ann --group eng --group hr"},
    {"users disable", "  stoa users disable ann"},
    {"users enable", "  stoa users enable ann"},
    {"groups", "  stoa groups add hr ann bob\n  stoa groups list"},
    {"groups list", "  stoa groups list"},
    {"groups add", "  stoa groups add hr ann bob        they now see documents for group:hr"},
    {"groups remove", "  stoa groups remove hr bob"},
    {"tokens", "  stoa tokens create nightly --allow 'dataset.read dataset support@1' --expires 20m"},
    {"tokens create", "  TOKEN=$(stoa tokens create nightly --allow 'dataset.read dataset support@1')\n"
                      "  STOA_API_KEY=$TOKEN stoa dataset rows support@1    and nothing else"},
    {"tokens list", "  stoa tokens list"},
    {"tokens revoke", "  stoa tokens revoke job_..."},
    {"break-glass", "  stoa break-glass \"INC-7: answers fail, reading traces\" --minutes 30\n  stoa break-glass list\n  stoa break-glass end glass_..."},
    {"break-glass list", "  stoa break-glass list"},
    {"break-glass end", "  stoa break-glass end glass_..."},
    {"nodes", "  stoa nodes add gpu-1 --identity gpu-1.internal\n  stoa nodes list"},
    {"nodes add", "  stoa nodes add gpu-1 --identity gpu-1.internal\n"
                  "  stoa nodes add gpu-2 --fingerprint $(openssl x509 -in gpu-2.pem -noout -fingerprint -sha256 | cut -d= -f2)"},
    {"nodes list", "  stoa nodes list"},
    {"nodes revoke", "  stoa nodes revoke gpu-1"},
    {"access", "  stoa access test rules.policy\n  stoa access explain rules.policy --action model.use --principal 'role: \"developer\"'"},
    {"access test", "  stoa access test rules.policy     exit code 1 when a test fails, 2 when the file is wrong\n"
                    "  stoa access test *.policy --json"},
    {"access explain", "  stoa access explain --action document.write --principal 'role: \"viewer\"'    the roles that come with Stoa\n"
                       "  stoa access explain rules.policy --action document.read --principal 'role: \"admin\", groups: [\"hr\"]' --resource 'class: \"restricted\"'\n"
                       "  stoa access explain --live --of key_... --action document.read --resource 'kind: \"document\", class: \"restricted\"'"},
    {"routes", "  printf 'targets: [{model: smollm2-135m-instruct, weight: 9}, {provider: openai, model: gpt-4o-mini}]' | stoa routes set chat -\n"
               "  stoa chat --model chat\n"
               "  stoa routes rollback chat 1                the version before"},
    {"routes list", "  stoa routes list --json"},
    {"routes status", "  stoa routes status chat\n  stoa routes status chat --json | jq .canary"},
    {"routes show", "  stoa routes show chat > chat.yaml\n  stoa routes show chat --version 1"},
    {"routes set", "  stoa routes set chat chat.yaml --comment \"ten percent to the new model\"\n"
                   "  stoa routes set chat chat.yaml --expect 3      refused when somebody was faster"},
    {"routes history", "  stoa routes history chat"},
    {"routes diff", "  stoa routes diff chat 3 4"},
    {"routes rollback", "  stoa routes rollback chat 3 --comment \"slow answers\""},
    {"routes remove", "  stoa routes remove chat --comment \"not needed\""},
    {"limits", "  printf 'limits: [{per: user, requests_per_minute: 60, tokens_per_minute: 100000}]' | stoa limits set people -\n"
               "  stoa limits usage                          who is near a limit"},
    {"limits list", "  stoa limits list --json"},
    {"limits show", "  stoa limits show people > people.yaml"},
    {"limits set", "  stoa limits set people people.yaml --comment \"the pilot grows\"\n"
                   "  stoa limits set house house.yaml --local --installation    for all projects, on the server's machine"},
    {"limits history", "  stoa limits history people"},
    {"limits diff", "  stoa limits diff people 3 4"},
    {"limits rollback", "  stoa limits rollback people 3 --comment \"too tight\""},
    {"limits remove", "  stoa limits remove people --comment \"not needed\""},
    {"limits usage", "  stoa limits usage --json"},
    {"cache", "  printf 'answers: deterministic' | stoa cache set - --comment \"the help desk asks the same all day\"\n"
              "  stoa cache stats"},
    {"cache show", "  stoa cache show > cache.yaml"},
    {"cache set", "  stoa cache set cache.yaml --expect 1      refused when somebody was faster"},
    {"cache history", "  stoa cache history"},
    {"cache diff", "  stoa cache diff 1 2"},
    {"cache rollback", "  stoa cache rollback 1"},
    {"cache remove", "  stoa cache remove                          and forget everything"},
    {"cache stats", "  stoa cache stats --json"},
    {"cache purge", "  stoa cache purge --document doc_...\n  stoa cache purge --tag team=search --model chat\n  stoa cache purge --all"},
    {"policies", "  stoa policies dry-run rules.policy         who would notice\n"
                 "  stoa policies set rules rules.policy --comment \"ticket 4711\"\n"
                 "  stoa policies rollback rules 3             the version before"},
    {"policies list", "  stoa policies list\n  stoa policies list --local --installation --json"},
    {"policies show", "  stoa policies show rules > rules.policy\n  stoa policies show rules --version 3"},
    {"policies set", "  stoa policies set rules rules.policy --comment \"ticket 4711\"\n"
                     "  stoa policies set rules rules.policy --expect 3      refused when somebody was faster\n"
                     "  stoa policies set house house.policy --local --installation    for all tenants, on the server's machine"},
    {"policies history", "  stoa policies history rules"},
    {"policies diff", "  stoa policies diff rules 3 4"},
    {"policies rollback", "  stoa policies rollback rules 3 --comment \"locked the night shift out\"\n"
                          "  stoa policies rollback rules 3 --local      when nobody can get in any more"},
    {"policies remove", "  stoa policies remove rules --comment \"not needed\""},
    {"policies dry-run", "  stoa policies dry-run rules.policy --json | jq .changed\n"
                         "  stoa policies dry-run draft.policy --name rules"},
    {"batches", "  stoa batches create requests.jsonl --wait\n  stoa batches results batch_... > answers.jsonl"},
    {"batches create", "  stoa batches create requests.jsonl --endpoint /v1/embeddings --metadata job=nightly\n"
                       "  echo '{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"smollm2-135m-instruct\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}}' | stoa batches create - --wait"},
    {"batches list", "  stoa batches list --json"},
    {"batches show", "  stoa batches show batch_... --wait"},
    {"batches results", "  stoa batches results batch_... | jq -r '[.custom_id, .response.body.choices[0].message.content] | @tsv'\n  stoa batches results batch_... --errors"},
    {"batches cancel", "  stoa batches cancel batch_..."},
    {"batches window", "  stoa batches window 22:00-06:00      from ten at night to six in the morning, UTC\n  stoa batches window --always"},
    {"providers", "  stoa providers add openai --family openai --url https://api.openai.com/v1 --model gpt-4.1=1000000\n"
                  "  stoa providers set-key openai < openai.key\n  stoa providers check openai"},
    {"providers list", "  stoa providers list --json"},
    {"providers show", "  stoa providers show openai"},
    {"providers add", "  stoa providers add openai --family openai --url https://api.openai.com/v1 --model gpt-4.1=1000000 --key-file openai.key\n"
                      "  stoa providers add claude --family anthropic --url https://api.anthropic.com --model claude-sonnet-4-5=200000\n"
                      "  stoa providers add azure --family azure --url https://NAME.openai.azure.com --model my-deployment --residency westeurope\n"
                      "  stoa providers add gpu --family openai --url http://gpu-1.internal:8000/v1 --model qwen3-32b=40960 --option server=vllm --on-prem"},
    {"providers set-key", "  stoa providers set-key openai < openai.key\n  vault read -field=key secret/openai | stoa providers set-key openai"},
    {"providers remove", "  stoa providers remove gpu"},
    {"providers check", "  stoa providers check openai\n  stoa providers check openai --model gpt-4.1 --json"},
    {"roles", "  stoa roles list\n  stoa roles show auditor"},
    {"roles list", "  stoa roles list --json"},
    {"roles show", "  stoa roles show auditor"},
    {"config", "  stoa config check\n  stoa config show"},
    {"config check", "  stoa config check --config ./stoa.yaml    exit code 2 when something is wrong"},
    {"config show", "  stoa config show                  keys, values, meanings and origins\n  STOA_SERVER_PORT=9000 stoa config show --json"},
    {"status", "  stoa status\n  stoa status --json | jq .engine"},
    {"trace", "  stoa trace resp_...               an answer's id, a request's (x-request-id) or a trace's"},
    {"traces", "  stoa traces -n 5\n  stoa traces --all --json"},
    {"usage", "  stoa usage --by kind              chat, embedding, ingest, ...\n  stoa usage --by day --json"},
    {"audit", "  stoa audit list --action document.read\n  stoa audit export audit.jsonl\n  stoa audit verify audit.jsonl --key stoa-audit-...+...+..."},
    {"audit list", "  stoa audit list --principal user_... -n 20\n  stoa audit list --trace 0af7651916cd43dd8448eb211c80319c --json"},
    {"audit check", "  stoa audit check                  exit code 1 when an entry is not what was written"},
    {"audit checkpoint", "  stoa audit checkpoint --json | jq -r .key > audit.key"},
    {"audit export", "  stoa audit export audit.jsonl\n  stoa audit export - --format ocsf | forward-to-siem"},
    {"audit verify", "  stoa audit verify audit.jsonl --key audit.key"},
    {"passport", "  stoa passport resp_...\n"
                 "  stoa passport resp_... --html answer.html      for people; opens in any browser\n"
                 "  stoa passport resp_... -o answer.json          for auditors; stoa passport verify answer.json --key audit.key"},
    {"passport verify", "  stoa passport verify answer.json --key audit.key\n  stoa passport verify answer.json --key audit.key --html answer.html"},
    {"rate", "  stoa rate resp_... up\n  stoa rate resp_... down --correction \"Every 90 days.\""},
    {"dataset", "  stoa dataset from-ratings support\n  stoa dataset rows support@1 > support.jsonl"},
    {"dataset from-ratings", "  stoa dataset from-ratings support"},
    {"dataset list", "  stoa dataset list"},
    {"dataset rows", "  stoa dataset rows support         the latest version\n  stoa dataset rows support@1 > support.jsonl"},
    {"quantize", "  stoa quantize model-f16.gguf model-q4_k_m.gguf --type Q4_K_M"},
    {"bench", "  stoa bench engine"},
    {"bench engine", "  stoa bench engine                 the configured generator on all processors\n"
                     "  stoa bench engine --model model.gguf --threads 8 --json"},
    {"completion", "  source <(stoa completion bash)\n  stoa completion zsh > ~/.zfunc/_stoa"},
    {"", "  stoa pull smollm2-135m-instruct all-minilm-l6-v2   fetch the default models\n"
         "  stoa serve                                         start the server on 127.0.0.1:8080\n"
         "  stoa keys create --user ann                        make an API key (shown once)\n"
         "  stoa ingest ./docs --store handbook                ingest a folder\n"
         "  stoa ask \"How do I ...?\" --store handbook          a grounded answer with citations\n\n"
         "Environment: STOA_HOME (data folder), STOA_URL and STOA_API_KEY (server and key), NO_COLOR."},
});

constexpr std::string_view kCommon =
    "Every verb also takes --json, --home, --config, --url and --key (stoa --help).\n"
    "Exit codes: 0 ok, 1 failed, 2 wrong arguments or configuration, 3 no server, 4 denied, 5 not found, 6 limit reached, 130 interrupted.";

}  // namespace

std::string help_footer(std::string_view path) {
  for (const auto& [name, text] : kExamples)
    if (name == path) return fmt::format("{}:\n{}\n\n{}", path.empty() ? "Start here" : "Examples", text, kCommon);
  return std::string(kCommon);
}

}  // namespace stoa::cli
