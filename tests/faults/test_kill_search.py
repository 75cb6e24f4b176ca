"""kill -9 while a collection is made anew, while searches turn over to it, and while its snapshot is written: searches find what the rows say, once, and no phantoms."""
import hashlib
import signal
import time

from stoa_server import wait_until

PAGES = 150


def page(number):
    words = " ".join(f"word{number}x{i}" for i in range(120))
    return f"# Page {number}\n\n## Marker m{number}m\n\n{words}\n".encode()


def bring(server, name):
    store = server.ok("POST", "/v1/vector_stores", {"name": name})["id"]
    files = {f"p{n}.md": page(n) for n in range(PAGES)}
    digest = lambda content: "sha256:" + hashlib.sha256(content).hexdigest()  # noqa: E731
    job = server.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": name, "access": "public",
                                                     "files": [{"path": path, "digest": digest(content), "bytes": len(content)} for path, content in files.items()]})
    for content in files.values():
        server.ok("PUT", f"/v1/stoa/ingest/jobs/{job['id']}/blobs/{digest(content)}", content)
    server.ok("POST", f"/v1/stoa/ingest/jobs/{job['id']}/start")
    ended(server, job["id"])
    return store


def ended(server, job):
    wait_until(lambda: server.ok("GET", f"/v1/stoa/ingest/jobs/{job}")["status"] == "completed", 240, "the job is complete")
    done = server.ok("GET", f"/v1/stoa/ingest/jobs/{job}")
    assert done["failed"] == 0, done


def chunks(server, store):
    return server.ok("GET", f"/v1/vector_stores/{store}")["stoa"]["chunks"]


def check(server, store):
    for number in range(0, PAGES, 7):
        for mode in ("text", "hybrid"):
            hits = server.ok("POST", "/v1/stoa/search", {"query": f"m{number}m", "vector_store_ids": [store], "mode": mode, "max_num_results": 50})["data"]
            mine = [hit["text"] for hit in hits if hit["path"] == f"p{number}.md"]
            assert mine and len(set(mine)) == len(mine), f"m{number}m: every passage once"
            assert hits[0]["path"] == f"p{number}.md"
            if mode == "text":
                assert len(mine) == len(hits), "the marker is in its own page alone"


def test_a_collection_made_anew(server):
    store = bring(server, "anew")
    before = chunks(server, store)
    job = server.ok("POST", f"/v1/stoa/collections/{store}/reindex", {"chunk_tokens": 48})["id"]
    kills = 0
    for pause in (0.02, 0.1, 0.2, 0.4, 0.8):
        time.sleep(pause)
        there = chunks(server, store)
        if server.ok("GET", f"/v1/stoa/ingest/jobs/{job}")["status"] == "completed":
            break
        assert there == before, "what is searched is what was there"
        server.kill()
        kills += 1
        server.start()
        check(server, store)
    assert kills > 0, "the job ended before it could be killed: give it more pages"
    ended(server, job)
    after = chunks(server, store)
    assert after > before
    check(server, store)
    server.kill()
    server.start()
    assert chunks(server, store) == after
    check(server, store)


def test_snapshots(server):
    """Written when the server ends: killed at several moments of that."""
    store = bring(server, "kept")
    ended(server, server.ok("POST", f"/v1/stoa/collections/{store}/reindex", {"chunk_tokens": 16})["id"])
    assert chunks(server, store) >= 1000, "enough for a snapshot"
    snapshot = server.home / "index" / f"{store}.snapshot"
    for pause in (0.0, 0.01, 0.03, 0.1, 0.3, None):
        server.process.send_signal(signal.SIGTERM)
        if pause is None:
            server.process.wait(timeout=60)
            assert snapshot.stat().st_size > 0
        else:
            time.sleep(pause)
            server.kill()
        server.start()
        assert not list(snapshot.parent.glob("*.unfinished"))
        check(server, store)
    assert "is indexed from its rows" not in server.log_text().split("ready")[-1]
    # Damaged while the server was away: it costs time only.
    server.stop()
    damaged = bytearray(snapshot.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    snapshot.write_bytes(damaged)
    server.start()
    check(server, store)
