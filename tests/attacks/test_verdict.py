"""After all attacks (files run in the order of their names): the server lives, its logs are whole, and each refusal stands in the audit log."""
import json
import re
import sqlite3
import subprocess

import pytest

from attacker import raw
from routes import pattern_of
from stoa_server import BINARY, wait_until
from test_transport import INJECTED


def all_entries(admin):
    entries, after = [], 0
    while True:
        page = admin.ok("GET", f"/v1/stoa/audit?limit=1000&after={after}")["data"]
        entries += page
        if len(page) < 1000:  # looking is told as well, so there is always one more
            return entries
        after = page[-1]["sequence"]


def secrets_in(world, text):
    """Where keys or content stand in a text. Of keys and tokens it looks for the last 40 characters: too many to stand there by chance."""
    ends = [caller.key[-40:] for caller in world.callers.values() if caller.key and len(caller.key) > 60]
    return [text[max(0, match.start() - 200):match.end() + 50] for secret in [*ends, "florins"] for match in re.finditer(re.escape(secret), text)][:3]


@pytest.fixture(scope="module")
def entries(world):
    """By request id, of both tenants."""
    return {entry["request_id"]: entry for admin in (world.adam, world.boris) for entry in all_entries(admin)}


def test_each_refusal_is_in_the_audit_log(world, entries):
    patterns = {route["pattern"] for route in world.adam.ok("GET", "/v1/stoa/routes")["data"] if not route["public"]}
    told = [refused for refused in world.refused if refused.status in (403, 404) and pattern_of(refused.path, patterns)]
    assert told, "run the whole suite"
    missing = [refused for refused in told if refused.request_id not in entries]
    assert not missing, f"{len(missing)} of {len(told)} refusals are not in the audit log: {missing[:5]}"
    wrong = [(refused, entries[refused.request_id]) for refused in told if entries[refused.request_id]["outcome"] == "allowed"]
    assert not wrong, wrong[:5]
    for refused in told:
        if refused.status == 403:
            assert entries[refused.request_id]["outcome"] == "denied" and entries[refused.request_id]["reason"], refused


def test_attempts_of_strangers_are_counted(world):
    """However many they were: one entry for an address and minute, when the minute has passed, and until then a row that counts."""
    with sqlite3.connect(f"file:{world.server.home}/stoa.db?mode=ro", uri=True, timeout=30) as database:

        def minutes():
            entered = world.adam.ok("GET", "/v1/stoa/audit?action=identity.authenticate&limit=1000")["data"]
            return len(entered) + database.execute("SELECT COUNT(*) FROM audit_strangers WHERE status = 401").fetchone()[0]

        world.stranger.call("GET", "/v1/files")
        wait_until(minutes, 10, "an attempt without a credential is counted")
        assert minutes() < 20, "they cannot fill the store"


def test_requests_that_are_refused_before_anybody_is_known_are_counted(world):
    """What the other files have sent, and one of each kind more: by address, status and minute, with what the first of them was."""
    key = f"Authorization: Bearer {world.olga.key}\r\n".encode()
    raw(world.server.port, b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n" + key + b"\r\n0\r\n\r\nGET /", seconds=3)
    raw(world.server.port, b"DELETE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    raw(world.server.port, b"GET /nowhere-at-all?token=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    raw(world.server.port, b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n")
    raw(world.server.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n")

    def counted():
        """Status -> how many, in the log and in the minutes that are not over."""
        counts = {}
        for entry in world.adam.ok("GET", "/v1/stoa/audit?action=http.refuse&limit=1000")["data"]:
            assert entry["outcome"] == "denied" and entry["count"] >= 1 and entry["principal"] == "", entry
            told = entry["reason"].partition(":")[0]
            status = int(told) if told.isdigit() else told  # of what a route refused, the name of the error
            counts[status] = counts.get(status, 0) + entry["count"]
        with sqlite3.connect(f"file:{world.server.home}/stoa.db?mode=ro", uri=True, timeout=30) as database:
            rows = database.execute("SELECT status, count, address, resource, reason FROM audit_strangers WHERE status <> 401").fetchall()
        assert len(rows) < 50, "they cannot fill the store"
        for status, count, address, resource, reason in rows:
            assert address == "127.0.0.1" and secrets_in(world, resource + reason) == [] and "token=x" not in resource, resource
            counts[status] = counts.get(status, 0) + count
        return counts

    wait_until(lambda: {400, 404, 405, 413, 431} <= set(counted()), 10, "each kind of refusal is counted")


def test_the_audit_log_holds_no_secrets(world, entries):
    text = json.dumps(list(entries.values()))
    assert secrets_in(world, text) == []


def test_the_audit_log_is_whole(world, tmp_path):
    found = world.adam.ok("GET", "/v1/stoa/audit/check")
    assert found["intact"], found
    for name in ("adam", "boris"):
        key = world.callers[name].ok("GET", "/v1/stoa/audit/checkpoint")["key"]
        path = tmp_path / name
        world.server.cli("audit", "export", str(path), key=world.callers[name].key)
        done = subprocess.run([BINARY, "audit", "verify", str(path), "--key", key, "--json"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and json.loads(done.stdout)["intact"], done.stdout


def test_the_log_of_the_server_is_whole(world):
    """Each line is one JSON object that the server has written; nobody else has written one, and no secret is in it."""
    assert world.server.process.poll() is None, world.server.log_text()[-3000:]
    text = world.server.log_text()
    for line in text.splitlines():
        told = json.loads(line)
        assert {"time", "level", "message"} <= set(told) and told["message"] != INJECTED, line
        assert told["message"] != "handler failed", line
    assert secrets_in(world, text) == []
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text) is None, "control characters in the log"
