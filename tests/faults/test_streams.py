"""Clients that go away, and a server that is told to stop, while answers are being written."""
import http.client
import json
import signal
import socket
import threading
import time

from conftest import engine
from stoa_server import wait_until

MODEL = "smollm2-135m-instruct"


def open_stream(server, tokens, prompt="Count slowly from one to one thousand."):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": True, "max_tokens": tokens, "temperature": 0, "stop": ["never-said"]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {server.secret}", "Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    return connection, reply


def test_a_client_that_goes_away_frees_its_slot(server_with_models):
    server = server_with_models
    slots = engine(server)["slots"]
    for _ in range(2):  # more clients than slots, twice
        streams = [open_stream(server, 1500) for _ in range(slots)]
        for _, reply in streams:
            assert reply.readline().startswith(b"data:")
        assert engine(server)["running"] > 0
        for connection, reply in streams:
            reply.close()
            connection.sock and connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        wait_until(lambda: engine(server)["running"] == 0, 10, "every slot is free again")
    assert engine(server)["kv_bytes_used"] == 0, "and so is its memory"
    answer = server.ok("POST", "/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4})
    assert answer["usage"]["completion_tokens"] > 0


def test_sigterm_lets_answers_end(server_with_models):
    server = server_with_models
    connection, reply = open_stream(server, 200)
    assert reply.readline().startswith(b"data:")
    server.process.send_signal(signal.SIGTERM)
    text = reply.read()
    assert text.rstrip().endswith(b"data: [DONE]"), text[-300:]
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith(b"data: {")]
    assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    connection.close()
    assert server.process.wait(timeout=20) == 0
    server.start()  # and what it did is in the ledger
    usage = server.ok("GET", "/v1/stoa/usage?by=kind")["data"]
    assert sum(row["completion_tokens"] for row in usage) > 0


def test_sigterm_refuses_new_work(server_with_models):
    server = server_with_models
    connection, reply = open_stream(server, 400)
    assert reply.readline().startswith(b"data:")
    server.process.send_signal(signal.SIGTERM)
    refused = threading.Event()

    def knock():
        for _ in range(200):
            try:
                status, _ = server.call("GET", "/v1/models", timeout=2)
                if status == 503:
                    return refused.set()
            except (OSError, http.client.HTTPException):
                return refused.set()
            time.sleep(0.01)

    knock()
    assert refused.is_set(), "a draining server takes no new requests"
    connection.close()
    assert server.process.wait(timeout=40) == 0


def test_an_idle_server_stops_at_once(server):
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=10) == 0
    assert time.monotonic() - started < 5
