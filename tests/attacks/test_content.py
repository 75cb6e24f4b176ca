"""What is brought in as content: addresses that the server should visit, and small files that grow large."""
import gzip
import io
import json
import pathlib
import time
import zipfile
import zlib

import pytest

from routes import fill
from stoa_server import CHAT, Stoa
from world import World

MESSAGE = {"role": "user", "content": "x"}


def bodies(url):
    """Every field of a request that holds an address, or could be taken for one."""
    chat = {"model": CHAT, "messages": [MESSAGE], "max_tokens": 1}
    yield "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    yield "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": url, "format": "wav"}}]}]}
    yield "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": url, "file_data": url}}]}]}
    yield "/v1/chat/completions", {**chat, "model": url}
    yield "/v1/chat/completions", {**chat, "tools": [{"type": "mcp", "server_url": url}]}
    yield "/v1/chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"$schema": url, "$id": url, "$ref": url + "/schema.json"}}}}
    yield "/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}
    yield "/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": url}]}]}
    for tool in ("mcp", "web_search", "web_search_preview", "computer_use_preview", "code_interpreter", "image_generation"):
        yield "/v1/responses", {"input": "x", "tools": [{"type": tool, "server_url": url, "server_label": "s", "container": url, "url": url}]}
    yield "/v1/responses", {"input": "x", "background": True, "webhook": url, "prompt": {"id": url}}
    yield "/v1/responses", {"input": "x", "tools": [{"type": "file_search", "vector_store_ids": [url]}]}
    yield "/v1/rerank", {"model": url, "query": url, "documents": [url, {"text": url, "url": url}]}
    yield "/v1/vector_stores", {"name": url, "file_ids": [url], "metadata": {"url": url}}
    yield "/v1/vector_stores/{store}/files", {"file_id": url}
    yield "/v1/vector_stores/{store}/search", {"query": url}
    yield "/v1/stoa/search", {"query": url, "vector_store_ids": ["{store}"]}
    yield "/v1/stoa/ingest/jobs", {"collection": "{store}", "source": url, "access": "user:olga", "files": [{"path": url, "digest": url, "bytes": 1, "content_type": url}]}
    yield "/v1/stoa/ingest/jobs", {"collection": "{store}", "source": url, "access": "user:olga", "files": [{"path": "a.txt", "digest": "sha256:" + "0" * 64, "bytes": 1, "url": url}]}
    yield "/v1/stoa/ratings", {"answer_id": url, "score": 1, "comment": url, "citations": [url], "messages": [MESSAGE], "answer": url}
    yield "/v1/stoa/keys", {"user": url, "label": url[:100], "project": url}


def answered(url):
    """Where an address is text like any other: these are worked on, so once is enough."""
    chat = {"model": CHAT, "messages": [MESSAGE], "max_tokens": 1}
    yield "/v1/chat/completions", {**chat, "messages": [{"role": "user", "content": url}]}
    yield "/v1/chat/completions", {**chat, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"$ref": url}}}], "tool_choice": "required"}
    yield "/v1/chat/completions", {**chat, "web_search_options": {"user_location": url}, "metadata": {"webhook": url}}
    yield "/v1/chat/completions", {**chat, "structured_outputs": {"grammar": f'root ::= "{url}"'}}
    yield "/v1/completions", {"model": CHAT, "prompt": url, "max_tokens": 1}
    yield "/v1/responses", {"input": [{"type": "mcp_call", "server_url": url}], "max_output_tokens": 1}
    yield "/v1/embeddings", {"model": "all-minilm-l6-v2", "input": url}


