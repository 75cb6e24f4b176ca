"""Settings of collections: how they are searched where a search does not say, and another embedding model beside the one they have."""
import json
import os
import shutil

import pytest

from stoa_server import EMBED, MODELS, Stoa, need_models

SHORT = "minilm-three-layers"
QUESTION = "when is food served"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Beside the default embedding model there is another: its first three layers, which make other vectors of the same length."""
    need_models()
    home = tmp_path_factory.mktemp("collections")
    server = Stoa(home)
    folder = home / "models" / SHORT
    folder.mkdir()
    for file in (MODELS / EMBED).resolve().iterdir():
        if file.name not in ("config.json", "manifest.json"):
            (shutil.copytree if file.is_dir() else os.symlink)(file, folder / file.name)
    config = json.loads((MODELS / EMBED / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def key(server):
    return server.key()


def bring(server, key, folder, name):
    folder.mkdir()
    (folder / "keys.txt").write_text("A key is rotated every ninety days by the security team.")
    (folder / "lunch.txt").write_text("Lunch can be had in the canteen from noon until half past one.")
    server.cli("ingest", str(folder), "--store", name, key=key)


def reasons(server, key, name, *more):
    hits = server.json("search", QUESTION, "--store", name, "--explain", *more, key=key)["data"]
    return {hit["path"]: hit["explain"] for hit in hits}


def test_another_embedding_model(server, key, tmp_path):
    bring(server, key, tmp_path / "docs", "models")
    cosine = lambda: reasons(server, key, "models")["lunch.txt"]["vector"]["passage"]  # noqa: E731
    first = cosine()
    assert "the server's embedding model" in server.cli("collections", "show", "models", key=key).stdout

    for name, said in (("no-such-model", "stoa pull"), ("smollm2-135m-instruct", "not an embedding model")):
        refused = server.cli("collections", "reindex", "models", "--embedding-model", name, key=key, check=False)
        assert refused.returncode != 0 and said in refused.stderr, refused.stderr
        assert cosine() == first

    server.cli("collections", "reindex", "models", "--embedding-model", SHORT, key=key)
    assert SHORT in server.cli("collections", "show", "models", key=key).stdout
    second = cosine()
    assert abs(second - first) > 0.01
    server.stop()
    server.start()
    assert cosine() == second
    # Both at once: each collection is asked by its own model.
    bring(server, key, tmp_path / "more", "plain")
    stores = [store["id"] for store in server.json("collections", "list", key=key)["data"] if store["name"] in ("models", "plain")]
    assert len(stores) == 2 and reasons(server, key, "plain")["lunch.txt"]["vector"]["passage"] == first

    server.cli("collections", "reindex", "models", "--embedding-model", "server", key=key)
    assert cosine() == first


def test_a_new_collection_with_a_model(server, key):
    made = server.json("collections", "create", "born-short", "--embedding-model", SHORT, "--language", "german", key=key)
    assert (made["stoa"]["embedding_model"], made["stoa"]["language"]) == (SHORT, "german")


def test_how_a_collection_is_searched(server, key, tmp_path):
    bring(server, key, tmp_path / "docs", "defaults")
    assert reasons(server, key, "defaults")["lunch.txt"]["vector"]["rank"] == 1
    shown = server.json("collections", "defaults", "defaults", "--mode", "text", "--half-life", "30d", key=key)
    assert shown["stoa"]["search"] == {"mode": "text", "decay": {"half_life": "30d", "weight": 0.5, "attribute": ""}}
    assert reasons(server, key, "defaults") == {}, "no word of the question stands there"
    said = reasons(server, key, "defaults", "--mode", "hybrid")
    assert said["lunch.txt"]["vector"]["rank"] == 1 and said["lunch.txt"]["decay"] is not None, "what a search says itself counts"
    # One more is added, and all are given up.
    added = server.json("collections", "defaults", "defaults", "--text-weight", "0.9", "--mode", "hybrid", key=key)["stoa"]["search"]
    assert added["text_weight"] == 0.9 and added["mode"] == "hybrid" and added["decay"]["half_life"] == "30d"
    heavy = reasons(server, key, "defaults")["lunch.txt"]["fused"]
    assert server.json("collections", "defaults", "defaults", "--clear", key=key)["stoa"]["search"] == {}
    assert reasons(server, key, "defaults")["lunch.txt"]["fused"] > heavy, "meaning alone found it"
    assert server.cli("collections", "defaults", "defaults", "--half-life", "soon", key=key, check=False).returncode != 0


def test_passages_are_reranked_without_a_reranking_model(server, key, tmp_path):
    bring(server, key, tmp_path / "docs", "reranked")
    plain, reranked = (server.json("search", QUESTION, "--store", "reranked", "--explain", *more, key=key)["data"] for more in ([], ["--rerank", "10"]))
    assert plain[0]["explain"]["rerank"] is None and reranked[0]["path"] == "lunch.txt"
    why = reranked[0]["explain"]
    assert abs(reranked[0]["score"] - 0.75 * why["rerank"]["relevance"] - 0.25 * why["fused"]) < 1e-9
