"""kill -9 while documents come and go, while a collection is made anew, while searches turn over to it, and while its snapshot is written: searches find what the rows say, once, and
no phantoms."""
import hashlib
import itertools
import signal
import time

from stoa_server import wait_until

PAGES = 150


def page(number):
    words = " ".join(f"word{number}x{i}" for i in range(120))
    return f"# Page {number}\n\n## Marker m{number}m\n\n{words}\n".encode()


def start(server, store, source, files):
    """A job that brings these in: contents by path."""
    digest = lambda content: "sha256:" + hashlib.sha256(content).hexdigest()  # noqa: E731
    job = server.ok("POST", "/v1/stoa/ingest/jobs", {"collection": store, "source": source, "access": "public",
                                                     "files": [{"path": path, "digest": digest(content), "bytes": len(content)} for path, content in files.items()]})
    for content in files.values():
        server.ok("PUT", f"/v1/stoa/ingest/jobs/{job['id']}/blobs/{digest(content)}", content)
    server.ok("POST", f"/v1/stoa/ingest/jobs/{job['id']}/start")
    return job["id"]


def bring(server, name):
    store = server.ok("POST", "/v1/vector_stores", {"name": name})["id"]
    ended(server, start(server, store, name, {f"p{n}.md": page(n) for n in range(PAGES)}))
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


PEOPLE = ("a baker", "a sailor", "a surgeon", "a farmer", "a lawyer", "a pianist", "a painter", "a miner", "a pilot", "a teacher", "a judge", "a diver", "a smith", "a dancer", "a monk")
PLACES = ("Oslo", "Lima", "Cairo", "Kyoto", "Havana", "Nairobi", "Venice", "Quebec", "Mumbai", "Sydney", "Tunis", "Seoul", "Prague", "Bogota", "Dublin", "Athens", "Riga", "Perth", "Dakar", "Porto")
THINGS = ("an old violin", "a red bicycle", "a box of apples", "a broken clock")
LIVES = list(itertools.product(PEOPLE, PLACES))


def life(number):
    """A document of four passages, each of one sentence that no other document has."""
    person, place = LIVES[number]
    return "\n\n".join(f"## Part {i}\n\nIn {place} there lives {person} who bought {thing}." for i, thing in enumerate(THINGS)).encode()


def found_by_meaning(server, store, number):
    person, place = LIVES[number]
    query = f"In {place} there lives {person} who bought {THINGS[number % 4]}."
    hits = server.ok("POST", "/v1/stoa/search", {"query": query, "vector_store_ids": [store], "mode": "vector", "max_num_results": 20})["data"]
    return [(hit["path"], hit["text"]) for hit in hits]


def check_meaning(server, store, there, gone=()):
    for number in there:
        hits = found_by_meaning(server, store, number)
        assert len(set(hits)) == len(hits), "every passage once"
        assert hits[0][0] == f"life{number}.md", f"{LIVES[number]}: {hits}"
        assert not {path for path, _ in hits} & {f"life{n}.md" for n in gone}
    for number in gone:
        assert not {path for path, _ in found_by_meaning(server, store, number)} & {f"life{n}.md" for n in gone}


def test_vectors(server_with_models):
    """With vectors, in rows, index and snapshot: what was acknowledged before a kill is found by its meaning after it, and nothing that was removed is."""
    server, everyone = server_with_models, range(len(LIVES))
    store = server.ok("POST", "/v1/vector_stores", {"name": "lives"})["id"]
    job = start(server, store, "lives", {f"life{n}.md": life(n) for n in everyone})

    def documents():
        return {item["stoa"]["filename"]: item["id"] for item in server.pages(f"/v1/vector_stores/{store}/files")}

    for share in (0.2, 0.5):
        wait_until(lambda: server.ok("GET", f"/v1/stoa/ingest/jobs/{job}")["done"] >= share * len(LIVES), 60, "some documents are in")
        known = documents()
        there = [n for n in everyone if f"life{n}.md" in known]
        server.kill()
        assert len(there) < len(LIVES), "the job was at work"
        server.start()
        check_meaning(server, store, there[::7])
    ended(server, job)
    check_meaning(server, store, everyone[::7])

    # Killed while the snapshot is written, then not.
    for pause in (0.0, 0.02, 0.1, None):
        server.process.send_signal(signal.SIGTERM)
        if pause is None:
            server.process.wait(timeout=60)
        else:
            time.sleep(pause)
            server.kill()
        server.start()
        check_meaning(server, store, everyone[::31])
    snapshot = server.home / "index" / f"{store}.snapshot"
    assert snapshot.stat().st_size > chunks(server, store) * 384, "the vectors are in it"

    # What the snapshot has and the rows do not.
    ids = documents()
    gone, stay = everyone[::5], [n for n in everyone if n % 5]
    for number in gone:
        server.ok("DELETE", f"/v1/vector_stores/{store}/files/{ids[f'life{number}.md']}")
    server.kill()
    server.start()
    assert "is indexed from its rows" not in server.log_text().split("ready")[-1]
    check_meaning(server, store, stay, gone)
