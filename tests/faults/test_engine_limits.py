"""Requests that ask the engine for the impossible, the endless or too much, and readers that do not read: refused or served, and nobody else waits for it."""
import http.client
import json
import socket
import threading
import time

import pytest

from conftest import Server, engine
from stoa_server import CHAT, need_models, wait_until

ASK = [{"role": "user", "content": "Say one word."}]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    need_models()
    running = Server(tmp_path_factory.mktemp("limits") / "home", models=True).start()
    yield running
    running.stop()


def start(tmp_path, **settings):
    need_models()
    environment = {"STOA_ENGINE_" + name.upper(): str(value) for name, value in settings.items()}
    running = Server(tmp_path / "home", models=True)
    running.env.update(environment)
    return running.start()


def chat(server, headers=None, **fields):
    body = {"model": CHAT, "messages": ASK, "temperature": 0, "max_tokens": 8, **fields}
    status, text = server.call("POST", "/v1/chat/completions", body, headers, timeout=120)
    return status, json.loads(text)


def schema(value):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "thing", "schema": value}}}


def nested(depth):
    value = {"type": "string"}
    for _ in range(depth):
        value = {"type": "object", "properties": {"a": value, "b": value}, "required": ["a", "b"]}
    return value


def ring(length):
    return {"$ref": "#/$defs/d0", "$defs": {f"d{i}": {"$ref": f"#/$defs/d{(i + 1) % length}"} for i in range(length)}}


TREE = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {"name": {"enum": ["x", "y"]}, "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                                                   "required": ["name", "left"], "additionalProperties": False}}}
ENDLESS = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}}}

