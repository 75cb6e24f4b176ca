"""kill -9 at any moment: what was acknowledged is there after a restart, once; what was not is there whole or not at all."""
import collections
import hashlib
import http.client
import json
import threading
import time
import urllib.parse

import pytest

from conftest import Server
from stoa_server import CHAT, need_models, wait_until

GONE = (OSError, http.client.HTTPException)


def audited(server, path, count):
    """The ids of requests to `path` in the audit log, at least `count`: events that a killed server left behind reach it after the restart. What a request retrieved has an entry of its own."""
    def read():
        ids, after = [], 0
        while page := server.ok("GET", f"/v1/stoa/audit?resource={urllib.parse.quote('POST ' + path)}&limit=1000&after={after}")["data"]:
            ids += [entry["request_id"] for entry in page if entry["action"] != "document.retrieve"]
            after = page[-1]["sequence"]
        return ids

    wait_until(lambda: len(read()) >= count, 10, f"{count} entries of {path} in the audit log")
    return read()


class Hammer:
    """Threads that call `work(number)` with rising numbers until the server dies, and keep what was acknowledged."""

    def __init__(self, work, threads=4):
        self.work, self.lock, self.next = work, threading.Lock(), 0
        self.acknowledged, self.problems = {}, []
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while True:
            with self.lock:
                number = self.next
                self.next += 1
            try:
                answer = self.work(number)
            except GONE:
                return
            except Exception as problem:  # kept for the test to show
                self.problems.append(problem)
                return
            with self.lock:
                self.acknowledged[number] = answer

    def wait(self, answers):
        """Until so many are acknowledged, however slow the machine is."""
        wait_until(lambda: len(self.acknowledged) >= answers or self.problems, 60, f"{answers} answers")

    def join(self):
        for thread in self.threads:
            thread.join(timeout=60)
        assert not self.problems, self.problems[0]


def page(number):
    words = " ".join(f"word{number}x{i}" for i in range(400))
    return f'<html><head><title>Page {number}</title></head><body><h1 id="top">Marker m{number}m</h1><p>{words}</p></body></html>'.encode()


