"""Searches of what is empty, odd, huge or just going: clear answers, and nothing that is not there."""
import hashlib
import threading

import pytest

from stoa_server import wait_until


def bring(server, store, files, attributes=None):
    digest = lambda content: "sha256:" + hashlib.sha256(content).hexdigest()  # noqa: E731
    job = server.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": "s", "access": "public", "attributes": attributes or {},
                                                     "files": [{"path": path, "digest": digest(content), "bytes": len(content)} for path, content in files.items()]})
    for content in files.values():
        server.ok("PUT", f"/v1/stoa/ingest/jobs/{job['id']}/blobs/{digest(content)}", content, timeout=120)
    server.ok("POST", f"/v1/stoa/ingest/jobs/{job['id']}/start")
    wait_until(lambda: server.ok("GET", f"/v1/stoa/ingest/jobs/{job['id']}")["status"] == "completed", 120, "the job is complete")
    assert server.ok("GET", f"/v1/stoa/ingest/jobs/{job['id']}")["failed"] == 0


def search(server, store, query, **more):
    return [hit["path"] for hit in server.ok("POST", "/v1/stoa/search", {"query": query, "vector_store_ids": [store], **more})["data"]]


@pytest.fixture
def store(server):
    return server.ok("POST", "/v1/vector_stores", {"name": "odd"})["id"]


def test_queries(server, store):
    assert search(server, store, "anything") == []
    for language in ("german", "english"):
        job = server.ok("POST", f"/v1/stoa/collections/{store}/reindex", {"language": language})["id"]
        wait_until(lambda: server.ok("GET", f"/v1/stoa/ingest/jobs/{job}")["status"] == "completed", 20, "an empty collection is made anew")
    bring(server, store, {"hamlet.txt": "To be or not to be, that is the question.".encode(), "secret.txt": "The pass\u200bword of the w\u00adiki is on the \u202edoor\u202c.".encode(),
                          "wide.txt": "\uff46\uff55\uff4c\uff4c\uff57\uff49\uff44\uff54\uff48 letters".encode(), "thai.txt": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01".encode()}, {"year": 2024})
    for query, expected in [("to be or not to be", "hamlet.txt"), ("password", "secret.txt"), ("\u202epassword\u202c", "secret.txt"), ("pass\u200bword", "secret.txt"), ("wiki door", "secret.txt"), ("FULLWIDTH", "wide.txt"),
                            ("\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "thai.txt")]:
        assert search(server, store, query)[:1] == [expected], query
    for query in ("\u200b", "?!", "\u202e", "..."):
        assert search(server, store, query) == [], query.encode()
    equal = lambda key, value, kind="eq": {"type": kind, "key": key, "value": value}  # noqa: E731
    assert search(server, store, "question", filters=equal("year", 2024)) == ["hamlet.txt"]
    for filters in (equal("year", "2024"), equal("year", True), equal("nothing", 1), equal("year", 2024, "gt")):
        assert search(server, store, "question", filters=filters) == [], filters
    for body, param in [({"query": "x" * 40_000}, "query"), ({"query": ""}, "query"), ({"query": "\"open", "syntax": "operators"}, "query"), ({"query": "x", "max_num_results": 0}, "max_num_results"),
                        ({"query": "x", "filters": equal("year", True, "gt")}, "filters")]:
        status, text = server.call("POST", "/v1/stoa/search", {"vector_store_ids": [store], **body})
        assert status == 400 and param.encode() in text, (status, text)
    assert server.call("POST", "/v1/stoa/search", b'{"query": "\xff\xfe", "vector_store_ids": ["x"]}', {"Content-Type": "application/json"})[0] == 400


def test_a_document_of_ten_megabytes(server, store):
    lines = [f"Line {n} has marker m{n}m and says little more than that it is there." for n in range(150_000)]
    bring(server, store, {"big.txt": "\n\n".join(lines).encode()[:10_500_000]})
    assert search(server, store, "m77777m") == ["big.txt"]
    assert search(server, store, "m120000m") == ["big.txt"]
    server.kill()
    server.start()
    assert search(server, store, "m120000m") == ["big.txt"]


def test_deleted_while_searched(server, store):
    count = 60
    bring(server, store, {f"d{n}.txt": f"common words and marker m{n}m".encode() for n in range(count)})
    files = {item["stoa"]["filename"]: item["id"] for item in server.pages(f"/v1/vector_stores/{store}/files")}
    gone, problems, done = set(), [], threading.Event()

    def look():
        while not done.is_set():
            before = set(gone)
            try:
                found = search(server, store, "common words", max_num_results=50)
            except AssertionError as problem:
                problems.append(problem)
                return
            if before & set(found):
                problems.append(before & set(found))
                return

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for path, file in list(files.items())[: count - 5]:
        server.ok("DELETE", f"/v1/vector_stores/{store}/files/{file}")
        gone.add(path)
    done.set()
    for thread in threads:
        thread.join(timeout=30)
    assert not problems, problems[0]
    assert len(search(server, store, "common words", max_num_results=50)) == 5