REFUSED = {
    "contradicting lengths": schema({"type": "string", "minLength": 5, "maxLength": 2}),
    "contradicting bounds": schema({"type": "integer", "minimum": 5, "maximum": 2}),
    "empty enum": schema({"enum": []}),
    "false": schema({"type": "object", "properties": {"a": False}, "required": ["a"]}),
    "reference to itself": schema({"$ref": "#"}),
    "ring of references": schema(ring(50)),
    "recursion without an end": schema(ENDLESS),
    "a hundred thousand objects": schema(nested(16)),
    "a hundred thousand names": schema({"enum": [f"name {i} {'x' * 40}" for i in range(100_000)]}),
    "more items than can be counted": schema({"type": "array", "items": {"type": "integer"}, "maxItems": 1_000_000}),
    "a deep tree": schema({"allOf": [nested(3)] * 500}),
    "exponential expression": {"guided_regex": "(a|b)*a" + "(a|b)" * 30},
    "powers of repetition": {"guided_regex": "(((((a{0,50}){0,50}){0,50}){0,50}){0,50}){0,50}b"},
    "unbalanced expression": {"guided_regex": "(" * 5000},
    "left recursion": {"guided_grammar": "root ::= root \"a\" | \"b\""},
    "grammar without an end": {"guided_grammar": "root ::= \"a\" root"},
    "endless grammar": {"guided_grammar": "root ::= " + "(" * 3000 + "\"a\"" + ")" * 3000},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_enforced_is_refused(server, name):
    others = []
    beside = threading.Thread(target=lambda: others.append(chat(server, max_tokens=40)))
    beside.start()
    began = time.monotonic()
    status, answer = chat(server, **REFUSED[name])
    assert status in (400, 413), answer
    assert time.monotonic() - began < 30
    assert answer["error"]["message"] and (status == 413 or answer["error"]["param"]), answer
    beside.join(timeout=60)
    assert others and others[0][0] == 200, others
    wait_until(lambda: engine(server)["running"] == 0, 10, "its slot is free")


@pytest.mark.parametrize("value", [TREE, {"type": "array", "items": {"type": "integer"}, "maxItems": 100_000}, {"type": "string", "maxLength": 100_000}], ids=["recursive", "array", "string"])
def test_what_is_large_but_possible_is_served(server, value):
    status, answer = chat(server, max_tokens=60, **schema(value))
    assert status == 200, answer
    choice = answer["choices"][0]
    if choice["finish_reason"] == "stop":
        json.loads(choice["message"]["content"])
    else:
        assert choice["finish_reason"] == "length"


def test_a_strict_tool_with_an_impossible_schema_is_named(server):
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object", "properties": {"a": {"type": "string", "minLength": 3, "maxLength": 1}}, "required": ["a"]}}}
    status, answer = chat(server, tools=[tool])
    assert status == 400 and answer["error"]["param"] == "tools" and "'f'" in answer["error"]["message"], answer


def test_more_than_the_pool_of_keys_and_values(tmp_path):
    server = start(tmp_path, kv_bytes="8MiB")
    try:
        # What fits one by one is served, also when all of it together does not, and while what does not fit at all is refused.
        done = []
        readers = [threading.Thread(target=lambda i=i: done.append(chat(server, messages=[{"role": "user", "content": f"{i} " * 60}], max_tokens=60))) for i in range(8)]
        for reader in readers:
            reader.start()
        status, answer = chat(server, messages=[{"role": "user", "content": "word " * 2000}])
        assert status == 400 and answer["error"]["code"] == "context_length_exceeded" and answer["error"]["param"] == "messages", answer
        assert "tokens" in answer["error"]["message"], answer
        for reader in readers:
            reader.join(timeout=120)
        assert [status for status, _ in done] == [200] * 8, done
        wait_until(lambda: engine(server)["kv_bytes_used"] == 0, 10, "every page is free")
    finally:
        server.stop()


def unread(server, tokens):
    """A client that asks for a long and wide stream and does not read it: a token is kilobytes with its alternatives, and the server takes on half a
    megabyte for it, so that a small part of the answer fills all there is."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    body = json.dumps({"model": CHAT, "messages": [{"role": "user", "content": "Count from one to one thousand."}], "stream": True, "max_tokens": tokens,
                       "temperature": 0.7, "logprobs": True, "top_logprobs": 20, "logit_bias": {"0": -100, "2": -100}})
    connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.secret}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return connection


def test_clients_that_do_not_read_stall_nobody(tmp_path):
    server = start(tmp_path, slots=2)
    stuck = []
    try:
        stuck = [unread(server, 4000) for _ in range(2)]  # as many as there are slots
        wait_until(lambda: engine(server)["running"] == 2, 20, "both slots are taken")
        for _ in range(3):
            status, answer = chat(server)
            assert status == 200, answer
        taken = [line for line in server.call("GET", "/metrics")[1].decode().splitlines() if line.startswith("stoa_engine_preemptions_total")]
        assert sum(float(line.split()[-1]) for line in taken) >= 1, "the slots of those who do not read were taken"
        for connection in stuck:
            connection.close()
        wait_until(lambda: engine(server)["running"] + engine(server)["waiting"] == 0, 30, "all of them are gone")
        assert engine(server)["kv_bytes_used"] == 0
    finally:
        for connection in stuck:
            connection.close()
        server.stop()


def test_a_deadline_of_the_caller_ends_its_request_only(server):
    others = []
    beside = threading.Thread(target=lambda: others.append(chat(server, max_tokens=60)))
    beside.start()
    status, answer = chat(server, {"x-stoa-timeout-ms": "150"}, max_tokens=3000, messages=[{"role": "user", "content": "Tell a very long story."}], stop=["never-said"])
    assert status in (503, 504), answer
    assert "deadline" in answer["error"]["message"] or "has to be done" in answer["error"]["message"], answer
    beside.join(timeout=60)
    assert others[0][0] == 200
    wait_until(lambda: engine(server)["running"] == 0, 10, "its slot is free")


def test_a_deadline_in_mid_stream_is_told(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = {"model": CHAT, "messages": [{"role": "user", "content": "Tell a very long story."}], "stream": True, "max_tokens": 5000, "temperature": 1.5, "logit_bias": {"2": -100, "0": -100}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body),
                       {"Authorization": f"Bearer {server.secret}", "Content-Type": "application/json", "x-stoa-timeout-ms": "2500"})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    if reply.status == 200:  # else it did not even begin in time
        assert "[DONE]" not in text and '"error"' in text.strip().splitlines()[-1], text[-500:]
    else:
        assert reply.status in (503, 504), text
