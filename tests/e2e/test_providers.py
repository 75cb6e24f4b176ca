"""Providers: added, given a credential and checked through the CLI, against a server that replays what upstreams send byte for byte."""
import json
import subprocess

import openai
import pytest

from replays import ANTHROPIC_STREAM, AWS_KEYS, BEDROCK_STREAM, MODELS, OPENAI_STREAM, SAGEMAKER_STREAM, VERTEX_STREAM, Upstream
from stoa_server import BINARY, Stoa, free_port

@pytest.fixture(scope="module")
def upstream():
    made = Upstream()
    made.replies = {
        "/v1/models": (200, "application/json", MODELS), "/v1/models?limit=1000": (200, "application/json", MODELS),
        "/v1/chat/completions": (200, "text/event-stream", OPENAI_STREAM), "/v1/messages": (200, "text/event-stream", ANTHROPIC_STREAM),
        "/openai/models?api-version=2024-10-21": (401, "application/json", b'{"error":{"code":"401","message":"Access denied due to invalid subscription key sk-12345678."}}'),
    }
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory, upstream):
    prices = tmp_path_factory.mktemp("prices") / "prices.yaml"
    price = "per_compute_second: 0\n    per_million_input_tokens: 1000000\n    per_million_cached_tokens: 0\n    per_million_output_tokens: 2000000\n"
    prices.write_text('currency: USD\nas_of: "2026-11-21"\nsource: test\nprices:\n' + "".join(f'  - model: "{name}"\n    {price}' for name in ("openai/*", "anthropic/*", "broken/*", "bedrock/*", "bedrock-key/*", "sagemaker/*", "vertex/*", "gemini/*")))
    running = Stoa(tmp_path_factory.mktemp("providers"), models=False, environment={"STOA_EGRESS_PROVIDERS": upstream.url, "STOA_COST_PRICES": str(prices)}).start()
    running.admin = running.key("ada", "admin")
    yield running
    running.stop()


