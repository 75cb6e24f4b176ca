"""kill -9 while the searches of a collection with vectors turn over to passages that were made anew, and while those that were replaced are deleted: after each start all is found,
by words and by meaning, once."""
import itertools
import json
import os
import random
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import Server
from stoa_server import EMBED, MODELS, need_models, wait_until
from test_kill_search import PEOPLE, PLACES, THINGS, chunks, ended, start

BOUGHT = THINGS + ("a blue kettle", "a wooden boat", "a silver spoon", "a pair of boots", "a green lamp", "a small piano", "a bag of salt", "a white horse", "a paper kite", "a stone bench",
                   "a glass bowl")
LIVES = list(itertools.product(PEOPLE, PLACES))
PASSAGES = len(LIVES) * len(BOUGHT)
FAST = "minilm-one-layer"  # a thousand texts a second, and near enough for texts that are equal


def sentence(number, bought):
    person, place = LIVES[number]
    return f"In {place} there lives {person} who bought {bought}."


def document(number):
    return "\n\n".join(f"## {bought}\n\n{sentence(number, bought)}" for bought in BOUGHT).encode()


@pytest.fixture
def server(tmp_path):
    """With one more embedding model: the first layer of the one that is there."""
    need_models()
    running = Server(tmp_path / "home", models=True)
    folder = running.home / "models" / FAST
    folder.mkdir()
    for file in (MODELS / EMBED).resolve().iterdir():
        if file.name not in ("config.json", "manifest.json"):
            (shutil.copytree if file.is_dir() else os.symlink)(file, folder / file.name)
    config = json.loads((MODELS / EMBED / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    yield running.start()
    running.stop()


def search(server, store, mode, query):
    hits = server.ok("POST", "/v1/stoa/search", {"query": query, "vector_store_ids": [store], "mode": mode, "max_num_results": 50, "context": "none"})["data"]
    found = [(hit["path"], hit["text"]) for hit in hits]
    assert len(set(found)) == len(found) == 50, f"{mode}, {query}: every passage once, and as many as were asked for: {len(set(found))} of {len(found)}"
    return found


def check(server, store, some=1):
    """Of every so many documents all."""
    def one(number):
        own = f"life{number}.md"
        by_words = {text for path, text in search(server, store, "text", " ".join(LIVES[number])) if path == own}
        assert by_words == {sentence(number, bought) for bought in BOUGHT}, f"{LIVES[number]}: {len(by_words)} passages by words"
        bought = BOUGHT[number % len(BOUGHT)]
        wanted = sentence(number, bought)
        by_meaning = search(server, store, "vector", f"{bought}\n{wanted}")  # as it is embedded, with its heading
        assert by_meaning[0] == (own, wanted), f"{wanted}: {by_meaning[:3]}"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(some - 1, len(LIVES), some)))
    assert chunks(server, store) == PASSAGES
    documents = server.pages(f"/v1/vector_stores/{store}/files")
    assert sorted(item["stoa"]["filename"] for item in documents) == sorted(f"life{n}.md" for n in range(len(LIVES)))


def rows(server, where):
    with sqlite3.connect(f"file:{server.home}/stoa.db?mode=ro", uri=True, timeout=30) as database:
        return database.execute(f"SELECT COUNT(*) FROM {where}").fetchone()[0]


def test_a_turn_over(server):
    store = server.ok("POST", "/v1/vector_stores", {"name": "lives"})["id"]
    ended(server, server.ok("POST", f"/v1/stoa/collections/{store}/reindex", {"embedding_model": FAST})["id"])
    ended(server, start(server, store, "lives", {f"life{n}.md": document(n) for n in range(len(LIVES))}))
    server.stop()  # writes a snapshot, which is an old one after each turn over
    server.start()
    check(server, store)
    assert PASSAGES > 4096, "enough for a graph"

    def anew(turn):
        """A job whose passages are all made, and that is about to turn over."""
        job = server.ok("POST", f"/v1/stoa/collections/{store}/reindex", {"chunk_tokens": 64 + turn})["id"]
        wait_until(lambda: (at := server.ok("GET", f"/v1/stoa/ingest/jobs/{job}"))["done"] == at["total"], 60, "all passages are made")
        return job

    def swept():
        wait_until(lambda: rows(server, "documents WHERE stale = 1") == 0, 30, "the passages that were replaced are deleted")
        assert rows(server, "chunks") == PASSAGES

    job, began = anew(1), time.monotonic()
    ended(server, job)
    turning = time.monotonic() - began
    swept()
    randomly = random.Random(7)
    for turn in range(2, 5):
        job = anew(turn)
        # Twice about when it turns over, to which a start takes it at once; then as it deletes what was replaced.
        for shortest, longest in ((0.6 * turning, 1.2 * turning), (0, 1.2 * turning), (0, 0.05)):
            if longest == 0.05:
                ended(server, job)
            time.sleep(randomly.uniform(shortest, longest))
            server.kill()
            print("killed: made anew are", rows(server, f"documents WHERE generation = '{job}'"), "and replaced passages left of", rows(server, "documents WHERE stale = 1"))
            server.start()
            check(server, store, 4)
        ended(server, job)
        swept()
    check(server, store)
