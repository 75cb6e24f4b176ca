"""The edges of the process: certificates exchanged while it serves, listeners by role, waits after failed attempts, and no secret where others look."""
import http.client
import json
import pathlib
import signal
import socket
import ssl
import stat
import subprocess
import time

import pytest

from certificates import write_certificate
from stoa_server import BINARY, Stoa, free_port, wait_until


def ask(port, method, path, key=None, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})})
        reply = connection.getresponse()
        return reply.status, dict((name.lower(), value) for name, value in reply.getheaders()), reply.read().decode(errors="replace")
    finally:
        connection.close()


class Shown:
    """What a TLS handshake with the server shows: certificate and version."""

    def __init__(self, port):
        context = ssl._create_unverified_context()
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5))
        self.certificate, self.version = self.socket.getpeercert(binary_form=True), self.socket.version()

    def get(self, path):
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        return self.socket.recv(65536)


def test_certificates_are_exchanged_while_it_serves(tmp_path):
    first = write_certificate(tmp_path, "first")
    server = Stoa(tmp_path / "home", models=False, environment={"STOA_SERVER_TLS_CERT": str(tmp_path / "cert.pem"), "STOA_SERVER_TLS_KEY": str(tmp_path / "key.pem")})
    with open(server.home / "server.log", "ab") as log:
        server.process = subprocess.Popen([BINARY, "serve", "--port", str(server.port)], env=server.env, stdout=log, stderr=log)
    try:
        def up():
            try:
                return Shown(server.port)
            except OSError:
                return None
        wait_until(up, 30, "a handshake")
        before = Shown(server.port)
        assert before.certificate == first and before.version == "TLSv1.3"
        second = write_certificate(tmp_path, "second")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: Shown(server.port).certificate == second, 10, "the second certificate after SIGHUP")
        assert b" 200 " in before.get("/healthz").split(b"\r\n")[0], "a connection outlives the certificate it began with"
        (tmp_path / "cert.pem").write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "stays in use" in server.log_text(), 10, "the refusal of a broken file")
        assert Shown(server.port).certificate == second and str(tmp_path / "cert.pem") in server.log_text()
        third = write_certificate(tmp_path, "third")
        wait_until(lambda: Shown(server.port).certificate == third, 15, "the third certificate without a signal")
        assert "the TLS certificate ends soon" in server.log_text()
        shown = Shown(server.port).get("/metrics").decode(errors="replace")
        assert "stoa_tls_certificate_not_after_seconds" in shown or "200 OK" in shown
        key = server.key("ann", "admin")
        done = server.cli("status", "--url", f"https://127.0.0.1:{server.port}", key=key, check=False)
        assert done.returncode != 0 and "not trusted" in done.stderr
        server.env["SSL_CERT_FILE"] = str(tmp_path / "cert.pem")
        server.cli("status", "--url", f"https://127.0.0.1:{server.port}", key=key)
    finally:
        server.stop()


def test_listeners_serve_their_roles(tmp_path):
    admin, node = free_port(), free_port()
    server = Stoa(tmp_path / "home", models=False, environment={
        "STOA_SERVER_ADMIN_ADDRESS": "127.0.0.1", "STOA_SERVER_ADMIN_PORT": str(admin), "STOA_SERVER_NODE_ADDRESS": "127.0.0.1", "STOA_SERVER_NODE_PORT": str(node)}).start()
    try:
        key = server.key("ann", "admin")
        for path, public, administration, nodes in [
                ("/healthz", 200, 200, 200), ("/readyz", 200, 200, 200), ("/console", 200, 200, 404), ("/v1/models", 200, 200, 404), ("/v1/files", 200, 200, 404),
                ("/v1/vector_stores", 200, 200, 404), ("/metrics", 404, 200, 404), ("/v1/stoa/keys", 404, 200, 404), ("/v1/stoa/audit", 404, 200, 404), ("/v1/stoa/usage", 404, 200, 404)]:
            for port, expected in ((server.port, public), (admin, administration), (node, nodes)):
                assert ask(port, "GET", path, key)[0] == expected, (path, port)
        shown = server.json("status", key=key)["listeners"]
        assert [listener["roles"] for listener in shown] == ["public", "public, admin", "node"]
        server.stop()
        assert server.process.returncode == 0
    finally:
        server.stop()


def test_failed_attempts_cost_time(tmp_path):
    server = Stoa(tmp_path / "home", models=False, environment={"STOA_LIMITS_EXEMPT_ADDRESSES": "", "STOA_LIMITS_FAILED_ATTEMPTS": "5"}).start()
    try:
        known, fresh = server.key("ann"), server.key("bob")
        assert ask(server.port, "GET", "/v1/models", known)[0] == 200
        seen = []
        for i in range(7):
            status, headers, _ = ask(server.port, "GET", "/v1/models", f"sk-stoa-{i:016x}-" + "0" * 64)
            seen.append((status, headers.get("retry-after")))
        assert [status for status, _ in seen] == [401] * 6 + [429] and seen[-1][1] == "1", seen
        assert ask(server.port, "GET", "/v1/models", fresh)[0] == 429
        assert ask(server.port, "GET", "/v1/models", known)[0] == 200, "a key that has worked is not held up by the others behind its address"
        wait_until(lambda: ask(server.port, "GET", "/v1/models", fresh)[0] == 200, 10, "the end of the wait")
        assert ask(server.port, "GET", "/v1/models")[0] == 401, "no key at all is not an attempt"
    finally:
        server.stop()


