"""The official AWS SDK (boto3, bedrock-runtime): Converse and ConverseStream over a local model and over a provider, with an API key of Stoa as the bearer token."""
import json

import boto3
import botocore
import botocore.config
import botocore.exceptions
import pytest

from certificates import write_certificate
from replays import BEDROCK_STREAM, Upstream, aws_message
from stoa_server import CHAT, Stoa

QUESTION = [{"role": "user", "content": [{"text": "What is the capital of France? Answer in one word."}]}]
WEATHER = {"toolSpec": {"name": "weather", "description": "The weather of a city.", "strict": True, "inputSchema": {"json": {
    "type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}}}}
COLOUR = {"type": "object", "properties": {"colour": {"enum": ["red", "green"]}}, "required": ["colour"], "additionalProperties": False}
PIXEL = b"\x89PNG\r\n\x1a\n"


def connect(url, **options):
    return boto3.client("bedrock-runtime", region_name="eu-central-1", endpoint_url=url, config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=120, **options.pop("config", {})), **options)


def with_key(url, key):
    """Over plain HTTP the SDK sends no bearer token by itself."""
    client = connect(url, config={"signature_version": botocore.UNSIGNED})
    client.meta.events.register("before-send.bedrock-runtime", lambda request, **_: request.headers.__setitem__("Authorization", "Bearer " + key))
    return client


@pytest.fixture
def bedrock(server, key):
    return with_key(server.url, key)


def ask(client, stream=False, **options):
    body = {"modelId": CHAT, "messages": QUESTION, "inferenceConfig": {"maxTokens": 24, "temperature": 0}} | options
    return client.converse_stream(**body)["stream"] if stream else client.converse(**body)


def text_of(answer):
    return "".join(block.get("text", "") for block in answer["output"]["message"]["content"])


def collect(events):
    """A stream put together: its text, the calls of tools, and the last events."""
    text, calls, order, final = "", {}, [], {}
    for event in events:
        (name, payload), = event.items()
        order.append(name)
        delta = payload.get("delta", {})
        text += delta.get("text", "")
        if name == "contentBlockStart":
            calls[payload["contentBlockIndex"]] = {**payload["start"]["toolUse"], "input": ""}
        if "toolUse" in delta:
            calls[payload["contentBlockIndex"]]["input"] += delta["toolUse"]["input"]
        if name in ("messageStop", "metadata"):
            final |= payload
    return text, list(calls.values()), order, final


def test_plain_and_stream_are_the_same(bedrock, client):
    plain = ask(bedrock)
    assert "Paris" in text_of(plain) and plain["output"]["message"]["role"] == "assistant"
    assert plain["stopReason"] == "end_turn" and plain["metrics"]["latencyMs"] >= 0
    text, _, order, final = collect(ask(bedrock, stream=True))
    assert text == text_of(plain) and final["stopReason"] == "end_turn"
    assert order[0] == "messageStart" and order[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    for usage in (plain["usage"], final["usage"]):
        assert usage["inputTokens"] + usage["cacheReadInputTokens"] > 10 and usage["outputTokens"] == plain["usage"]["outputTokens"]
    other = client.chat.completions.create(model=CHAT, temperature=0, max_tokens=24, messages=[{"role": "user", "content": QUESTION[0]["content"][0]["text"]}])
    assert other.choices[0].message.content == text and other.usage.prompt_tokens == plain["usage"]["inputTokens"] + plain["usage"]["cacheReadInputTokens"]


def test_why_it_stopped(bedrock):
    assert ask(bedrock, inferenceConfig={"maxTokens": 1, "temperature": 0})["stopReason"] == "max_tokens"
    stopped = ask(bedrock, inferenceConfig={"maxTokens": 24, "temperature": 0, "stopSequences": ["Paris"]}, additionalModelResponseFieldPaths=["/stop_sequence"])
    assert stopped["stopReason"] == "stop_sequence" and stopped["additionalModelResponseFields"] == {"stop_sequence": "Paris"} and "Paris" not in text_of(stopped)


@pytest.mark.parametrize("stream", [False, True])
def test_tools_there_and_back(bedrock, stream):
    turns = [{"role": "user", "content": [{"text": "What is the weather in Paris?"}]}]
    answer = ask(bedrock, stream, messages=turns, inferenceConfig={"maxTokens": 60, "temperature": 0}, toolConfig={"tools": [WEATHER], "toolChoice": {"tool": {"name": "weather"}}})
    if stream:
        _, calls, _, final = collect(answer)
        call, reason = calls[0] | {"input": json.loads(calls[0]["input"])}, final["stopReason"]
    else:
        call, reason = next(block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block), answer["stopReason"]
    assert reason in ("tool_use", "max_tokens") and call["name"] == "weather" and call["input"]["city"] in ("Paris", "Rome")
    turns += [{"role": "assistant", "content": [{"toolUse": call}]},
              {"role": "user", "content": [{"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"weather": "sunny"}}], "status": "success"}}]}]
    assert text_of(ask(bedrock, messages=turns, toolConfig={"tools": [WEATHER]})) is not None


def test_json_schema(bedrock):
    answer = ask(bedrock, messages=[{"role": "user", "content": [{"text": "Name a colour as JSON."}]}], inferenceConfig={"maxTokens": 40, "temperature": 0},
                 outputConfig={"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(COLOUR), "name": "colour"}}}})
    assert json.loads(text_of(answer))["colour"] in ("red", "green")


def test_count_tokens(bedrock):
    counted = bedrock.count_tokens(modelId=CHAT, input={"converse": {"messages": QUESTION, "system": [{"text": "Be brief."}]}})["inputTokens"]
    used = ask(bedrock, system=[{"text": "Be brief."}])["usage"]
    assert counted == used["inputTokens"] + used["cacheReadInputTokens"]


@pytest.mark.parametrize("options, code, status, text", [
    ({"modelId": "gpt-99"}, "ResourceNotFoundException", 404, "gpt-99"),
    ({"messages": [{"role": "user", "content": [{"text": "word " * 9000}]}]}, "ValidationException", 400, "Input is too long"),
    ({"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": PIXEL}}}]}]}, "ValidationException", 400, "reads text, and no images"),
    ({"inferenceConfig": {"temperature": 1.5}}, "ValidationException", 400, "inferenceConfig.temperature"),
    ({"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}, "ValidationException", 400, "guardrailConfig"),
])
def test_errors(bedrock, options, code, status, text):
    for stream in (False, True):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            ask(bedrock, stream, **options)
        answer = caught.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status) and text in answer["Error"]["Message"]
        assert answer["ResponseMetadata"]["RequestId"].startswith("req_")


def test_credentials(server):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        ask(with_key(server.url, "sk-stoa-wrong"))
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_a_stream_that_fails_on_the_way_says_so(bedrock):
    bedrock.meta.events.register("before-send.bedrock-runtime.ConverseStream", lambda request, **_: request.headers.__setitem__("x-stoa-timeout-ms", "1500"))
    for _ in range(5):  # a story may happen to end in time
        text = ""
        try:
            for event in ask(bedrock, stream=True, messages=[{"role": "user", "content": [{"text": "Write a very long story about the sea."}]}], inferenceConfig={"maxTokens": 4000, "temperature": 1}):
                text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        except botocore.exceptions.EventStreamError as failure:
            assert failure.response["Error"]["Code"] == "modelStreamErrorException"
            if text:
                return
        except botocore.exceptions.ClientError as failure:  # its time was over before the first word
            assert failure.response["Error"]["Code"] == "ModelTimeoutException", failure.response
    pytest.fail("five stories ended before their time was over, or had not begun")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """A Stoa without models, with TLS, before a Bedrock that replays."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder, "stoa")
    certificate = str(folder / "cert.pem")
    upstream = Upstream()
    upstream.replies["/model/org.big-v1%3A0/converse-stream"] = (200, "application/vnd.amazon.eventstream", BEDROCK_STREAM)
    prices = tmp_path_factory.mktemp("prices") / "prices.yaml"
    prices.write_text('currency: USD\nas_of: "2026-11-21"\nsource: test\nprices:\n  - model: "aws/*"\n    per_compute_second: 0\n    per_million_input_tokens: 1000000\n'
                      "    per_million_cached_tokens: 0\n    per_million_output_tokens: 2000000\n")
    server = Stoa(tmp_path_factory.mktemp("clouds"), models=False, environment={
        "STOA_EGRESS_PROVIDERS": upstream.url, "STOA_COST_PRICES": str(prices), "STOA_SERVER_TLS_CERT": certificate, "STOA_SERVER_TLS_KEY": str(folder / "key.pem"), "SSL_CERT_FILE": certificate})
    server.url = server.env["STOA_URL"] = server.url.replace("http:", "https:")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", certificate)  # for those who ask whether it is ready
        server.start()
    try:
        server.cli("providers", "add", "aws", "--family", "bedrock", "--url", upstream.url, "--model", "org.big-v1:0=8192", key=server.key("ada", "admin"))
        yield server, upstream, certificate
    finally:
        server.stop()
        upstream.server.shutdown()


def test_through_to_bedrock(monkeypatch, clouds):
    server, upstream, certificate = clouds
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", server.key("ann"))
    client = connect(server.url, verify=certificate)
    request = {"modelId": "aws/org.big-v1:0", "system": [{"text": "Be brief."}], "inferenceConfig": {"maxTokens": 9},
               "messages": [{"role": "user", "content": [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]}]}
    answer = ask(client, **request)
    assert (text_of(answer), answer["stopReason"], answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]) == ("Yes", "end_turn", 9, 1)
    sent = json.loads(upstream.requests[-1][2])
    assert sent["messages"] == [{"role": "user", "content": [{"text": "What is this?"}, {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}]}]
    assert (sent["system"], sent["inferenceConfig"]) == ([{"text": "Be brief."}], {"maxTokens": 9})
    text, _, _, final = collect(ask(client, stream=True, **request))
    assert text == "Yes" and final["usage"]["inputTokens"] == 9
    upstream.replies["/model/org.big-v1%3A0/converse-stream"] = (200, "application/vnd.amazon.eventstream", BEDROCK_STREAM[:200] + aws_message("throttlingException", {"message": "slow down"}, "exception"))
    with pytest.raises((botocore.exceptions.EventStreamError, botocore.exceptions.ClientError)):
        collect(ask(client, stream=True, **request))
    upstream.replies["/model/org.big-v1%3A0/converse-stream"] = (429, "application/json", b'{"message":"slow down"}')
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        ask(client, **request)
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