ADDRESSES = ["{url}/latest/meta-data/", "http://localhost:{port}/", "http://[::ffff:127.0.0.1]:{port}/", "http://2130706433:{port}/", "http://0177.0.0.1:{port}/", "http://user@127.0.0.1:{port}/", "//127.0.0.1:{port}/",
             "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_field_makes_the_server_visit(world, canary, address):
    url = address.format(url=canary.url, port=canary.port)
    for path, body in [*bodies(url), *(answered(url) if address == ADDRESSES[0] and world.server.has_models else ())]:
        caller = world.adam if path.startswith("/v1/stoa/keys") else world.olga
        answer = caller.call("POST", fill(path, world.things), fill(body, world.things))
        assert "root:" not in answer.text, answer
    for method, path in (("PUT", f"/v1/stoa/models/{CHAT}/adapters/"), ("PUT", "/v1/stoa/models/"), ("GET", "/v1/models/")):
        quoted = url.replace("/", "%2F") + ("/adapters/x" if path == "/v1/stoa/models/" else "")
        assert world.adam.call(method, path + quoted).status in (400, 404)
    assert canary.visits == []


def pdf(objects):
    """A PDF file of these objects, the first of which is its catalogue."""
    out, places = io.BytesIO(b""), []
    out.write(b"%PDF-1.7\n")
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n" % number + content + b"\nendobj\n")
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def deflated(piece, times, rounds):
    """`piece` repeated, compressed once and again: kilobytes that stand for hundreds of megabytes."""
    compressor = zlib.compressobj(9)
    data = b"".join(compressor.compress(piece) for _ in range(times)) + compressor.flush()
    for _ in range(rounds - 1):
        data = zlib.compress(data, 9)
    return data


def pdf_bomb(piece, times, rounds):
    data = deflated(piece, times, rounds)
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>", b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
                b"<</Length %d/Filter[%s]>>stream\n" % (len(data), b"/FlateDecode " * rounds) + data + b"\nendstream", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"])


def zip_bomb(name):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for inner in (name, "../../escaped.txt", "[Content_Types].xml"):
            archive.writestr(inner, b"\0" * (32 << 20))
    return out.getvalue()


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + b"".join(b'<!ENTITY %c "%s">' % (98 + i, (b"&%c;" % (97 + i)) * 10) for i in range(12)) + b"]><l>&m;</l>"
BOMBS = {
    "spaces.pdf": lambda: pdf_bomb(b" " * (1 << 20), 40, 2),
    "text.pdf": lambda: pdf_bomb(b"BT /F 9 Tf (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) Tj ET\n" * 1000, 800, 2),
    "many-pages.pdf": lambda: pdf([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[" + b"3 0 R " * 200_000 + b"]/Count 200000>>", b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"]),
    "bomb.docx": lambda: zip_bomb("word/document.xml"),
    "bomb.zip": lambda: zip_bomb("a.txt"),
    "bomb.gz": lambda: gzip.compress(b"\0" * (64 << 20)),
    "laughs.xml": lambda: LAUGHS,
    "laughs.html": lambda: LAUGHS.replace(b"<l>", b"<p>"),
    "outside.xml": lambda: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "deep.md": lambda: b"> " * 50_000 + b"x\n" + b"- " * 20_000 + b"x\n" + b"[" * 50_000,
    "wide.md": lambda: b"| a " * 100_000 + b"|\n" + b"|---" * 100_000 + b"|\n",
    "one-line.txt": lambda: b"a" * (1 << 20),
    "headings.md": lambda: b"".join(b"#" * (1 + i % 6) + b" h\n" for i in range(20_000)),
}


@pytest.fixture
def bare(tmp_path):
    """A server without models, so that time goes into reading alone."""
    server = Stoa(tmp_path / "bare", models=False).start()
    made = World(server)
    made.add_caller("olga", server.key("olga"))
    yield made
    server.stop()


def memory(world):
    status = pathlib.Path(f"/proc/{world.server.process.pid}/status").read_text()
    return {line.split()[0]: int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith(("VmHWM", "VmRSS"))}


def test_small_files_do_not_grow_without_bound(bare):
    """Each comes to an end, as text or as a failure that is told; memory stays bounded, and others are served meanwhile."""
    world, olga = bare, bare.olga
    store = olga.ok("POST", "/v1/vector_stores", {"name": "bombs"})["id"]
    before = memory(world)["VmHWM:"]
    for name, make in BOMBS.items():
        content = make()
        file = olga.upload(name, content, access="user:olga").json["id"]
        olga.ok("POST", f"/v1/vector_stores/{store}/files", {"file_id": file, "attributes": {"name": name}})
    assert olga.call("GET", "/v1/models").status == 200
    counts = world.wait_indexed(olga, store, seconds=60)
    assert counts["completed"] + counts["failed"] == len(BOMBS), counts
    listed = olga.ok("GET", f"/v1/vector_stores/{store}/files?limit=100")["data"]
    assert all(file["last_error"]["message"] for file in listed if file["status"] == "failed")
    assert next(file for file in listed if file["attributes"]["name"] == "text.pdf")["status"] == "failed", "megabytes of text in a file of kilobytes"
    assert memory(world)["VmHWM:"] - before < 256, (before, memory(world))
    found = olga.ok("POST", "/v1/stoa/search", {"query": "root daemon nologin", "vector_store_ids": [store], "mode": "text"})["data"]
    assert not any("root:" in item["text"] for item in found)
    assert not list(world.server.home.parent.rglob("*escaped*"))
    olga.ok("DELETE", f"/v1/vector_stores/{store}")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"])
def test_compressed_bodies_are_not_unpacked(world, coding):
    body = gzip.compress(json.dumps({"query": "x" * (1 << 20), "vector_store_ids": [world.things["store"]]}).encode())
    answer = world.olga.call("POST", "/v1/stoa/search", body, headers={"Content-Type": "application/json", "Content-Encoding": coding})
    assert answer.status in (400, 415), answer


FORMS = {
    "many parts": b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n" * 50_000 + b"--b--\r\n",
    "many headers": b"--b\r\n" + b"X: y\r\n" * 50_000 + b"\r\n\r\n--b--\r\n",
    "no end": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
    "only boundaries": b"--b\r\n" * 100_000,
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
    "name with NUL": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\x00b.txt"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b--\r\n',
    "two files": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
    "long name": b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + b"a" * 100_000 + b'"\r\n\r\nx\r\n--b--\r\n',
    "empty": b"",
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=b", "multipart/form-data", "multipart/form-data; boundary=" + "b" * 5000, "multipart/mixed; boundary=b"])
def test_broken_forms_are_refused(world, kind, content_type):
    answer = world.olga.call("POST", "/v1/files", FORMS[kind], headers={"Content-Type": content_type})
    if kind == "name with NUL" and answer.status == 200:
        assert answer.json["filename"] == "ab.txt"
    else:
        assert answer.status in (400, 413), answer


CONSTRAINTS = [
    {"guided_regex": "(a+)+$"}, {"guided_regex": "((a{0,1000}){0,1000}){0,1000}"}, {"guided_regex": "(" * 5000 + "a" + ")" * 5000}, {"guided_regex": "[" * 10_000}, {"guided_regex": "a{99999999}"},
    {"guided_grammar": "root ::= root"}, {"guided_grammar": "root ::= a\na ::= b\nb ::= a | \"x\""}, {"guided_grammar": "root ::= " + "(" * 5000}, {"guided_choice": ["x"] * 100_000},
    {"guided_json": {"$ref": "#"}}, {"guided_json": {"type": "array", "minItems": 10**9, "items": {"type": "string"}}}, {"guided_json": {"allOf": [{"$ref": "#"}] * 100}},
    {"guided_json": {"type": "string", "pattern": "(a|a)*" * 500, "minLength": 10**9}}, {"guided_json": {"enum": ["x" * 1000] * 5000}},
    {"logit_bias": {str(i): 1 for i in range(100_000)}}, {"stop": ["x" * 100_000]}, {"n": 128, "max_tokens": 10**9}, {"max_tokens": 2**62}, {"temperature": 1e308}, {"seed": 2**70},
]


@pytest.mark.parametrize("change", CONSTRAINTS, ids=lambda change: json.dumps(change)[:40])
def test_constraints_do_not_stall_the_engine(world, change):
    if not world.server.has_models:
        pytest.skip("no models")
    answer = world.olga.call("POST", "/v1/chat/completions", {"model": CHAT, "messages": [MESSAGE], "max_tokens": 1, "temperature": 0, **change}, timeout=30)
    assert answer.status in (200, 400, 413, 429), answer
    started = time.monotonic()
    world.dora.ok("POST", "/v1/chat/completions", {"model": CHAT, "messages": [MESSAGE], "max_tokens": 1})
    assert time.monotonic() - started < 20
