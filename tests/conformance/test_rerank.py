"""Rerank through Cohere's client, with a small cross-encoder of random weights whose scores numpy knows."""
import sys

import cohere
import numpy as np
import pytest

from stoa_server import ROOT, Stoa

sys.path.insert(0, str(ROOT / "tests" / "models"))
import cross_encoder  # noqa: E402
from bert_reference import Bert  # noqa: E402

MODEL = "tiny-cross"
QUERY = "who wrote the sea?"
DOCUMENTS = ["The sea is blue.", "lunch is on the third floor, the printer is blue", "", "Paris"]


@pytest.fixture(scope="module")
def weights():
    return cross_encoder.make_weights(same_types=False)


@pytest.fixture(scope="module")
def reranking(tmp_path_factory, weights):
    home = tmp_path_factory.mktemp("rerank")
    server = Stoa(home, models=False, environment={"STOA_MODELS_RERANKER": MODEL})
    cross_encoder.write_folder(home / "models" / MODEL, weights)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(reranking):
    return cohere.ClientV2(api_key=reranking.key(), base_url=reranking.url)


@pytest.fixture(scope="module")
def expected(weights):
    """(index, score), best first."""
    bert = Bert(cross_encoder.CONFIG, weights, cross_encoder.VOCABULARY)
    scores = [1 / (1 + np.exp(-bert.score(*bert.pair(QUERY, document, 96)))) for document in DOCUMENTS]
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


def test_results_come_best_first_with_the_scores_of_the_model(client, expected):
    answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)
    assert answer.id.startswith("rerank_")
    assert [result.index for result in answer.results] == [index for index, _ in expected]
    np.testing.assert_allclose([result.relevance_score for result in answer.results], [score for _, score in expected], atol=1e-4)
    assert answer.meta.api_version.version == "2" and answer.meta.tokens.input_tokens > 0


def test_top_n(client, expected):
    answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=2)
    assert [result.index for result in answer.results] == [index for index, _ in expected[:2]]


def test_documents_are_cut_where_the_caller_says(client):
    whole = client.rerank(model=MODEL, query=QUERY, documents=["paris is blue"]).results[0].relevance_score
    cut = client.rerank(model=MODEL, query=QUERY, documents=["paris is blue"], max_tokens_per_doc=1).results[0].relevance_score
    alone = client.rerank(model=MODEL, query=QUERY, documents=["paris"]).results[0].relevance_score
    assert abs(cut - alone) < 1e-6 < abs(cut - whole)


def test_the_older_client_gets_its_documents_back(reranking, expected):
    older = cohere.Client(api_key=reranking.key(), base_url=reranking.url)
    answer = older.rerank(model=MODEL, query=QUERY, documents=[{"text": text} for text in DOCUMENTS], return_documents=True)
    assert [result.document.text for result in answer.results] == [DOCUMENTS[index] for index, _ in expected]


@pytest.mark.parametrize("options, error, param", [
    ({"query": ""}, cohere.BadRequestError, "query"),
    ({"query": "key " * 60}, cohere.BadRequestError, "query"),
    ({"documents": []}, cohere.BadRequestError, "documents"),
    ({"documents": ["a"] * 1001}, cohere.BadRequestError, "documents"),
    ({"top_n": 0}, cohere.BadRequestError, "top_n"),
    ({"model": "none"}, cohere.NotFoundError, "model"),
])
def test_refusals(client, options, error, param):
    with pytest.raises(error) as refused:
        client.rerank(**{"model": MODEL, "query": QUERY, "documents": DOCUMENTS, **options})
    assert refused.value.body["error"]["param"] == param


def test_a_wrong_key_is_refused(reranking):
    with pytest.raises(cohere.UnauthorizedError):
        cohere.ClientV2(api_key="stoa_wrong", base_url=reranking.url).rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)


def test_it_is_listed_metered_and_traced(reranking, client):
    client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)
    key = reranking.key(role="admin")
    kinds = {row["key"]: row for row in reranking.json("usage", "--by", "kind", key=key)["data"]}
    assert kinds["rerank"]["requests"] > 0
    models = {model["id"]: model["kind"] for model in reranking.json("models", "list")["data"]}
    assert models[MODEL] == "reranker"
