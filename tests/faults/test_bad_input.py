"""Input from outside that is too large, too deep, broken or malicious: a clear refusal, and the server goes on."""
import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.parse

import pytest

from stoa_server import BINARY, CHAT, EMBED, MODELS, free_port, need_models


@pytest.fixture(autouse=True)
def goes_on(request):
    server = request.getfixturevalue("server") if "server" in request.fixturenames else None
    yield
    if server is None:
        return
    assert server.process.poll() is None, server.log_text()[-3000:]
    assert server.call("GET", "/healthz")[0] == 200


def raw(server, head, body=b"", seconds=10):
    """Sends bytes as they are; gives what came back until the server closes or time is up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n")
        try:
            connection.sendall(body)
        except OSError:
            pass  # refused while sending: the answer is in the buffer
        reply = b""
        try:
            while piece := connection.recv(65536):
                reply += piece
                if b"\r\n\r\n" in reply and len(reply) > 200:
                    break
        except OSError:
            pass
        return reply


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files", "/v1/stoa/ratings", "/console", "/nowhere"])
def test_a_gigabyte_is_refused_before_it_is_sent(server, path):
    started = time.monotonic()
    head = f"POST {path} HTTP/1.1\nHost: x\nAuthorization: Bearer {server.secret}\nContent-Type: application/json\nContent-Length: {1 << 30}\n"
    reply = raw(server, head)
    assert time.monotonic() - started < 5
    assert reply.split(b" ")[1] in (b"413", b"404", b"405"), reply[:200]
    if path in ("/v1/chat/completions", "/v1/files", "/v1/stoa/ratings"):
        assert reply.split(b" ")[1] == b"413", reply[:200]


def test_endless_chunks_are_cut_off(server):
    head = f"POST /v1/chat/completions HTTP/1.1\nHost: x\nAuthorization: Bearer {server.secret}\nTransfer-Encoding: chunked\n"
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    reply = raw(server, head, chunk * 40)
    assert reply == b"" or reply.split(b" ")[1] == b"413", reply[:200]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"model":"x","messages":[{"role":"user","content":"\xff\xfe"}]}',
        b'{"model":"x","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"x","messages":' + b"[" * 60 + b"]" * 60 + b"}",
        b'{"model":"x","max_tokens":1e999,"messages":[]}',
        b'{"model":"x","max_tokens":99999999999999999999999,"messages":[]}',
        b'{"model":"x","model":"y"',
        b"\x00",
        b"",
        b"nonsense",
        b'"text"',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_broken_json_is_a_400(server, body):
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/stoa/search", "/v1/stoa/ratings", "/v1/stoa/ingest/jobs"):
        status, text = server.call("POST", path, body, {"Content-Type": "application/json"})
        assert status == 400, f"{path}: {status} {text[:300]!r}"
        assert json.loads(text)["error"]["message"]


@pytest.mark.parametrize("path", ["../../escaped", "/etc/escaped", "a/../../escaped", "./a", "a//b", "..", ".", "", "a/", "a\x00b", "x" * 2000])
def test_names_cannot_leave_their_source(server, path):
    store = server.ok("POST", "/v1/vector_stores", {"name": "s"})["id"]
    files = [{"path": path, "digest": "sha256:" + "0" * 64, "bytes": 1}]
    status, text = server.call("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": "s", "files": files, "access": "public"})
    assert status == 400, (path, text)


@pytest.mark.parametrize("target", ["../../../escaped", "..%2f..%2fescaped", "sha256:" + "../" * 10 + "escaped", "sha256:" + "z" * 64])
def test_digests_cannot_name_files(server, target):
    store = server.ok("POST", "/v1/vector_stores", {"name": "s"})["id"]
    files = [{"path": "a.txt", "digest": "sha256:" + "0" * 64, "bytes": 1}]
    job = server.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": "s", "files": files, "access": "public"})["id"]
    status, _ = server.call("PUT", f"/v1/stoa/ingest/jobs/{job}/blobs/{target}", b"x")
    assert status in (400, 404), target
    files[0]["digest"] = target
    status, _ = server.call("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": "s", "files": files, "access": "public"})
    assert status == 400, target
    assert not list(server.home.parent.rglob("*escaped*"))


@pytest.mark.parametrize("name", ["../../escaped.txt", "/tmp/escaped.txt", "..\\\\escaped.txt", "a/b/escaped.txt"])
def test_upload_names_are_names_only(server, name):
    status, text = server.upload(name, b"hello")
    assert status in (200, 400), text
    if status == 200:
        stored = json.loads(text)["filename"]
        assert "/" not in stored and stored not in ("..", ".")
    assert not list(server.home.parent.rglob("*escaped*"))


@pytest.mark.parametrize("path", ["/console/../../../etc/passwd", "/console/%2e%2e/%2e%2e/etc/passwd", "/v1/files/..%2f..%2fetc%2fpasswd/content", "/v1/stoa/documents/%2e%2e/content"])
def test_paths_of_the_server_stay_inside(server, path):
    status, text = server.call("GET", path)
    assert status in (400, 401, 404), (status, text[:200])
    assert b"root:" not in text


PDFS = pathlib.Path(__file__).resolve().parents[2] / "fuzz/corpus/pdf"
DOCUMENTS = {
    "encrypted.pdf": (PDFS / "encrypted.pdf").read_bytes(),
    "cycle.pdf": (PDFS / "cycle.pdf").read_bytes(),  # a page tree that contains itself
    "cut.pdf": (PDFS / "page.pdf").read_bytes()[:200],
    "noise.pdf": b"%PDF-1.7\n" + bytes(range(128, 256)) * 50,
    "deep.html": b"<div>" * 200_000 + b"text",
    "empty.html": b"<p></p>",
    "binary.txt": b"\x00\x01\x02" * 100,
}


def test_broken_documents_are_told_apart_from_good_ones(server):
    store = server.ok("POST", "/v1/vector_stores", {"name": "s"})["id"]
    documents = {**DOCUMENTS, "page.pdf": (PDFS / "page.pdf").read_bytes(), "latin1.txt": "caf\u00e9 au lait".encode("latin-1")}
    attached = {}
    for name, content in documents.items():
        status, text = server.upload(name, content)
        assert status == 200, text
        attached[name] = server.ok("POST", f"/v1/vector_stores/{store}/files", {"file_id": json.loads(text)["id"]})["id"]
    deadline = time.monotonic() + 60
    while (counts := server.ok("GET", f"/v1/vector_stores/{store}")["file_counts"])["in_progress"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counts["in_progress"] == 0, counts
    for name, file in attached.items():
        shown = server.ok("GET", f"/v1/vector_stores/{store}/files/{file}")
        if name in ("page.pdf", "latin1.txt"):
            assert shown["status"] == "completed", (name, shown)
        elif name != "cycle.pdf":  # the reader may find the page all the same
            assert shown["status"] == "failed" and name in shown["last_error"]["message"], (name, shown)
    for word in ("speaks", "lait"):
        assert server.ok("POST", "/v1/stoa/search", {"query": word, "vector_store_ids": [store]})["data"], word


@pytest.mark.parametrize("token", ["", ".", "x.y", "****.****", "AAA.AAA", "AAAA=.AAAA", "=" * 50, "\u00ff.\u00ff", "A" * 5000 + "." + "A" * 5000])
def test_bad_base64_in_a_link_opens_nothing(server, token):
    status, text = server.call("GET", "/v1/stoa/documents/doc_01jd0000000000000000000000/content?token=" + urllib.parse.quote(token))
    assert status in (400, 401, 414), (status, text[:200])


def keep(size):
    return lambda content: content[:size]


def put(offset, data):
    return lambda content: content[:offset] + data + content[offset + len(data):]


# Truncated at several places, then lies: numbers of tensors, keys and bytes that the file does not have.
GGUF_DAMAGE = [keep(0), keep(3), keep(100), keep(5000), keep(1_000_000), put(8, b"\xff" * 8), put(16, b"\xff" * 8), put(24, b"\xff" * 7), put(4, b"\x63")]
SAFETENSORS_DAMAGE = [keep(0), keep(5), keep(100), keep(1_000_000), put(0, b"\xff" * 8), put(0, b"\xff\xff\xff\0\0\0\0\0"), put(8, b"["), put(20, b"{{{{{{{{{{")]
DAMAGED = [(CHAT, "*.gguf", damage) for damage in GGUF_DAMAGE] + [(EMBED, "*.safetensors", damage) for damage in SAFETENSORS_DAMAGE]


@pytest.mark.parametrize("model, pattern, damage", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_model_is_named_and_refused(tmp_path, model, pattern, damage):
    need_models()
    home = tmp_path / "other"
    (home / "models").mkdir(parents=True)
    other = EMBED if model == CHAT else CHAT
    (home / "models" / other).symlink_to((MODELS / other).resolve())
    folder = home / "models" / model
    folder.mkdir()
    for file in (MODELS / model).resolve().iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    weights = next(folder.glob(pattern))
    weights.write_bytes(damage(weights.read_bytes()))
    done = subprocess.run([BINARY, "serve", "--home", str(home), "--port", str(free_port())], capture_output=True, text=True, timeout=30)
    assert done.returncode > 0, (done.returncode, done.stderr)
    assert weights.name in done.stderr, done.stderr
