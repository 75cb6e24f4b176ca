"""HTTP itself as the weapon: requests that two readers would understand differently, that never end, or that carry line breaks elsewhere."""
import pathlib
import socket
import time

import pytest

from attacker import raw, statuses
from world import SECRET

SMUGGLED = b"POST /v1/vector_stores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"name\":\"smuggled\"}"


def head(world, *lines, target="/v1/stoa/search", method="POST"):
    start = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {world.olga.key}", "Content-Type: application/json"]
    return "\r\n".join([*start, *lines, "", ""]).encode("latin-1")


# What two readers of one connection could end a body by; b"%S" is a whole request that must not be seen as one.
AMBIGUOUS = {
    "CL.TE": (["Content-Length: 6", "Transfer-Encoding: chunked"], b"0\r\n\r\n%S"),
    "TE.CL": (["Transfer-Encoding: chunked", "Content-Length: 3"], b"5\r\n{}   \r\n0\r\n\r\n%S"),
    "TE.TE, x": (["Transfer-Encoding: chunked", "Transfer-Encoding: x"], b"0\r\n\r\n%S"),
    "TE.TE, identity": (["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], b"0\r\n\r\n%S"),
    "TE twice": (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], b"0\r\n\r\n%S"),
    "TE chunked, chunked": (["Transfer-Encoding: chunked, chunked"], b"0\r\n\r\n%S"),
    "TE xchunked": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n%S"),
    "TE gzip, chunked": (["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n%S"),
    "TE chunked, gzip": (["Transfer-Encoding: chunked, gzip"], b"0\r\n\r\n%S"),
    "TE with a tab": (["Transfer-Encoding:\tchunked", "Content-Length: 2"], b"0\r\n\r\n%S"),
    "TE with VT": (["Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n%S"),
    "TE quoted": (['Transfer-Encoding: "chunked"'], b"0\r\n\r\n%S"),
    "TE empty": (["Transfer-Encoding:", "Content-Length: 2"], b"{}%S"),
    "TE folded": (["Transfer-Encoding:\r\n chunked"], b"0\r\n\r\n%S"),
    "TE, space before the colon": (["Transfer-Encoding : chunked", "Content-Length: 2"], b"{}%S"),
    "TE, a name with a NUL": (["Transfer-Encoding\x00: chunked", "Content-Length: 2"], b"{}%S"),
    "TE after a bare LF": (["X: y\nTransfer-Encoding: chunked", "Content-Length: 2"], b"{}%S"),
    "TE after a bare CR": (["X: y\rTransfer-Encoding: chunked", "Content-Length: 2"], b"{}%S"),
    "two CL": (["Content-Length: 2", "Content-Length: 3"], b"{} %S"),
    "CL list": (["Content-Length: 2, 3"], b"{} %S"),
    "CL with a plus": (["Content-Length: +2"], b"{}%S"),
    "CL negative": (["Content-Length: -1"], b"{}%S"),
    "CL in hexadecimal": (["Content-Length: 0x2"], b"{}%S"),
    "CL with a space inside": (["Content-Length: 1 0"], b"{}%S"),
    "CL with a point": (["Content-Length: 2.0"], b"{}%S"),
    "CL empty": (["Content-Length:"], b"{}%S"),
    "CL too large to count": (["Content-Length: 18446744073709551618"], b"{}%S"),
    "CL, space before the colon": (["Content-Length : 2"], b"{}%S"),
    "CL folded": (["Content-Length:\r\n 2"], b"{}%S"),
    "CL, an underscore": (["Content_Length: 2", "Content-Length: 2", "Content-Length: 20"], b"{}%S"),
    "chunk size negative": (["Transfer-Encoding: chunked"], b"-1\r\n%S"),
    "chunk size 0x": (["Transfer-Encoding: chunked"], b"0x2\r\n{}\r\n0\r\n\r\n%S"),
    "chunk size huge": (["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n%S"),
    "chunk without CR": (["Transfer-Encoding: chunked"], b"2\n{}\n0\n\n%S"),
    "chunk longer than told": (["Transfer-Encoding: chunked"], b"2\r\n{} x\r\n0\r\n\r\n%S"),
    "chunk size of letters": (["Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n%S"),
    "a field that begins with a space": ([" X: y", "Content-Length: 2"], b"{}%S"),
    "a field without a colon": (["X", "Content-Length: 2"], b"{}%S"),
    "a field without a name": ([": y", "Content-Length: 2"], b"{}%S"),
    "a NUL in a value": (["X: a\x00b", "Content-Length: 2"], b"{}%S"),
    "two Hosts": (["Host: y", "Content-Length: 2"], b"{}%S"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_ambiguous_requests_are_refused_and_end_the_connection(world, kind):
    lines, body = AMBIGUOUS[kind]
    before = len(world.olga.ok("GET", "/v1/vector_stores?limit=100")["data"])
    reply = raw(world.server.port, head(world, *lines) + body.replace(b"%S", SMUGGLED % world.olga.key.encode()), seconds=3)
    assert len(statuses(reply)) == 1 and statuses(reply)[0] in (400, 411, 413, 501), reply[:400]
    assert len(world.olga.ok("GET", "/v1/vector_stores?limit=100")["data"]) == before, "the request in the body was taken for one"


LINES = {
    "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "bare LF in the head": b"GET /healthz HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/2.0": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/1.2": b"GET /healthz HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tab": b"GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a method with a space": b"G ET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method that is none": b"{}[] /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without a slash": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a line break": b"GET /healthz\r\nX: y HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with NUL": b"GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "noise": bytes(range(256)) * 8,
    "nothing but line breaks": b"\r\n" * 5000,
    "CONNECT": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
    "TRACE": b"TRACE /healthz HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n",
}


@pytest.mark.parametrize("kind", LINES)
def test_what_is_not_http_is_refused(world, kind):
    reply = raw(world.server.port, LINES[kind], half_close=True)
    assert all(status in (400, 404, 405, 408, 431, 501, 505) for status in statuses(reply)), reply[:300]
    assert len(statuses(reply)) <= 1 and b"secret" not in reply
    assert world.olga.call("GET", "/healthz").status == 200


HEADS = {
    "a long target": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long field": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "many fields": b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 30_000 + b"\r\n",
    "a long method": b"A" * 200_000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long query": b"GET /healthz?" + b"a=b&" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "endless trailers": b"POST /v1/stoa/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 50_000,
    "an endless chunk extension": b"POST /v1/stoa/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 300_000,
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_have_a_limit(world, kind):
    started = time.monotonic()
    reply = raw(world.server.port, HEADS[kind])
    assert statuses(reply) == [] or statuses(reply)[0] in (400, 401, 413, 414, 431), reply[:300]
    assert world.olga.call("GET", "/healthz").status == 200 and time.monotonic() - started < 20


@pytest.mark.parametrize("path", [
    "/console/..%2f..%2f..%2fetc%2fpasswd", "/console/%2e%2e/%2e%2e/secrets/api-keys", "/console/..\\..\\secrets\\api-keys", "/console/....//....//etc/passwd", "/console//etc/passwd", "/console/%00",
    "/console/index.html%00.js", "/console/.", "/console/..", "/../secrets/api-keys", "/..%2fstoa.db", "/console/..;/stoa.db", "/console/%c0%ae%c0%ae/stoa.db", "/v1/files/..%2f..%2fstoa.db/content",
    "/v1/files/file-%2e%2e%2f%2e%2e/content", "/v1/stoa/documents/..%2f..%2fstoa.db/content", "/v1/models/..%2f..%2f..%2fetc%2fpasswd", "/v1/models/../../stoa.db", "/v1/stoa/datasets/..%2f..%2fstoa.db/rows", "/.git/config", "/.env",
    "/stoa.yaml", "/server-status", "/debug/pprof"])
def test_paths_lead_nowhere_else(world, path):
    for caller in (world.stranger, world.olga):
        answer = caller.call("GET", path)
        assert answer.status in (400, 401, 404), answer
        assert "root:" not in answer.text and b"SQLite format" not in answer.body


def test_other_hosts_and_absolute_targets_are_not_fetched(world, canary):
    for request in (f"GET http://127.0.0.1:{canary.port}/ HTTP/1.1\r\nHost: 127.0.0.1:{canary.port}", f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{canary.port}", f"CONNECT 127.0.0.1:{canary.port} HTTP/1.1\r\nHost: x",
                    f"GET //127.0.0.1:{canary.port}/ HTTP/1.1\r\nHost: x", f"GET /v1/files HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: 127.0.0.1:{canary.port}\r\nReferer: http://127.0.0.1:{canary.port}/"):
        reply = raw(world.server.port, f"{request}\r\nConnection: close\r\n\r\n".encode())
        assert str(canary.port).encode() not in b"".join(line for line in reply.split(b"\r\n") if line.lower().startswith(b"location:")), "a redirect to where the client said"
    assert canary.visits == []


INJECTED = "forged-line"
BREAKS = ["\r\n", "\n", "\r", "\u2028", "\u0085", "%0d%0a", "%0a", "\\r\\n", "\x1b[2K\x1b[1A"]


@pytest.mark.parametrize("line_break", BREAKS, ids=repr)
def test_names_break_no_line(world, line_break):
    """Names, texts, paths and headers with line breaks: into no header of an answer, and no line of the log (test_verdict.py reads it all)."""
    name = f'a{line_break}{{"level":"error","message":"{INJECTED}"}}{line_break}Set-Cookie: {INJECTED}=1'
    forged = f"{line_break}Set-Cookie: {INJECTED}=1"
    olga = world.olga
    store = olga.call("POST", "/v1/vector_stores", {"name": name[:200], "metadata": {"k": name[:200]}})
    job = olga.call("POST", "/v1/stoa/ingest/jobs", {"collection": store.json.get("id", "x"), "source": name, "access": "user:olga", "files": [{"path": name, "digest": world.digest, "bytes": 1}]})
    answers = [store, job, olga.call("POST", "/v1/stoa/search", {"query": name, "vector_store_ids": [name]}), olga.call("POST", "/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "x"}]}),
               olga.call("POST", "/v1/stoa/ratings", {"answer_id": name, "score": 1}), world.adam.call("POST", "/v1/stoa/keys", {"label": name[:100], "user": name}),
               world.adam.call("POST", "/v1/stoa/keys", {"label": name[:100], "role": "viewer"})]
    uploaded = olga.upload(name.replace('"', "'").replace("\r", "%0D").replace("\n", "%0A") if line_break in ("\r\n", "\n", "\r") else name.replace('"', "'"), b"text", access="user:olga") if line_break.isascii() else None
    if uploaded is not None and uploaded.status == 200:
        answers += [uploaded, olga.call("GET", f"/v1/files/{uploaded.json['id']}/content")]
    for answer in answers:
        assert "set-cookie" not in answer.headers and INJECTED not in " ".join(answer.headers), answer.headers
    if "%" in line_break:
        for path in (f"/v1/files/x{forged.replace(' ', '%20')}", f"/nowhere{forged.replace(' ', '%20')}", f"/console{forged.replace(' ', '%20')}"):
            assert "set-cookie" not in olga.call("GET", path).headers
    reply = raw(world.server.port, b"GET /v1/files HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: " + line_break.encode() + b'{"message":"' + INJECTED.encode() + b'"}\r\n\r\n')
    assert b"set-cookie" not in reply.lower()


def test_responses_cannot_be_split_by_content_types(world):
    """What a file was said to be comes back as a header."""
    for kind in (b"text/html\rSet-Cookie: x=1", b"text/plain\x00", b"text/plain; x=\xff\xfe", b"a" * 3000):
        body = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b\r\nContent-Disposition: form-data; name="stoa_access"\r\n\r\nuser:olga\r\n'
        body += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: ' + kind + b"\r\n\r\nhello\r\n--b--\r\n"
        answer = world.olga.call("POST", "/v1/files", body, headers={"Content-Type": "multipart/form-data; boundary=b"})
        if answer.status != 200:
            assert answer.status == 400, answer
            continue
        file = answer.json["id"]
        assert "set-cookie" not in world.olga.call("GET", f"/v1/files/{file}/content").headers
        store = world.olga.ok("POST", "/v1/vector_stores", {"name": "types"})["id"]
        world.olga.ok("POST", f"/v1/vector_stores/{store}/files", {"file_id": file})
        world.wait_indexed(world.olga, store)
        for document in world.olga.ok("GET", f"/v1/vector_stores/{store}/files")["data"]:
            assert document["id"]


def test_uploaded_pages_do_not_run_here(world):
    """HTML that somebody uploaded, opened in a browser on the origin of the console, gets an origin of its own and no script."""
    page = b"<script>fetch('/v1/stoa/keys')</script><svg onload=alert(1)>"
    body = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b\r\nContent-Disposition: form-data; name="stoa_access"\r\n\r\nuser:olga\r\n'
    for kind in (b"text/html", b"image/svg+xml", b"application/xhtml+xml", b"text/javascript"):
        uploaded = world.olga.call("POST", "/v1/files", body + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.html"\r\nContent-Type: ' + kind + b"\r\n\r\n" + page + b"\r\n--b--\r\n",
                                   headers={"Content-Type": "multipart/form-data; boundary=b"}).json
        content = world.olga.call("GET", f"/v1/files/{uploaded['id']}/content")
        assert content.headers["content-security-policy"].startswith("sandbox") and content.headers["x-content-type-options"] == "nosniff" and content.headers["content-disposition"].startswith("attachment")
    console = world.stranger.call("GET", "/console")
    assert console.status == 200 and "frame-ancestors 'none'" in console.headers.get("content-security-policy", ""), console.headers


# --- too much, too slow, too many

def test_slow_requests_do_not_hold_the_others(world):
    """Forty heads that come letter by letter, and forty bodies that never come: others are answered meanwhile."""
    connections = []
    try:
        for i in range(80):
            connection = socket.create_connection(("127.0.0.1", world.server.port), timeout=5)
            connections.append(connection)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " if i % 2 else head(world, "Content-Length: 1000") + b"{")
        for _ in range(3):
            for connection in connections:
                try:
                    connection.sendall(b" ")
                except OSError:
                    pass  # ended by the server, which is its right
            started = time.monotonic()
            assert world.olga.call("GET", "/v1/models").status == 200
            assert world.stranger.call("GET", "/healthz").status == 200
            assert time.monotonic() - started < 10
    finally:
        for connection in connections:
            connection.close()


def test_many_connections_are_bounded(world):
    """More connections than the server takes: those beyond are turned away, and it goes on when they have gone."""
    connections = []
    try:
        for _ in range(1100):  # server.max_connections is 1024
            try:
                connection = socket.create_connection(("127.0.0.1", world.server.port), timeout=0.5)
            except OSError:
                break
            connections.append(connection)
    finally:
        for connection in connections:
            connection.close()
    for caller in world.callers.values():
        caller.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if world.stranger.call("GET", "/healthz").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not answer after the connections have gone")