def test_no_key_in_logs_traces_and_answers(stoa_without_models):
    """A key that works, put wherever a request has room for it: what comes back, what is logged and what is kept of it does not have it."""
    stoa = stoa_without_models
    key, admin = stoa.key("planted"), stoa.key("reader", "admin")
    secret = key.split("-")[-1]
    requests = [
        ("GET", f"/v1/files/{key}", None, {}), ("GET", f"/v1/files/{key}/content", None, {}), ("GET", f"/nowhere/{key}", None, {}), ("DELETE", f"/healthz/{key}", None, {}), ("GET", f"/v1/models/{key}", None, {}),
        ("GET", f"/v1/files?limit={key}", None, {}), ("GET", f"/v1/files?after={key}", None, {}), ("GET", "/v1/files", None, {"x-stoa-timeout-ms": key}), ("GET", "/v1/files", None, {"x-stoa-purpose": f"Bearer {key}"}),
        ("GET", f"http://{key}/v1/files", None, {"Host": "h"}), (key, "/v1/files", None, {}),
        ("POST", "/v1/chat/completions", {"model": key, "messages": [{"role": "user", "content": "x"}]}, {}), ("POST", "/v1/chat/completions", {"model": "x", "messages": key}, {}),
        ("POST", "/v1/embeddings", {"model": key, "input": "x"}, {}), ("POST", "/v1/vector_stores", {"name": {"not": key}}, {}), ("POST", "/v1/responses", {"model": "x", "previous_response_id": key}, {}),
        ("POST", "/v1/stoa/search", {"query": "x", "vector_store_ids": [key]}, {}), ("POST", "/v1/stoa/ratings", {"answer_id": key, "score": 1}, {}), ("POST", "/v1/chat/completions", '{"model": ' + key, {}),
    ]
    for method, path, body, headers in requests:
        body = body if body is None or isinstance(body, str) else json.dumps(body)
        status, _, text = ask(stoa.port, method, path, key, body, {"Content-Type": "application/json", **headers})
        assert status >= 400 or path.startswith("/v1/files?after") or "x-stoa-purpose" in headers, (method, path, status)
        assert secret not in text, (method, path, text)
    time.sleep(0.5)  # what is told of a request follows its answer
    assert secret not in stoa.log_text()
    for path in ("/v1/stoa/traces?limit=100", "/v1/stoa/audit?limit=1000"):
        status, _, text = ask(stoa.port, "GET", path, admin)
        assert status == 200 and secret not in text, path
    status, _, traces = ask(stoa.port, "GET", "/v1/stoa/traces?limit=100", key)
    for trace in json.loads(traces)["data"]:
        assert secret not in ask(stoa.port, "GET", f"/v1/stoa/traces/{trace['trace_id']}", key)[2]


def test_no_key_in_the_list_of_processes(stoa_without_models, tmp_path):
    stoa = stoa_without_models
    key = stoa.key("shown")
    process = subprocess.Popen([BINARY, "--key", key, "chat", "--model", "none"], env=stoa.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        arguments = lambda: pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
        wait_until(lambda: b"sk-stoa-**" in arguments(), 10, "the key to be overwritten")
        assert key.split("-")[-1].encode() not in arguments() and b"chat" in arguments()
    finally:
        process.kill()
        process.wait()
    (tmp_path / "key").write_text(key + "\n")
    stoa.cli("--key-file", str(tmp_path / "key"), "status")


def test_what_others_of_the_machine_see(stoa_without_models):
    stoa = stoa_without_models
    limits = pathlib.Path(f"/proc/{stoa.process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0", core
    assert "Umask:\t0077" in pathlib.Path(f"/proc/{stoa.process.pid}/status").read_text()
    made = [stoa.home / "stoa.db", *(stoa.home / "secrets").rglob("*")]
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("url, reason", [
    ("https://localhost:9/x.gguf", None),  # named on the command line: allowed, and then not there
    ("http://0x7f000001/x.gguf", "unusual spelling"), ("https://user:secret@example.invalid/x.gguf", "user name")])
def test_pulls_keep_to_the_rules(tmp_path, url, reason):
    server = Stoa(tmp_path / "home", models=False)
    done = server.cli("pull", url, "--unpinned", check=False)
    assert done.returncode != 0
    if reason is None:
        assert "connect" in done.stderr, done.stderr
    else:
        assert reason in done.stderr and "secret@" not in done.stderr.replace(url, ""), done.stderr