def test_ingest_resumes(server):
    """The job is killed several times; in the end every file is in, once, and found once."""
    count = 300
    files = {f"pages/p{n}.html": page(n) for n in range(count)}
    store = server.ok("POST", "/v1/vector_stores", {"name": "pages"})["id"]
    digests = {path: "sha256:" + hashlib.sha256(content).hexdigest() for path, content in files.items()}
    listing = [{"path": path, "digest": digests[path], "bytes": len(content)} for path, content in files.items()]
    job = server.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": "pages", "files": listing, "access": "public"})
    assert len(job["missing"]) == count
    url = f"/v1/stoa/ingest/jobs/{job['id']}"

    # Half of the uploads, a kill, then the rest: blobs that were acknowledged are not asked for again.
    for number, (path, content) in enumerate(files.items()):
        if number == count // 2:
            server.kill()
            server.start()
        server.ok("PUT", f"{url}/blobs/{digests[path]}", content)
    server.ok("POST", url + "/start")

    kills = 0
    for target in (count // 10, count // 3, count // 2):
        wait_until(lambda: server.ok("GET", url)["done"] >= target, 60, f"{target} files in")
        progress = server.ok("GET", url)
        if progress["status"] == "completed":
            break
        server.kill()
        kills += 1
        server.start()
        assert server.ok("GET", url)["done"] >= progress["done"], "progress that was shown is kept"
    assert kills > 0, "the job ended before it could be killed: give it more files"
    wait_until(lambda: server.ok("GET", url)["status"] == "completed", 120, "the job is complete")

    done = server.ok("GET", url)
    assert (done["total"], done["done"], done["failed"]) == (count, count, 0), done
    assert len(server.pages(f"/v1/vector_stores/{store}/files")) == count
    status = server.ok("GET", "/v1/stoa/status")["documents"]
    assert status["documents"] == count
    for number in range(0, count, 17):
        hits = server.ok("POST", "/v1/stoa/search", {"query": f"m{number}m", "vector_store_ids": [store]})["data"]
        assert {hit["path"] for hit in hits} == {f"pages/p{number}.html"}, f"m{number}m"
        assert len({hit["document_id"] for hit in hits}) == 1
        assert len({hit["text"] for hit in hits}) == len(hits), "no passage is there twice"


@pytest.mark.parametrize("seconds", [0.3, 0.9])
def test_uploads_that_were_acknowledged_are_there(server, seconds):
    content = lambda number: f"file {number} ".encode() * (200 + 97 * (number % 50))

    def upload(number):
        status, text = server.upload(f"f{number}.txt", content(number))
        assert status == 200, text
        return json.loads(text)["id"]

    hammer = Hammer(upload)
    hammer.wait(6)
    time.sleep(seconds)
    server.kill()
    hammer.join()
    server.start()

    for number, file_id in hammer.acknowledged.items():
        assert server.ok("GET", f"/v1/files/{file_id}")["bytes"] == len(content(number))
    for number, file_id in list(hammer.acknowledged.items())[-20:]:
        assert server.call("GET", f"/v1/files/{file_id}/content")[1] == content(number)
    listed = server.pages("/v1/files")
    names = collections.Counter(item["filename"] for item in listed)
    assert max(names.values()) == 1, "nothing is there twice"
    assert set(hammer.acknowledged.values()) <= {item["id"] for item in listed}
    for item in listed:  # those under way when the server died are whole, or not there
        status, text = server.call("GET", f"/v1/files/{item['id']}/content")
        assert status == 200 and text == content(int(item["filename"][1:-4]))


@pytest.mark.parametrize("seconds", [0.2, 0.7])
def test_the_ledger_counts_each_answer_once(server, seconds):
    store = server.ok("POST", "/v1/vector_stores", {"name": "empty"})["id"]
    threads = 4

    def search(_):
        status, text = server.call("POST", "/v1/stoa/search", {"query": "lunch", "vector_store_ids": [store]})
        assert status == 200, text

    hammer = Hammer(search, threads)
    hammer.wait(6)
    time.sleep(seconds)
    server.kill()
    hammer.join()
    answered = len(hammer.acknowledged)
    server.start()

    usage = server.ok("GET", "/v1/stoa/usage?by=kind")
    counted = sum(row["requests"] for row in usage["data"] if row["key"] == "search")
    assert answered <= counted <= answered + threads, "each answer is paid for once; at most those under way were not heard of"
    assert usage["budget"]["reserved_micro_usd"] == 0, "what a crash left reserved is given back"
    assert usage["budget"]["spent_micro_usd"] == sum(row["cost_micro_usd"] for row in usage["data"])
    entries = audited(server, "/v1/stoa/search", answered)
    assert len(entries) == len(set(entries)), "an answer is told once"
    assert answered <= len(entries) <= answered + threads, "and none is missing"
    assert server.ok("GET", "/v1/stoa/audit/check")["intact"]


STREAMS = {
    "/v1/responses": ({"input": "What is for lunch?"}, b"response.completed"),
    "/v1/chat/completions": ({"model": CHAT, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}, b"[DONE]"),
}


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_that_ended_is_in_the_audit_log(tmp_path, path):
    """Killed as soon as the last event was read."""
    body, last = STREAMS[path]
    if path == "/v1/chat/completions":
        need_models()
    server = Server(tmp_path / "home", models=path == "/v1/chat/completions").start()
    try:
        if path == "/v1/responses":
            body = body | {"tools": [{"type": "file_search", "vector_store_ids": [server.ok("POST", "/v1/vector_stores", {"name": "empty"})["id"]]}]}
        seen = set()
        for _ in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            connection.request("POST", path, json.dumps(body | {"stream": True}), {"Authorization": f"Bearer {server.secret}", "Content-Type": "application/json"})
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            seen.add(reply.headers["x-request-id"])
            while last not in (line := reply.readline()):
                assert line, "it ended before"
            server.kill()
            connection.close()
            server.start()
            assert seen == set(audited(server, path, len(seen)))
    finally:
        server.stop()


def test_ratings_that_were_acknowledged_are_there(server):
    def rate(number):
        body = {"answer_id": f"chatcmpl-{number}", "score": 1, "answer": "yes", "messages": [{"role": "user", "content": f"q{number}"}]}
        return server.ok("POST", "/v1/stoa/ratings", body)["id"]

    hammer = Hammer(rate)
    hammer.wait(6)
    time.sleep(0.5)
    server.kill()
    hammer.join()
    server.start()
    made = server.ok("POST", "/v1/stoa/datasets/from-ratings", {"name": "all"})
    rows = [json.loads(line) for line in server.call("GET", f"/v1/stoa/datasets/{made['version']}/rows")[1].splitlines()]
    answers = collections.Counter(row["answer_id"] for row in rows)
    assert {f"chatcmpl-{number}" for number in hammer.acknowledged} <= set(answers)
    assert max(answers.values()) == 1
