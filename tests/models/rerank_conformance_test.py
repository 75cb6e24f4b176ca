"""Rerankers with random weights, as a Hugging Face folder and as a GGUF file, against a forward pass in numpy and against llama.cpp."""

import os
import sys

import numpy as np
import pytest

from bert_reference import Bert
from cross_encoder import CONFIG, VOCABULARY, make_weights, write_folder, write_gguf
from engine_peer import SOURCE, Engine

sys.path.insert(0, str(SOURCE / "bench" / "engine"))
import llamacpp  # noqa: E402

TOOL = os.environ.get("STOA_ENGINE_TOOL")
pytestmark = pytest.mark.skipif(not TOOL, reason="needs the engine tool")

QUERIES = ["who wrote the sea?", "printers", "a b c, d e f."]
DOCUMENTS = ["The sea is blue.", "", "Paris", "who wrote who", "lunch is on the third floor, the printer is blue", "zzzz9 seas keyed", "a", "东", "key " * 150,
             "the lunches and the keys and the printing"]


def check(folder, weights, limit):
    bert = Bert(CONFIG, weights, VOCABULARY)
    with Engine(TOOL, "--reranker", folder, "--threads", 1, "--rerank-tokens", limit) as engine:
        for query in QUERIES:
            answer = engine.ask(query=query, documents=DOCUMENTS)
            pairs = [bert.pair(query, document, limit) for document in DOCUMENTS]
            assert answer["tokens"] == [len(ids) for ids, _ in pairs]
            assert answer["truncated"] == 1
            expected = [bert.score(*pair) for pair in pairs]
            assert max(expected) - min(expected) > 0.05, "the documents are too alike to tell errors"
            np.testing.assert_allclose(answer["scores"], expected, atol=2e-4)


@pytest.mark.parametrize("limit", [96, 40])
def test_scores_of_a_folder_equal_a_numpy_forward(tmp_path, limit):
    weights = make_weights(same_types=False)
    check(write_folder(tmp_path / "model", weights), weights, limit)


def test_scores_of_a_gguf_file_equal_a_numpy_forward(tmp_path):
    weights = make_weights(same_types=False)
    check(write_gguf(tmp_path / "model", weights), weights, 96)


def test_scores_equal_llama_cpp(tmp_path):
    # llama.cpp takes every token for one of type 0: here the types are alike. Its GELU is the tanh form, from a table of half floats.
    weights = make_weights(same_types=True)
    folder = write_gguf(tmp_path / "model", weights)
    bert = Bert(CONFIG, weights, VOCABULARY)
    peer = llamacpp.LlamaCpp(llamacpp.load_xllamacpp(), folder / "model.gguf", threads=1, context=CONFIG["max_position_embeddings"])
    with Engine(TOOL, "--reranker", folder, "--threads", 1) as engine:
        for query in QUERIES:
            ours = engine.ask(query=query, documents=DOCUMENTS)["scores"]
            theirs = [peer.pooled(bert.pair(query, document, CONFIG["max_position_embeddings"])[0])[0] for document in DOCUMENTS]
            np.testing.assert_allclose(ours, theirs, atol=2e-2)
    peer.close()


def test_a_pair_is_scored_alike_in_every_batch(tmp_path):
    folder = write_folder(tmp_path / "model", make_weights(same_types=False))
    with Engine(TOOL, "--reranker", folder, "--threads", 1) as engine:
        many = DOCUMENTS * 20
        together = engine.ask(query=QUERIES[0], documents=many)["scores"]
        backwards = engine.ask(query=QUERIES[0], documents=many[::-1])["scores"]
        np.testing.assert_allclose(together, backwards[::-1], atol=1e-5)
        for document, score in zip(many, together[:len(DOCUMENTS)]):
            alone = engine.ask(query=QUERIES[0], documents=[document])["scores"][0]
            assert abs(alone - score) < 1e-5
