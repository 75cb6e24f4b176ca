"""Errors, authentication, retries, and streams that fail on the way."""
import json
import socket
import time
import urllib.error
import urllib.request

import openai
import pytest

from proxy import Proxy
from stoa_server import CHAT, Stoa, need_models

MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT_CALL = {"model": CHAT, "messages": MESSAGES, "max_tokens": 8, "temperature": 0}
LONG_CALL = {"model": CHAT, "messages": [{"role": "user", "content": "Write a very long story about the sea."}], "max_tokens": 1500, "temperature": 0,
             "extra_body": {"repetition_penalty": 1.1}}


def post(server, key, body, path="/v1/chat/completions", headers=None):
    request = urllib.request.Request(server.url + path, data=body, method="POST",
                                     headers={"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, dict(reply.headers), json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, json.loads(error.read())


# --- authentication

@pytest.mark.parametrize("bad", ["sk-stoa-wrong", "x", "sk-stoa-" + "a" * 400])
def test_wrong_key(connect, bad):
    with pytest.raises(openai.AuthenticationError) as caught:
        connect(api_key=bad).models.list()
    assert caught.value.code == "invalid_api_key" and caught.value.request_id


def test_missing_key(server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(server.url + "/v1/models")
    assert caught.value.code == 401 and json.loads(caught.value.read())["error"]["code"] == "invalid_api_key"


def test_revoked_key(server, connect):
    issued = server.json("keys", "create", "--project", "default", "--user", "rob", "--role", "developer")
    client = connect(api_key=issued["key"])
    client.models.list()
    server.json("keys", "revoke", issued["key"].split("-")[2])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # other processes see it within a few seconds
        try:
            client.models.list()
            time.sleep(0.2)
        except openai.AuthenticationError:
            return
    raise AssertionError("a revoked key still works after 10 s")


def test_expired_key(server, connect):
    client = connect(api_key=server.key("tom", "developer", "--expires", "1s"))
    time.sleep(1.2)
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_viewer_may_not_generate(server, connect):
    client = connect(api_key=server.key("vic", "viewer"))
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(**CHAT_CALL)


# --- bad requests

@pytest.mark.parametrize("change, param", [
    ({"temperature": 3}, "temperature"), ({"n": 129}, "n"), ({"max_tokens": 0}, "max_tokens"), ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]}, "messages[0].content[0].image_url.url"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"), ({"top_logprobs": 3}, "top_logprobs"), ({"stop": [""]}, "stop")])
def test_bad_parameter_is_named(client, change, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**CHAT_CALL, **change})
    assert caught.value.param == param and caught.value.type == "invalid_request_error" and param.split(".")[0] in caught.value.message


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**{**CHAT_CALL, "model": "gpt-99"})
    assert caught.value.code == "model_not_found" and caught.value.param == "model"


def test_context_overflow(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{**CHAT_CALL, "messages": [{"role": "user", "content": "word " * 20000}]})
    assert caught.value.code == "context_length_exceeded" and caught.value.param == "messages"


def test_context_overflow_in_a_stream_is_a_plain_error(client):
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**{**CHAT_CALL, "messages": [{"role": "user", "content": "word " * 20000}], "stream": True})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "\xff\xfe"}', b'{"a":' * 5000 + b"1" + b"}" * 5000, b"\x00\x01", b'{"model": 1e999}'])
def test_broken_json(server, key, body):
    status, headers, reply = post(server, key, body)
    assert status == 400 and reply["error"]["type"] == "invalid_request_error" and reply["error"]["message"]
    assert headers["x-request-id"].startswith("req_")


def test_body_too_large(server, key):
    status, headers, reply = post(server, key, b'{"a":"' + b"x" * (9 << 20) + b'"}')
    assert status == 413 and reply["error"]["message"] and headers["x-request-id"].startswith("req_")


def test_unknown_route_and_method(server, key):
    assert post(server, key, b"{}", path="/v1/nothing")[0] == 404
    assert post(server, key, b"{}", path="/v1/models")[0] == 405


def test_errors_say_whether_to_retry(server, key):
    assert post(server, key, b"{}")[1]["x-should-retry"] == "false"


def test_malformed_header_is_a_bad_request(connect):
    with pytest.raises(openai.BadRequestError) as caught:
        connect(api_key="sk-\x7f").models.list()
    assert "malformed HTTP request" in caught.value.message and caught.value.type == "invalid_request_error" and caught.value.request_id


# --- retries and failures on the way

@pytest.mark.parametrize("status", [429, 503])
def test_sdk_retries_after_overload(server, connect, status):
    with Proxy(server.url, refusals=[(status, {"retry-after": "0"}), (status, {"retry-after-ms": "10"})]) as proxy:
        answer = connect(base_url=proxy.url + "/v1", max_retries=2).chat.completions.create(**CHAT_CALL)
        assert answer.choices[0].message.content and proxy.requests == 3


def test_sdk_gives_up_with_the_right_class(server, connect):
    with Proxy(server.url, refusals=[(429, {"retry-after": "0"})] * 2) as proxy:
        with pytest.raises(openai.RateLimitError):
            connect(base_url=proxy.url + "/v1", max_retries=1).chat.completions.create(**CHAT_CALL)


def test_connection_cut_in_mid_stream_is_an_error(server, connect):
    with Proxy(server.url, cut_after=2000) as proxy:
        with pytest.raises(Exception) as caught:
            for _ in connect(base_url=proxy.url + "/v1").chat.completions.create(**LONG_CALL, stream=True):
                pass
    assert not isinstance(caught.value, AssertionError)


def test_failure_in_mid_stream_is_told(tmp_path):
    """A request that runs out of time after its first tokens: the chat stream carries the error and no [DONE]."""
    need_models()
    slow = Stoa(tmp_path, environment={"STOA_LIMITS_REQUEST_SECONDS": "1"}).start()
    try:
        client = openai.OpenAI(api_key=slow.key(), base_url=slow.url + "/v1", max_retries=0)
        for _ in range(5):  # a busy machine may need all the time for the first token
            seen = 0
            with pytest.raises(openai.APIError) as caught:
                for chunk in client.chat.completions.create(**{**LONG_CALL, "max_tokens": 6000, "n": 4}, stream=True):
                    seen += 1
            if seen > 0:
                break
        assert seen > 0 and not isinstance(caught.value, openai.APIConnectionError)
        for _ in range(5):
            events = [event.type for event in client.responses.create(model=CHAT, input="Write a very long story about the sea.", stream=True,
                                                                      temperature=0, max_output_tokens=6000, extra_body={"repetition_penalty": 1.1})]
            if "response.output_text.delta" in events:
                break
        assert events[-1] == "response.failed" and "response.output_text.delta" in events
    finally:
        slow.stop()


def test_server_killed_in_mid_stream_is_an_error(tmp_path):
    need_models()
    doomed = Stoa(tmp_path).start()
    try:
        client = openai.OpenAI(api_key=doomed.key(), base_url=doomed.url + "/v1", max_retries=0)
        with pytest.raises(Exception):
            for count, _ in enumerate(client.chat.completions.create(**LONG_CALL, stream=True)):
                if count == 2:
                    doomed.kill()
    finally:
        doomed.kill()


def test_client_gone_before_the_answer(server, key, client):
    body = json.dumps({**{k: v for k, v in LONG_CALL.items() if k != "extra_body"}, "n": 4}).encode()
    for _ in range(8):  # more than the engine has slots: they must not stay taken
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key.encode() +
                               b"\r\ncontent-type: application/json\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
            time.sleep(0.05)
    assert client.with_options(timeout=30).chat.completions.create(**CHAT_CALL).choices[0].message.content