def set_key(server, name, text, key=None):
    return subprocess.run([BINARY, "providers", "set-key", name], env={**server.env, "STOA_API_KEY": key or server.admin}, input=text, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("family,url,header,value", [("openai", "/v1", "Authorization", "Bearer sk-secret-1"), ("anthropic", "", "x-api-key", "sk-secret-1")])
def test_a_provider_from_adding_to_answering(server, upstream, family, url, header, value):
    cli = lambda *words, **more: server.cli("providers", *words, key=server.admin, **more)
    assert "set-key " + family in cli("add", family, "--family", family, "--url", upstream.url + url, "--model", "big=8192", "--model", "gone", "--residency", "eu-1").stdout
    assert cli("add", family, "--family", family, "--url", upstream.url, check=False).returncode == 1  # there is one of that name
    assert "not set" in cli("show", family).stdout
    done = set_key(server, family, "sk-secret-1\n")
    assert done.returncode == 0 and "sk-secret" not in done.stdout
    checked = cli("check", family, "--model", "big")
    assert "reached: 2 models" in checked.stdout and "gone is not among its models" in checked.stdout and "big: answered" in checked.stdout
    asked = lambda: openai.OpenAI(base_url=server.url + "/v1", api_key=server.key("ann"), max_retries=0)
    answer = asked().chat.completions.create(model=f"{family}/big", messages=[{"role": "user", "content": "Well?"}])  # callers name provider and model
    assert answer.choices[0].message.content == "Yes" and answer.choices[0].finish_reason == "stop" and answer.usage.prompt_tokens in (11, 9)
    pieces = list(asked().chat.completions.create(model=f"{family}/big", messages=[{"role": "user", "content": "Well?"}], stream=True))
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "Yes"
    with pytest.raises(openai.NotFoundError):
        asked().chat.completions.create(model=f"{family}/unknown", messages=[{"role": "user", "content": "Well?"}])
    assert all({name.lower(): text for name, text in headers.items()}[header.lower()] == value for _, headers, _ in upstream.requests[-2:])
    shown = server.json("providers", "show", family, key=server.admin)
    assert shown["credential"]["set"] and shown["models"][0] == {"name": "big", "context_length": 8192}
    assert "sk-secret" not in server.cli("--json", "providers", "list", key=server.admin).stdout + server.log_text()
    set_key(server, family, "sk-secret-2")  # used at once
    cli("check", family)
    assert "sk-secret-2" in str(upstream.requests[-1][1])
    assert not shown["on_prem"] and "credential" in cli("add", family, "--replace", "--family", family, "--url", upstream.url.replace("127.0.0.1", "localhost") + url).stdout
    assert not server.json("providers", "show", family, key=server.admin)["credential"]["set"]  # another host: nobody has the credential sent there
    cli("remove", family)
    assert cli("show", family, check=False).returncode == 5
    actions = [entry["action"] for entry in server.json("audit", "list", "-n", "1000", key=server.admin)["data"] if entry["resource"] == f"provider {family}"]
    assert actions == ["provider.add", "provider.credential.set", "provider.credential.set", "provider.change", "provider.remove"]


def service_account(upstream):
    """A file as Google gives it out, of many lines, whose tokens come from the upstream."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    pem = rsa.generate_private_key(65537, 2048).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    upstream.replies["/token"] = (200, "application/json", b'{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}')
    return json.dumps({"type": "service_account", "private_key_id": "k1", "private_key": pem, "client_email": "me@project.example", "token_uri": upstream.url + "/token"}, indent=2)


VERTEX_PLACE = "/v1/projects/p/locations/eu-1/publishers/google"


@pytest.mark.parametrize("name,family,place,options,path,reply,listed,credential,header,value", [
    ("bedrock", "bedrock", "", ["region=eu-1"], "/model/org.big-v1%3A0/converse-stream", ("application/vnd.amazon.eventstream", BEDROCK_STREAM), "/foundation-models", AWS_KEYS,
     "Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
    ("bedrock-key", "bedrock", "", [], "/model/org.big-v1%3A0/converse-stream", ("application/vnd.amazon.eventstream", BEDROCK_STREAM), "/foundation-models", "bedrock-api-key-1", "Authorization", "Bearer bedrock-api-key-1"),
    ("sagemaker", "sagemaker", "", ["region=eu-1"], "/endpoints/org.big-v1%3A0/invocations-response-stream", ("application/vnd.amazon.eventstream", SAGEMAKER_STREAM), None, AWS_KEYS,
     "Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"),
    ("vertex", "vertex", VERTEX_PLACE, ["thinking=level"], VERTEX_PLACE + "/models/org.big-v1%3A0:streamGenerateContent?alt=sse", ("text/event-stream", VERTEX_STREAM),
     "/v1beta1/publishers/google/models?pageSize=1000", service_account, "Authorization", "Bearer ya29.token"),
    ("gemini", "vertex", "/v1beta", [], "/v1beta/models/org.big-v1%3A0:streamGenerateContent?alt=sse", ("text/event-stream", VERTEX_STREAM), "/v1beta/models?pageSize=1000", "AIza-key-1", "x-goog-api-key", "AIza-key-1"),
])
def test_clouds(server, upstream, name, family, place, options, path, reply, listed, credential, header, value):
    cli = lambda *words, **more: server.cli("providers", *words, key=server.admin, **more)
    upstream.replies[path] = (200, *reply)
    lists = {"/foundation-models": {"modelSummaries": [{"modelId": "org.big-v1:0"}]}, "/v1beta/models?pageSize=1000": {"models": [{"name": "models/org.big-v1:0"}]}}
    if listed:
        upstream.replies[listed] = (200, "application/json", json.dumps(lists.get(listed, {"publisherModels": [{"name": "publishers/google/models/org.big-v1:0"}]})).encode())
    cli("add", name, "--family", family, "--url", upstream.url + place, "--model", "org.big-v1:0=8192", *[word for option in options for word in ("--option", option)])
    secret = credential(upstream) if callable(credential) else credential
    done = set_key(server, name, secret)
    assert done.returncode == 0, done.stderr
    checked = cli("check", name, "--model", "org.big-v1:0").stdout
    assert ("reached: 1 model" if listed else "cannot be asked which models it has") in checked and "not among" not in checked and "org.big-v1:0: answered" in checked
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=server.key("ann"), max_retries=0)
    ask = lambda **more: client.chat.completions.create(model=f"{name}/org.big-v1:0", messages=[{"role": "user", "content": "Well?"}], **more)
    assert (ask().choices[0].message.content, ask().usage.prompt_tokens) == ("Yes", 11 if family == "sagemaker" else 9)
    assert "".join(piece.choices[0].delta.content or "" for piece in ask(stream=True) if piece.choices) == "Yes"
    sent = {key.lower(): text for key, text in upstream.requests[-1][1].items()}
    assert sent[header.lower()].startswith(value)
    if callable(credential):
        assert sum(asked == "/token" for asked, _, _ in upstream.requests) == 1  # one token for all
    upstream.replies[path] = (200, reply[0], reply[1][:-20])  # cut off
    with pytest.raises(openai.APIError):
        list(ask(stream=True))
    upstream.replies[path] = (429, "application/json", b'{"message":"slow down"}')
    with pytest.raises(openai.RateLimitError):
        ask()
    assert "EXAMPLEKEY" not in server.log_text() and "PRIVATE" not in server.log_text()


def test_credentials_have_the_family_s_shape(server, upstream):
    for family, wrong in (("bedrock", '{"AccessKeyId": "a"}'), ("sagemaker", "no-pair"), ("vertex", '{"type": "service_account"}')):
        server.cli("providers", "add", "shape-" + family, "--family", family, "--url", upstream.url, key=server.admin)
        refused = set_key(server, "shape-" + family, wrong)
        assert refused.returncode == 2 and "credential" in refused.stderr + refused.stdout or "service account" in refused.stderr, refused


def test_what_is_wrong_is_said_with_the_next_step(server, upstream):
    cli = lambda *words: server.cli("providers", *words, key=server.admin, check=False)
    cli("add", "azure", "--family", "azure", "--url", upstream.url, "--model", "big")
    set_key(server, "azure", "sk-12345678")
    refused = cli("check", "azure")
    assert refused.returncode == 1 and "answered 401" in refused.stdout and "refused the credential" in refused.stdout and "stoa providers set-key" in refused.stdout and "sk-12345678" not in refused.stdout
    cli("add", "dead", "--family", "openai", "--url", f"{upstream.url}/elsewhere")
    assert "404" in cli("check", "dead").stdout
    cli("add", "outside", "--family", "openai", "--url", f"http://127.0.0.1:{free_port()}/v1")
    assert "egress.providers" in cli("check", "outside").stdout  # the configuration says where requests may go
    assert "did you mean 'openai'" in cli("add", "x", "--family", "opnai", "--url", "https://a.example").stderr
    assert cli("add", "x", "--family", "openai", "--url", "file:///etc/passwd").returncode == 2
    assert set_key(server, "azure", "").returncode == 2
    assert set_key(server, "azure", "x", key=server.key("bob", "developer")).returncode == 4


def test_a_stream_that_breaks_is_an_error(server, upstream):
    server.cli("providers", "add", "broken", "--family", "openai", "--url", upstream.url + "/broken", "--model", "big", key=server.admin)
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=server.key("ann"), max_retries=0)
    ask = lambda **more: client.chat.completions.create(model="broken/big", messages=[{"role": "user", "content": "Well?"}], **more)
    upstream.replies["/broken/chat/completions"] = (200, "text/event-stream", OPENAI_STREAM[:200])
    with pytest.raises(openai.APIError):
        list(ask(stream=True))
    with pytest.raises(openai.InternalServerError):
        ask()
    upstream.replies["/broken/chat/completions"] = (429, "application/json", b'{"error":{"message":"slow down","type":"rate_limit_error"}}')
    with pytest.raises(openai.RateLimitError):
        ask()


def test_credentials_are_not_in_the_data_folder(server, upstream):
    server.cli("providers", "add", "sealed", "--family", "openai", "--url", upstream.url + "/v1", key=server.admin)
    set_key(server, "sealed", "sk-that-nobody-finds-5309")
    files = [path for path in server.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 5 and not any(b"sk-that-nobody-finds-5309" in path.read_bytes() for path in files)
