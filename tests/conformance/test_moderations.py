"""Moderations with the official SDK: the shape is right whatever the model thinks; which model judges is a route."""
import openai
import pytest

from stoa_server import CHAT


def test_a_model_judges(client):
    made = client.moderations.create(model=CHAT, input=["The roof garden opens in April.", "I will hurt you."])
    assert made.id.startswith("modr_") and made.model == CHAT and len(made.results) == 2
    for result in made.results:
        scores = result.category_scores.model_dump(by_alias=True)
        assert len(scores) == 13 and all(0 <= score <= 1 for score in scores.values())
        found = result.categories.model_dump(by_alias=True)
        assert found == {name: score >= 0.5 for name, score in scores.items()} and result.flagged == any(found.values())
    parts = client.moderations.create(model=CHAT, input=[{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])
    assert len(parts.results) == 1


def test_the_default_is_a_route(client, server, key, tmp_path):
    with pytest.raises(openai.NotFoundError) as caught:
        client.moderations.create(input="Hello.")
    assert caught.value.code == "model_not_found" and "stoa routes set omni-moderation-latest" in caught.value.body["message"]
    route = tmp_path / "route.yaml"
    route.write_text(f"targets:\n  - model: {CHAT}\n")
    admin = server.key("root", "admin")
    server.cli("routes", "set", "omni-moderation-latest", str(route), key=admin)
    assert client.moderations.create(input="Hello.").model == "omni-moderation-latest"
    server.cli("routes", "remove", "omni-moderation-latest", key=admin)


@pytest.mark.parametrize("options, param", [({"input": []}, "input"), ({"input": ["a"] * 33}, "input"), ({"input": [{"type": "image_url", "image_url": {"url": "http://x"}}]}, "input[0].type"), ({"model": "all-minilm-l6-v2"}, "model")])
def test_refused(client, options, param):
    with pytest.raises(openai.BadRequestError) as caught:
        client.moderations.create(**{"model": CHAT, "input": "a"} | options)
    assert caught.value.param == param
